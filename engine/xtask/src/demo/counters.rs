//! What happened to every request of the demo.

use crate::pacing;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures whose text is kept; the rest is only counted.
const FAILURES_MAX: usize = 5;
/// No such moment yet.
const NEVER: u64 = u64::MAX;

/// Counters shared by all threads of the demo.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    served: AtomicU64,
    failed: AtomicU64,
    let_through: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    /// Microseconds since `start`.
    last_let_through_us: AtomicU64,
    first_refused_us: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// The counts at one moment, or between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Visitors' requests answered with their page.
    pub(crate) served: u64,
    /// Visitors' requests answered with anything else, or not.
    pub(crate) failed: u64,
    /// The attack's requests that the origin answered.
    pub(crate) let_through: u64,
    /// The attack's requests that Seawall refused.
    pub(crate) refused: u64,
    /// The attack's requests that ended otherwise.
    pub(crate) broken: u64,
}

/// How long an edit took to bite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnforcementDelay {
    /// From the save to the first request refused; `None` if none was.
    pub(crate) first: Option<Duration>,
    /// From the save to the last request let through; zero if none was.
    pub(crate) all: Duration,
}

impl Tally {
    /// Nothing has happened.
    pub(crate) fn new() -> Self {
        Self {
            start: pacing::now(),
            served: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            let_through: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            last_let_through_us: AtomicU64::new(0),
            first_refused_us: AtomicU64::new(NEVER),
            failures: Mutex::new(Vec::new()),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(NEVER)
    }

    /// A visitor got the page.
    pub(crate) fn served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// A visitor did not.
    pub(crate) fn failed(&self, why: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(|broken| broken.into_inner());
        if failures.len() < FAILURES_MAX {
            failures.push(why);
        }
    }

    /// An attacker's request reached the origin.
    pub(crate) fn let_through(&self) {
        self.let_through.fetch_add(1, Ordering::Relaxed);
        self.last_let_through_us.fetch_max(self.now_us(), Ordering::Relaxed);
    }

    /// An attacker's request was refused.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.first_refused_us.fetch_min(self.now_us(), Ordering::Relaxed);
    }

    /// An attacker's request ended in some other way.
    pub(crate) fn broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts now.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            served: self.served.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            let_through: self.let_through.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
        }
    }

    /// Starts to measure an edit; gives back the moment, for [`Tally::bite`].
    pub(crate) fn mark(&self) -> u64 {
        self.first_refused_us.store(NEVER, Ordering::Relaxed);
        self.now_us()
    }

    /// Returns how long after `mark` the edit was enforced.
    pub(crate) fn bite(&self, mark: u64) -> EnforcementDelay {
        let first = self.first_refused_us.load(Ordering::Relaxed);
        let last = self.last_let_through_us.load(Ordering::Relaxed);
        EnforcementDelay {
            first: (first != NEVER).then(|| Duration::from_micros(first.saturating_sub(mark))),
            all: Duration::from_micros(last.saturating_sub(mark)),
        }
    }

    /// Returns the first failures of visitors, as text.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(|broken| broken.into_inner()).clone()
    }
}

impl Counts {
    /// What happened since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            served: self.served - earlier.served,
            failed: self.failed - earlier.failed,
            let_through: self.let_through - earlier.let_through,
            refused: self.refused - earlier.refused,
            broken: self.broken - earlier.broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_bites_when_the_last_request_was_let_through() {
        let tally = Tally::new();
        tally.refused();
        let mark = tally.mark();
        assert!(tally.bite(mark).first.is_none());
        assert_eq!(tally.bite(mark).all, Duration::ZERO);
        pacing::pause(Duration::from_millis(2));
        tally.let_through();
        tally.refused();
        let bite = tally.bite(mark);
        assert!(bite.all >= Duration::from_millis(2));
        assert!(bite.first.unwrap() >= bite.all);
    }

    #[test]
    fn failures_are_counted_all_and_kept_few() {
        let tally = Tally::new();
        let before = tally.counts();
        for n in 0..100 {
            tally.failed(format!("failure {n}"));
        }
        assert_eq!(tally.counts().since(&before).failed, 100);
        assert_eq!(tally.failures().len(), FAILURES_MAX);
    }
}
