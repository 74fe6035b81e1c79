//! A circuit breaker: stops requests to an origin that fails, and tests when it is back.
//!
//! Closed, it allows all requests. After too many consecutive failures, or too high a percentage of
//! failures, it opens and allows none. After a time it is half-open and allows a few trial
//! requests. A successful trial closes it. A failed trial opens it for twice as long, up to a
//! limit. (M. Nygard, *Release It!*; Envoy's outlier detection has the same two conditions.)
//!
//! INVARIANT: a result counts only in the phase in which its request began. A request that was sent
//! before the failure can fail long after the recovery, and must not open the breaker again. A
//! health check can force the breaker open and end this, but never closes it: a trial proves more.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use seawall_model::Tick;

/// The conditions to open a breaker, and the durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreakerConfig {
    /// Number of consecutive connection failures that open it; at least 1.
    pub failures_max: u32,
    /// Percentage of failures that opens it; over 100 means never.
    pub failures_percent: u32,
    /// Fewest results for the percentage to count.
    pub results_min: u32,
    /// Milliseconds over which the percentage is computed. If the breaker opens again within this
    /// time after it closed, it opens for longer.
    pub window_ms: u64,
    /// Milliseconds for which it opens at first.
    pub open_ms: u64,
    /// Maximum milliseconds for which it opens.
    pub open_ms_max: u64,
    /// Most trial requests at the same time; at least 1.
    pub trials_max: u32,
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// It allows all requests.
    Closed,
    /// It allows no request.
    Open,
    /// It allows a few trial requests.
    HalfOpen,
}

/// The permit for one request. The caller must report the outcome with it, or release it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct CircuitPermit {
    epoch: u64,
    is_trial: bool,
}

/// The kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The connection failed: no request can cause this.
    ConnectFailed,
    /// The origin accepted the request and did not respond. A request can cause this, so it counts
    /// in the percentage and not as a consecutive failure.
    NoResponse,
}

/// The change by one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitTransition {
    /// The breaker opened.
    Opened,
    /// The breaker closed.
    Closed,
}

#[derive(Debug)]
struct Inner {
    phase: CircuitState,
    /// The time of the last change of phase.
    changed: Tick,
    /// The end of the open phase.
    until: Tick,
    /// The end of the forced open phase.
    held_until: Tick,
    /// The duration of the last open phase.
    open_ms: u64,
    trials: u32,
    /// Failures since `window_from`.
    failures: u32,
    window_from: Tick,
    opened: u64,
}

/// A circuit breaker, shared by all requests to an origin.
#[derive(Debug)]
pub struct CircuitBreaker {
    terms: CircuitBreakerConfig,
    /// The number of phases so far, shifted by one, and whether this one is closed. The most
    /// frequent query needs no lock.
    sign: AtomicU64,
    /// Consecutive failures.
    row: AtomicU32,
    /// Results since the start of the window, with failures.
    results: AtomicU32,
    inner: Mutex<Inner>,
}

impl CircuitBreaker {
    /// Creates a closed breaker.
    #[must_use]
    pub fn new(terms: CircuitBreakerConfig) -> Self {
        let inner = Inner {
            phase: CircuitState::Closed,
            changed: Tick(0),
            until: Tick(0),
            held_until: Tick(0),
            open_ms: 0,
            trials: 0,
            failures: 0,
            window_from: Tick(0),
            opened: 0,
        };
        Self {
            terms,
            sign: AtomicU64::new(1),
            row: AtomicU32::new(0),
            results: AtomicU32::new(0),
            inner: Mutex::new(inner),
        }
    }

    /// Returns a permit for one request, if it is allowed.
    pub fn try_acquire(&self, now: Tick) -> Option<CircuitPermit> {
        let sign = self.sign.load(Relaxed);
        if sign & 1 == 1 {
            return Some(CircuitPermit { epoch: sign >> 1, is_trial: false });
        }
        let mut inner = self.inner.lock();
        self.try_half_open(&mut inner, now);
        match inner.phase {
            CircuitState::Closed => Some(CircuitPermit { epoch: self.epoch(), is_trial: false }),
            CircuitState::HalfOpen if inner.trials < self.terms.trials_max.max(1) => {
                inner.trials = inner.trials.saturating_add(1);
                Some(CircuitPermit { epoch: self.epoch(), is_trial: true })
            }
            CircuitState::HalfOpen | CircuitState::Open => None,
        }
    }

