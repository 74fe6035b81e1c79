//! What decides about asking an origin that fails: whether at all, and whether once more.
//!
//! Pure algorithms; the data plane owns the values and says what came of each attempt.

pub(crate) mod circuit_breaker;
pub(crate) mod retry_budget;
