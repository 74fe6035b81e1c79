//! Quarantine: disables a rule for a time after repeated failures.
//!
//! Decision: the times of failures are stored in a ring of the size of the limit, so "20 in 10 s"
//! means any 10 s and not a calendar window. Only failures use the ring; a successful call reads
//! one atomic number.
//!
//! A failure by fuel costs a fraction of a millisecond. A failure by time blocks a thread, and with
//! it other requests, for many. Lost milliseconds therefore have a limit of their own: twenty calls
//! that fill memory until their end would block all requests for 0.3 s.

use parking_lot::Mutex;
use seawall_model::Tick;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::SandboxLimits;

/// Counts failures and starts the quarantine.
#[derive(Debug)]
pub struct Quarantine {
    failures_max: usize,
    lost_ms_max: u64,
    window_ms: u64,
    quarantine_ms: u64,
    /// The last failures with the milliseconds for which each blocked a thread, oldest first, at
    /// most `failures_max`.
    recent: Mutex<VecDeque<(Tick, u64)>>,
    /// The time at which calls are allowed again.
    closed_until: AtomicU64,
    quarantines: AtomicU64,
}

impl Quarantine {
    /// Creates a quarantine without failures.
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

    /// Returns whether calls are allowed now.
    #[must_use]
    pub fn allows(&self, now: Tick) -> bool {
        now.0 >= self.closed_until.load(Relaxed)
    }

    /// Records a failure that blocked a thread for about `lost_ms`.
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

    /// Starts a quarantine immediately.
    pub(crate) fn close(&self, now: Tick) {
        self.closed_until.store(now.plus_ms(self.quarantine_ms).0, Relaxed);
        self.quarantines.fetch_add(1, Relaxed);
    }

    /// Ends a quarantine, and clears the failures that caused it.
    pub fn open(&self) {
        self.recent.lock().clear();
        self.closed_until.store(0, Relaxed);
    }

    /// Returns the end of the last quarantine, if there was one.
    #[must_use]
    pub fn until(&self) -> Option<Tick> {
        Some(Tick(self.closed_until.load(Relaxed))).filter(|until| until.0 > 0)
    }

    /// Returns the number of quarantines.
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