    /// Returns how many more requests are allowed now.
    #[must_use]
    pub fn room(&self, now: Tick) -> u32 {
        if self.is_closed() {
            return u32::MAX;
        }
        let inner = self.inner.lock();
        let trials_max = self.terms.trials_max.max(1);
        match inner.phase {
            CircuitState::Closed => u32::MAX,
            CircuitState::HalfOpen => trials_max.saturating_sub(inner.trials),
            CircuitState::Open if inner.is_ripe(now) => trials_max,
            CircuitState::Open => 0,
        }
    }

    /// Reports a response to the request.
    pub fn record_success(&self, pass: CircuitPermit, now: Tick) -> Option<CircuitTransition> {
        if !pass.is_trial {
            if self.sign.load(Relaxed) == (pass.epoch << 1 | 1) {
                self.results.fetch_add(1, Relaxed);
                if self.row.load(Relaxed) != 0 {
                    self.row.store(0, Relaxed);
                }
            }
            return None;
        }
        let mut inner = self.inner.lock();
        if pass.epoch != self.epoch() {
            return None;
        }
        self.turn(&mut inner, CircuitState::Closed, now);
        Some(CircuitTransition::Closed)
    }

    /// Reports a failure caused by the origin.
    pub fn fail(
        &self,
        pass: CircuitPermit,
        fault: FailureKind,
        now: Tick,
    ) -> Option<CircuitTransition> {
        let mut inner = self.inner.lock();
        if pass.epoch != self.epoch() {
            return None;
        }
        if !pass.is_trial {
            let is_row_too_long = fault == FailureKind::ConnectFailed
                && self.row.fetch_add(1, Relaxed).saturating_add(1)
                    >= self.terms.failures_max.max(1);
            if !self.is_share_too_large(&mut inner, now) && !is_row_too_long {
                return None;
            }
        }
        self.open(&mut inner, now);
        Some(CircuitTransition::Opened)
    }

    /// Releases a permit without a result.
    pub fn release(&self, pass: CircuitPermit) {
        if !pass.is_trial {
            return;
        }
        let mut inner = self.inner.lock();
        if pass.epoch == self.epoch() {
            inner.trials = inner.trials.saturating_sub(1);
        }
    }

    /// Forces the breaker open for `ms` from now on, in any phase: a health check failed.
    pub fn force_open(&self, now: Tick, ms: u64) -> Option<CircuitTransition> {
        let mut inner = self.inner.lock();
        inner.held_until = now.plus_ms(ms);
        if inner.phase == CircuitState::Open {
            return None;
        }
        self.open(&mut inner, now);
        Some(CircuitTransition::Opened)
    }

    /// Ends the forced open phase: a health check succeeded. The open phase itself continues to its
    /// end.
    pub fn end_force_open(&self) {
        if !self.is_closed() {
            self.inner.lock().held_until = Tick(0);
        }
    }

    /// Returns whether it allows all requests.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sign.load(Relaxed) & 1 == 1
    }

    /// Returns its phase, the start of the phase, and how often it opened.
    #[must_use]
    pub fn phase(&self, now: Tick) -> (CircuitState, Tick, u64) {
        let inner = self.inner.lock();
        let ripe = inner.phase == CircuitState::Open && inner.is_ripe(now);
        let phase = if ripe { CircuitState::HalfOpen } else { inner.phase };
        (phase, inner.changed, inner.opened)
    }

    fn epoch(&self) -> u64 {
        self.sign.load(Relaxed) >> 1
    }

    /// Counts a failure in the window. Starts a new window if the last one has passed.
    fn is_share_too_large(&self, inner: &mut Inner, now: Tick) -> bool {
        if now.since_ms(inner.window_from) >= self.terms.window_ms {
            inner.window_from = now;
            inner.failures = 0;
            self.results.store(0, Relaxed);
        }
        inner.failures = inner.failures.saturating_add(1);
        let results = self.results.fetch_add(1, Relaxed).saturating_add(1);
        let percent = u64::from(inner.failures).saturating_mul(100);
        results >= self.terms.results_min
            && percent >= u64::from(self.terms.failures_percent).saturating_mul(u64::from(results))
    }

    /// Opens the breaker, for longer if the last open phase was recent.
    fn open(&self, inner: &mut Inner, now: Tick) {
        let again = inner.opened > 0 && now.since_ms(inner.changed) < self.terms.window_ms;
        let longer = if again { inner.open_ms.saturating_mul(2) } else { 0 };
        inner.open_ms = longer.max(self.terms.open_ms).min(self.terms.open_ms_max);
        inner.until = now.plus_ms(inner.open_ms);
        inner.opened = inner.opened.saturating_add(1);
        self.turn(inner, CircuitState::Open, now);
    }

    /// Makes the breaker half-open at the end of its open phase.
    fn try_half_open(&self, inner: &mut Inner, now: Tick) {
        if inner.phase == CircuitState::Open && inner.is_ripe(now) {
            self.turn(inner, CircuitState::HalfOpen, now);
        }
    }

    fn turn(&self, inner: &mut Inner, phase: CircuitState, now: Tick) {
        inner.phase = phase;
        inner.changed = now;
        inner.trials = 0;
        inner.failures = 0;
        inner.window_from = now;
        self.row.store(0, Relaxed);
        self.results.store(0, Relaxed);
        let epoch = self.epoch().saturating_add(1);
        self.sign.store(epoch << 1 | u64::from(phase == CircuitState::Closed), Relaxed);
    }
}

