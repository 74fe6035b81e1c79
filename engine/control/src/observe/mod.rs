//! What is observed of a running server: its status, its metrics, and events between them.

pub(crate) mod decision_totals;
pub(crate) mod memory_monitor;
pub(crate) mod metrics;
pub(crate) mod quarantine_log;
pub(crate) mod status;
