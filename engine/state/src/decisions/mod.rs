//! What is remembered of decisions that were made.

pub(crate) mod counters;