impl Inner {
    fn is_ripe(&self, now: Tick) -> bool {
        now >= self.until && now >= self.held_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: CircuitBreakerConfig = CircuitBreakerConfig {
        failures_max: 3,
        failures_percent: 50,
        results_min: 10,
        window_ms: 10_000,
        open_ms: 100,
        open_ms_max: 400,
        trials_max: 2,
    };

    fn pass(breaker: &CircuitBreaker, at: u64) -> CircuitPermit {
        breaker.try_acquire(Tick(at)).unwrap()
    }

    fn fail(breaker: &CircuitBreaker, at: u64) -> Option<CircuitTransition> {
        breaker.fail(pass(breaker, at), FailureKind::ConnectFailed, Tick(at))
    }

    fn fell(breaker: &CircuitBreaker, at: u64) {
        assert_eq!((fail(breaker, at), fail(breaker, at)), (None, None));
        assert_eq!(fail(breaker, at), Some(CircuitTransition::Opened));
    }

    fn opened_at(at: u64) -> CircuitBreaker {
        let breaker = CircuitBreaker::new(TERMS);
        fell(&breaker, at);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_count_as_one() {
        let breaker = CircuitBreaker::new(TERMS);
        for at in 0..3 {
            assert_eq!((fail(&breaker, at), fail(&breaker, at)), (None, None));
            assert_eq!(breaker.record_success(pass(&breaker, at), Tick(at)), None);
        }
        // Of 9 results, 6 are failures: the tenth makes the percentage count.
        assert_eq!(fail(&breaker, 3), Some(CircuitTransition::Opened));
        let open = opened_at(5);
        assert!(open.try_acquire(Tick(5)).is_none() && open.try_acquire(Tick(104)).is_none());
        assert_eq!(open.phase(Tick(104)), (CircuitState::Open, Tick(5), 1));
    }

    #[test]
    fn a_share_below_the_terms_never_opens_it() {
        let breaker = CircuitBreaker::new(TERMS);
        for at in 0..1_000 {
            assert_eq!(fail(&breaker, at), None);
            for _ in 0..2 {
                breaker.record_success(pass(&breaker, at), Tick(at));
            }
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn silence_counts_in_the_share_only_and_fails_a_trial() {
        let breaker = CircuitBreaker::new(TERMS);
        let silent = |at| breaker.fail(pass(&breaker, at), FailureKind::NoResponse, Tick(at));
        assert!((0..9).all(|at| silent(at).is_none()));
        assert_eq!(silent(9), Some(CircuitTransition::Opened), "ten of ten");
        assert_eq!(silent(109), Some(CircuitTransition::Opened));
    }

    #[test]
    fn half_open_lets_so_many_trials_through_and_one_that_goes_well_closes_it() {
        let breaker = opened_at(0);
        assert_eq!(breaker.room(Tick(99)), 0);
        assert_eq!(breaker.room(Tick(100)), 2);
        let (first, second) = (pass(&breaker, 100), pass(&breaker, 100));
        assert!(breaker.try_acquire(Tick(1_000)).is_none());
        breaker.release(second);
        assert_eq!(breaker.room(Tick(100)), 1);
        assert_eq!(breaker.record_success(first, Tick(101)), Some(CircuitTransition::Closed));
        assert!(breaker.try_acquire(Tick(101)).is_some());
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_twice_as_long_up_to_the_most() {
        let breaker = opened_at(0);
        let mut at = 100;
        for open_ms in [200, 400, 400] {
            assert_eq!(fail(&breaker, at), Some(CircuitTransition::Opened));
            assert!(breaker.try_acquire(Tick(at + open_ms - 1)).is_none());
            at += open_ms;
        }
        let trial = pass(&breaker, at);
        breaker.record_success(trial, Tick(at));
        // It opens again at once: the previous duration counts.
        fell(&breaker, at + 1);
        assert!(
            breaker.try_acquire(Tick(at + 400)).is_none()
                && breaker.try_acquire(Tick(at + 401)).is_some()
        );
        let calm = opened_at(0);
        let trial = pass(&calm, 100);
        calm.record_success(trial, Tick(100));
        fell(&calm, 10_100);
        assert!(
            calm.try_acquire(Tick(10_199)).is_none() && calm.try_acquire(Tick(10_200)).is_some()
        );
    }

    #[test]
    fn what_was_begun_in_an_earlier_phase_changes_nothing() {
        let breaker = CircuitBreaker::new(TERMS);
        let (old, older) = (pass(&breaker, 0), pass(&breaker, 0));
        fell(&breaker, 0);
        assert_eq!(breaker.record_success(old, Tick(50)), None);
        let trial = pass(&breaker, 100);
        assert_eq!(breaker.fail(older, FailureKind::ConnectFailed, Tick(100)), None);
        breaker.release(old);
        assert_eq!(breaker.room(Tick(100)), 1, "no trial was given back");
        assert_eq!(breaker.record_success(trial, Tick(100)), Some(CircuitTransition::Closed));
        assert_eq!(
            breaker.fail(trial, FailureKind::ConnectFailed, Tick(100)),
            None,
            "it has been told already"
        );
    }

    #[test]
    fn who_checks_holds_it_open_and_lets_it_go() {
        let breaker = CircuitBreaker::new(TERMS);
        assert_eq!(breaker.force_open(Tick(0), 1_000), Some(CircuitTransition::Opened));
        assert_eq!(breaker.force_open(Tick(500), 1_000), None);
        assert!(breaker.try_acquire(Tick(1_499)).is_none());
        breaker.end_force_open();
        assert!(breaker.try_acquire(Tick(99)).is_none(), "its own time is not over");
        let trial = pass(&breaker, 100);
        assert_eq!(breaker.force_open(Tick(101), 1_000), Some(CircuitTransition::Opened));
        assert_eq!(breaker.record_success(trial, Tick(102)), None);
        assert!(breaker.try_acquire(Tick(1_101)).is_some(), "nobody holds it any more");
    }

    proptest! {
        #[test]
        fn while_every_request_fails_few_are_sent(
            gaps in prop::collection::vec(0_u64..40, 1..2_000),
        ) {
            let breaker = CircuitBreaker::new(TERMS);
            let (mut now, mut sent) = (0, 0_u64);
            for gap in gaps {
                now += gap;
                if let Some(pass) = breaker.try_acquire(Tick(now)) {
                    sent += 1;
                    breaker.fail(pass, FailureKind::ConnectFailed, Tick(now));
                }
            }
            // Three requests open it; then one for each open phase: 100, 200, 400, 400 …
            let trials = (now / 100).min(1) + (now / 300).min(1) + now / 400;
            prop_assert!(sent <= 3 + trials, "{} in {} ms", sent, now);
        }

        #[test]
        fn trials_never_exceed_their_number(steps in prop::collection::vec(0_u8..4, 1..500)) {
            let breaker = opened_at(0);
            let (mut now, mut out) = (0, Vec::new());
            for step in steps {
                now += 30;
                match step {
                    0 | 1 => out.extend(breaker.try_acquire(Tick(now)).filter(|pass| pass.is_trial)),
                    2 => {
                        if let Some(pass) = out.pop() {
                            breaker.release(pass);
                        }
                    }
                    _ => {
                        if let Some(pass) = out.pop() {
                            breaker.fail(pass, FailureKind::ConnectFailed, Tick(now));
                        }
                    }
                }
                let epoch = breaker.epoch();
                let live = out.iter().filter(|pass| pass.epoch == epoch).count();
                prop_assert!(live <= 2, "{live} trials");
            }
        }
    }
}
