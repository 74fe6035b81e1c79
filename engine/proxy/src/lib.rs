//! The data plane: parses, forwards and enforces; it makes no decision.
//!
//! A request passes these folders: `listener` (concurrency limits, PROXY header, TLS) →
//! `connection` (phase, deadlines, transport) → `http1` or `http2` (the end of each request, one
//! meaning of its header section) → `request` (facts, the decision, its enforcement, the record) →
//! `forward` (the exchange of bytes with an origin) with `upstream` (origins, slots, retries, idle
//! connections). `admission` limits clients, `fairness` shares resources among sites, `overload`
//! monitors the whole server, `shutdown` ends it.
//!
//! A request is evaluated before anything is forwarded, so a rejection costs one parse and one
//! write. Only an admitted request can be forwarded, by type.
//!
//! Only this crate may name pingora. It is one of the few that read a clock (tokio's, for
//! deadlines); evaluation gets its time from the caller's [`Now`](seawall_model::Now).

mod admission;
mod config;
mod connection;
mod context;
mod engine_log_filter;
mod error;
mod fairness;
mod forward;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http1;
mod http2;
mod limits;
mod listener;
mod metrics;
mod overload;
mod request;
mod routing;
mod shutdown;
mod site_report;
mod tls;
mod upstream;

pub use config::ProxyConfig;
pub use engine_log_filter::{EngineLogFilter, log_filter};
pub use error::BindError;
pub use forward::response_error::ResponseError;
pub use http1::head::HeadError;
pub use limits::ProxyLimits;
pub use listener::DataPlane;
pub use listener::socket::ListeningSocket;
pub use metrics::ProxyMetrics;
pub use overload::{MemoryReader, MemoryUsage};
pub use request::local_response::{decode_rejection_code, rejection_code};
pub use shutdown::gate::ListenerGate;
pub use shutdown::handle::{DrainReport, ProxyHandle};
pub use site_report::SiteReporter;
pub use tls::{CertificateError, CertificateSet, CertificateStore};

#[cfg(test)]
mod tests;
