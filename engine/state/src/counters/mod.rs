//! The counters of a policy with their storage: rate limits, tracks, and requests in flight.
//!
//! They are stored in counter tables with a fixed number of keys ([`table`]) and count over a
//! sliding window ([`sliding_window`]).

pub(crate) mod concurrent;
#[cfg(test)]
mod crowding_tests;
pub(crate) mod distinct;
pub(crate) mod generation_guard;
pub(crate) mod heavy_hitters;
pub(crate) mod rate_limit;
pub(crate) mod sliding_window;
pub(crate) mod table;
pub(crate) mod track;
