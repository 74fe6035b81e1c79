//! What a policy counts, each kind with its storage: rate limits, tracks, requests under way.
//!
//! All of them stand in counter tables of a fixed number of keys ([`table`]) and count over moving
//! time ([`sliding_window`]).

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
