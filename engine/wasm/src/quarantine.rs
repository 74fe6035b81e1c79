//! Takes a rule that keeps failing out of the path for a while.
//!
//! Decision: failures are counted by their times in a ring as long as the limit, so "20 in 10 s"
//! means any 10 s and not a calendar window. The ring is touched on failure only; a call that goes
//! well reads one atomic number.
//!
//! A failure by fuel costs a fraction of a millisecond, and one that the clock has to end holds a
//! thread, and with it other people's requests, for many. So lost milliseconds have a limit of their
//! own: twenty calls that fill memory until they are ended would hold up everybody for 0.3 s.

use parking_lot::Mutex;
use seawall_model::Tick;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::SandboxLimits;

/// Counts failures, and says when there were too many.
#[derive(Debug)]
pub struct Quarantine {
    failures_max: usize,
    lost_ms_max: u64,
    window_ms: u64,
    quarantine_ms: u64,
    /// The last failures with the milliseconds that each held a thread, oldest first, never more
    /// than `failures_max`.
    recent: Mutex<VecDeque<(Tick, u64)>>,
    /// The tick at which calls are allowed again.
    closed_until: AtomicU64,
    quarantines: AtomicU64,
}

impl Quarantine {
    /// One that has seen no failure.
    #[must_use]
    pub fn new(limits: &SandboxLimits) -> Self {
        Self {
            failures_max: limits.failures_max.max(1) as usize,
            lost_ms_max: limits.failure_lost_ms_max,
            window_ms: limits.failure_window_ms,
            quarantine_ms: limits.quarantine_ms,
            recent: Mutex::default(),
            closed_until: AtomicU64::new(0),
            quarantines: AtomicU64::new(0),
        }
    }

    /// Whether there is no quarantine now.
    #[must_use]
    pub fn allows(&self, now: Tick) -> bool {
        now.0 >= self.closed_until.load(Relaxed)
    }

    /// Notes a failure that held a thread for about `lost_ms`.
    pub fn note_failure(&self, now: Tick, lost_ms: u64) {
        let mut recent = self.recent.lock();
        recent.retain(|(at, _)| now.since_ms(*at) <= self.window_ms);
        recent.push_back((now, lost_ms));
        let lost_ms = recent.iter().fold(0_u64, |sum, (_, lost)| sum.saturating_add(*lost));
        if recent.len() >= self.failures_max || lost_ms > self.lost_ms_max {
            recent.clear();
            self.close(now);
        }
    }

    /// Quarantine at once.
    pub(crate) fn close(&self, now: Tick) {
        self.closed_until.store(now.plus_ms(self.quarantine_ms).0, Relaxed);
        self.quarantines.fetch_add(1, Relaxed);
    }

    /// Ends a quarantine, and forgets what led to it.
    pub fn open(&self) {
        self.recent.lock().clear();
        self.closed_until.store(0, Relaxed);
    }

    /// The tick until which the rule is in quarantine, if it has ever been.
    #[must_use]
    pub fn until(&self) -> Option<Tick> {
        Some(Tick(self.closed_until.load(Relaxed))).filter(|until| until.0 > 0)
    }

    /// How often there was one.
    #[must_use]
    pub fn quarantines(&self) -> u64 {
        self.quarantines.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Quarantine {
        Quarantine::new(&SandboxLimits {
            failures_max: 3,
            failure_lost_ms_max: 50,
            failure_window_ms: 100,
            quarantine_ms: 1_000,
            ..SandboxLimits::default()
        })
    }

    #[test]
    fn lost_time_closes_before_the_failures_are_many() {
        let breaker = breaker();
        breaker.note_failure(Tick(10), 50);
        assert!(breaker.allows(Tick(10)), "at the limit");
        breaker.note_failure(Tick(110), 1);
        assert!(!breaker.allows(Tick(111)));
        let spread = self::breaker();
        spread.note_failure(Tick(10), 50);
        spread.note_failure(Tick(111), 50);
        assert!(spread.allows(Tick(111)), "the first is out of the window");
    }

    fn failed(times: &[u64]) -> Quarantine {
        let breaker = breaker();
        times.iter().for_each(|at| breaker.note_failure(Tick(*at), 0));
        breaker
    }

    #[test]
    fn the_last_failure_that_is_allowed_is_allowed_and_one_more_closes() {
        assert!(failed(&[10, 20]).allows(Tick(21)));
        let closed = failed(&[10, 20, 110]);
        assert!(!closed.allows(Tick(1_109)));
        assert!(closed.allows(Tick(1_110)));
        assert_eq!((closed.quarantines(), closed.until()), (1, Some(Tick(1_110))));
    }

    #[test]
    fn a_quarantine_that_is_ended_leaves_nothing_behind() {
        let breaker = failed(&[10, 20, 110]);
        breaker.open();
        assert!(breaker.allows(Tick(111)));
        breaker.note_failure(Tick(111), 0);
        breaker.note_failure(Tick(112), 0);
        assert!(breaker.allows(Tick(113)));
        breaker.note_failure(Tick(113), 0);
        assert!(!breaker.allows(Tick(114)));
        assert_eq!(breaker.quarantines(), 2, "they are counted all the same");
    }

    #[test]
    fn failures_that_are_spread_out_never_close() {
        assert!(failed(&[10, 60, 111, 162, 213]).allows(Tick(214)));
    }

    #[test]
    fn a_rule_that_comes_back_starts_from_nothing() {
        let breaker = failed(&[1, 2, 3]);
        breaker.note_failure(Tick(1_010), 0);
        breaker.note_failure(Tick(1_011), 0);
        assert!(breaker.allows(Tick(1_012)));
        breaker.note_failure(Tick(1_013), 0);
        assert!(!breaker.allows(Tick(1_014)));
    }
}
