//! Time as the core sees it: a number that is passed in.
//!
//! Counters and limits read no clock, so a test, a replay and the live server give the same answer
//! for the same numbers. The edge makes ticks from a monotonic clock that was anchored once to the
//! wall clock at start, so a wall-clock jump neither frees nor extends anything.

/// Milliseconds since 1970-01-01T00:00:00Z, never going backwards within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// 2026-01-01T00:00:00Z, where every `test` block of a policy starts (LANGUAGE §3).
    pub const TEST_START: Self = Self(1_767_225_600_000);

    /// This moment and `ms` more; the far end of time does not wrap.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 when `earlier` is later.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Days since 1970-01-01, for comparing with a date of a policy.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

/// The clock that the edge hands to whatever must know the time.
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
