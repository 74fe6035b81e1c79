//! The budget for all calls of one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Failure;
use crate::limits::{EPOCH_TICK_MS, IDLE_FUEL_PER_MS};

/// The remaining budget for the calls of one part of a policy for one request. Fuel is the limit.
/// The time is a second limit for work that uses no fuel; it is taken only for calls whose thread
/// ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Remaining fuel.
    pub fuel: u64,
    /// Fuel at the start.
    pub whole: u64,
    /// Remaining milliseconds.
    pub time_ms: u64,
}

impl Budget {
    /// Creates a full budget.
    #[inline]
    #[must_use]
    pub const fn new(fuel: u64, time_ms: u64) -> Self {
        Self { fuel, whole: fuel, time_ms }
    }

    /// An unlimited budget, for a single call.
    pub const UNBOUNDED: Self = Self::new(u64::MAX, u64::MAX);

    pub(crate) const fn is_spent(&self) -> bool {
        self.fuel == 0 || self.time_ms == 0
    }

    /// Takes the fuel and the time of a call. The time counts only if the call used fuel meanwhile.
    pub(crate) const fn take(&mut self, fuel: u64, elapsed_ms: u64) {
        self.fuel = self.fuel.saturating_sub(fuel);
        if fuel > elapsed_ms.saturating_mul(IDLE_FUEL_PER_MS) {
            self.time_ms = self.time_ms.saturating_sub(elapsed_ms);
        }
    }

    /// Returns the reported failure of a call whose own limit is `fuel`. If the budget left by
    /// other calls was less than this limit and less than half of the whole, the budget is the
    /// cause.
    pub(crate) const fn blame(&self, failure: Failure, fuel: u64) -> Failure {
        let is_short = self.fuel < fuel && self.fuel < self.whole / 2;
        match failure {
            Failure::Fuel if is_short => Failure::Budget,
            failure => failure,
        }
    }
}

/// The milliseconds reported to the sandbox so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Epochs(Arc<AtomicU64>);

impl Epochs {
    pub(crate) fn raise(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.0.load(Relaxed).saturating_mul(EPOCH_TICK_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_counts_where_the_thread_ran() {
        let mut left = Budget::new(1_000_000, 10);
        left.take(IDLE_FUEL_PER_MS * 3, 3);
        assert_eq!((left.fuel, left.time_ms), (970_000, 10), "it hardly burned anything");
        left.take(IDLE_FUEL_PER_MS * 3 + 1, 3);
        assert_eq!((left.fuel, left.time_ms), (939_999, 7));
        left.take(2_000_000, 100);
        assert!(left.is_spent());
    }

    #[test]
    fn whoever_had_half_of_it_is_to_blame() {
        let left = |fuel| Budget { fuel, ..Budget::new(1_000, 10) };
        assert_eq!(left(1_000).blame(Failure::Fuel, 5_000), Failure::Fuel);
        assert_eq!(left(500).blame(Failure::Fuel, 5_000), Failure::Fuel);
        assert_eq!(left(499).blame(Failure::Fuel, 5_000), Failure::Budget);
        assert_eq!(left(499).blame(Failure::Fuel, 499), Failure::Fuel, "it had its own");
        assert_eq!(left(1).blame(Failure::Trap, 5_000), Failure::Trap);
    }
}
