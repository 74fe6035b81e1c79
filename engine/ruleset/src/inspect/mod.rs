//! What people and tools are told of a ruleset: what it says of one request, what it costs, what is
//! wrong with it, and how it differs from another.

pub(crate) mod costs;
pub(crate) mod diagnostics;
pub(crate) mod diff;
mod display;
pub(crate) mod explain;
pub(crate) mod fields;
