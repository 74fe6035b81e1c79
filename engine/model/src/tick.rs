//! Time in the core: a number that is passed in.
//!
//! Counters and limits read no clock. A test, a replay and the live server therefore give the same
//! decision for the same numbers. The data plane derives ticks from a monotonic clock that is set
//! once, at start, to the wall clock. A jump of the wall clock therefore ends or extends no limit.

/// Milliseconds since 1970-01-01T00:00:00Z. Never decreases within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// 2026-01-01T00:00:00Z, the start time of every `test` block (`docs/language/tests.md`).
    pub const TEST_START: Self = Self(1_767_225_600_000);

    /// Returns this time plus `ms`. Saturates at the maximum.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds since `earlier`; 0 if `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the days since 1970-01-01, for comparison with a date in a policy.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

/// The clock that the data plane passes to code that needs the time.
pub type Now = std::sync::Arc<dyn Fn() -> Tick + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::Tick;

    #[test]
    fn time_saturates_at_both_ends() {
        assert_eq!(Tick(5).since_ms(Tick(9)), 0);
        assert_eq!(Tick(u64::MAX).plus_ms(1), Tick(u64::MAX));
        // 56 years with 14 leap days between 1970 and 2026.
        assert_eq!(Tick::TEST_START.day(), 56 * 365 + 14);
    }
}
