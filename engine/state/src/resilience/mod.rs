//! Decides whether a request is sent to a failing origin, and whether it is retried.
//!
//! The algorithms are pure; the data plane owns the values and reports the result of each attempt.

pub(crate) mod circuit_breaker;
pub(crate) mod retry_budget;
