//! The data plane: translates and enforces, never decides.
//!
//! A request's way through the folders: `listener` (a place, or a reset; the PROXY header; TLS) →
//! `connection` (its phase, clocks and stream) → `http1` or `http2` (where each request ends, and one
//! meaning of its head) → `request` (facts, the ruleset's decision, what happens then, the record) →
//! `upstream` (a slot at an origin, forwarding by pingora, retries). `admission` limits clients,
//! `fairness` shares what all sites use, `overload` watches the whole server, `shutdown` ends it.
//! A request is judged before pingora's machinery, so a refusal costs one parse and one write; pingora
//! gets admitted requests only, and refuses what arrives without an admission.
//!
//! The one crate that may name pingora, and one of the few that read a clock (tokio's, for
//! deadlines; what is judged gets its time from the caller's [`Now`](seawall_model::Now)).

mod admission;
mod config;
mod connection;
mod context;
mod engine_log_filter;
mod error;
mod fairness;
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
pub use http1::head::HeadError;
pub use limits::ProxyLimits;
pub use listener::DataPlane;
pub use listener::socket::ListeningSocket;
pub use metrics::{MetricDescription, ProxyMetrics, ProxyMetricsSnapshot};
pub use overload::{MemoryReader, MemoryUsage};
pub use request::local_response::{decode_rejection_code, rejection_code};
pub use shutdown::gate::ListenerGate;
pub use shutdown::handle::{DrainReport, ProxyHandle};
pub use site_report::{SiteReporter, SiteSnapshot};
pub use tls::{CertificateError, CertificateSet, CertificateStore};
pub use upstream::stream::BadAnswer;
pub use upstream::{OriginSnapshot, OriginState};

#[cfg(test)]
mod tests;
