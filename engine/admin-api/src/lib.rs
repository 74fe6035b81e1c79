//! What the admin socket is asked and what it answers.
//!
//! The server fills these types; the command line, tools and tests read them. A name of a field is
//! the name in JSON. Counters are declared here once, live and as numbers of a report, so that no
//! counter can be lost on the way from the proxy to a metric.

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
