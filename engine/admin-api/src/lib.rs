//! Requests and responses of the admin socket.
//!
//! The server fills these types; the command line, tools and tests read them. The name of a field
//! is its name in JSON. Each counter is declared here once, for the proxy and for reports, so no
//! counter can be missing in the metrics.

#[macro_use]
mod counters;
mod counter_report;
mod generation;
mod proxy;
mod requests;
mod status;

pub use counter_report::{CounterReport, CounterReset};
pub use counters::{
    Histogram, HistogramReport, LATENCY_BOUNDS_MS, Live, PercentGauge, ResponseCounters,
    ResponseCounts, WordCounters,
};
pub use generation::{Changed, HostChange, Left, Marks, MarksOfParts, Past, RollbackPin};
pub use proxy::*;
pub use requests::*;
pub use status::*;
