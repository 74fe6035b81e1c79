//! The limiter of one instance's store, which limits its memory.

use crate::stats::CallCounters;
use std::sync::Arc;
use wasmtime::{ResourceLimiter, Result};

/// Grants memory, table space and time, and records rejections.
#[derive(Debug)]
pub(crate) struct StoreLimiter {
    pub(crate) memory_bytes_max: usize,
    /// Bytes of all its memories.
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements_max: usize,
    pub(crate) refused: bool,
    /// The fuel of the current call.
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
        // Granted memory counts even if the pool cannot provide it; then the instance has less.
        if fits {
            self.memory_bytes = sum;
        }
        self.grant(fits)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.grant(desired <= self.table_elements_max)
    }
}
