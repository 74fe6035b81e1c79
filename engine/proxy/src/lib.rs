//! The data plane: translates and enforces, never decides.
//!
//! A request's way through the files: `listen` (a place, or a reset) → `proxy_protocol` and `hops`
//! (who asks, where a listed hop stands between) → `tls` (which site, and what speaks) → `guard`
//! (every deadline, and
//! where each request ends) → `head` (one meaning, or refused) → `facts` → the ruleset's `decide` →
//! `enforce` (one arm per verdict) → `service` and `upstream` (pingora forwards what was admitted)
//! → `remember`. Judging happens before pingora's machinery, so a refusal costs one parse and one
//! write; pingora gets admitted requests only, and refuses what arrives without an admission.
//!
//! The one crate that may name pingora, and one of the few that read a clock (tokio's, for
//! deadlines; what is judged gets its time from the caller's [`Now`](seawall_model::Now)).

mod admission;
mod answer;
mod chunked;
mod config;
mod conn;
mod counters;
mod drain;
mod edge;
mod enforce;
mod facts;
mod failure;
mod forward;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzed;
mod guard;
mod h2;
mod head;
mod hops;
mod judge;
mod limits;
mod link;
mod listen;
mod log;
mod origins;
mod overload;
mod pace;
mod policy_log;
mod proxy_protocol;
mod rates;
mod registry;
mod remember;
mod serve;
mod service;
mod shares;
mod sites;
mod tls;
mod told;
mod upstream;
mod wire;

pub use answer::{answer_code, read_answer_code};
pub use config::{BindError, EdgeConfig};
pub use counters::{Described, EdgeCounters, EdgeSnapshot};
pub use drain::{Door, Drained, Listening, Running};
pub use head::BadHead;
pub use hops::{ClientHeader, TrustedProxies};
pub use limits::EdgeLimits;
pub use link::BadAnswer;
pub use listen::DataPlane;
pub use log::{EngineLog, log_filter};
pub use origins::{OriginSnapshot, OriginState};
pub use overload::{MemoryGauge, MemoryUsed};
pub use shares::view::{SiteSnapshot, SiteViews};
pub use sites::{PathTimeouts, Site};
pub use tls::{Identities, IdentityError, PemPair, Shown};

#[cfg(test)]
mod tests;
