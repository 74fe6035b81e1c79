//! Counts of one function, for status, metrics and benchmarks.

use crate::Failure;
use seawall_model::Tick;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the function was bound. They never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallStats {
    /// Calls, including failed ones and cache hits.
    pub calls: u64,
    /// Calls answered from the result cache.
    pub memo_hits: u64,
    /// Calls and starts that got their time a second time, because they used hardly any fuel in it.
    pub extended: u64,
    /// Failures of each kind, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// Instances started.
    pub instances: u64,
    /// The most fuel of a successful call.
    pub fuel_peak: u64,
    /// Number of quarantines.
    pub quarantines: u64,
    /// The end of the last quarantine, past or future.
    pub quarantined_until: Option<Tick>,
}

impl CallStats {
    /// Returns the number of calls with this failure.
    #[must_use]
    pub fn failed(&self, failure: Failure) -> u64 {
        self.failures.get(failure as usize).copied().unwrap_or(0)
    }
}

#[derive(Debug, Default)]
pub(crate) struct CallCounters {
    calls: AtomicU64,
    extended: AtomicU64,
    failures: [AtomicU64; Failure::ALL.len()],
    instances: AtomicU64,
    fuel_peak: AtomicU64,
}

impl CallCounters {
    pub(crate) fn note_instance(&self) {
        self.instances.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_fuel(&self, used: u64) {
        // The peak is rarely exceeded, and reading does not take the cache line from other
        // processors.
        if used > self.fuel_peak.load(Relaxed) {
            self.fuel_peak.fetch_max(used, Relaxed);
        }
    }

    pub(crate) fn note_extended(&self) {
        self.extended.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_call(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_failure(&self, failure: Failure) {
        if let Some(count) = self.failures.get(failure as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn read(&self) -> CallStats {
        CallStats {
            calls: self.calls.load(Relaxed),
            extended: self.extended.load(Relaxed),
            failures: std::array::from_fn(|i| {
                self.failures.get(i).map_or(0, |count| count.load(Relaxed))
            }),
            instances: self.instances.load(Relaxed),
            fuel_peak: self.fuel_peak.load(Relaxed),
            ..CallStats::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_all_is_the_order_of_the_counts() {
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, at);
        }
    }
}
