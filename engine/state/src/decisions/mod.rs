//! Stored facts about decisions.

pub(crate) mod counters;
