//! The guard of one instance's store, which holds it to its memory.

use crate::stats::CallCounters;
use std::sync::Arc;
use wasmtime::{ResourceLimiter, Result};

/// Grants memory, table space and time, and remembers whether it ever refused.
#[derive(Debug)]
pub(crate) struct StoreLimiter {
    pub(crate) memory_bytes_max: usize,
    /// Bytes of all its memories.
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements_max: usize,
    pub(crate) refused: bool,
    /// What the call under way was given.
    pub(crate) fuel: u64,
    pub(crate) time_ms: u64,
    pub(crate) extended: bool,
    pub(crate) counters: Arc<CallCounters>,
}

impl StoreLimiter {
    fn grant(&mut self, fits: bool) -> Result<bool> {
        self.refused |= !fits;
        Ok(fits)
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(&mut self, now: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let sum = self.memory_bytes.saturating_add(desired.saturating_sub(now));
        let fits = sum <= self.memory_bytes_max;
        // What is granted counts even if the pool has no room for it: then the instance has less.
        if fits {
            self.memory_bytes = sum;
        }
        self.grant(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.grant(desired <= self.table_elements_max)
    }
}
