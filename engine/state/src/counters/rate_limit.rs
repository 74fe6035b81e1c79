//! `limit`: counts admitted requests, and determines when a key exceeds its rate.
//!
//! A request is within the rate if the requests admitted in the sliding window, plus one, are at
//! most N. Above that it takes one from a burst of B, which refills evenly over ten windows;
//! without burst the limit is exceeded. All admitted requests count in the window, also those from
//! the burst, so the burst is no second rate. Rejected requests do not count, so that a client with
//! constant attempts is admitted again when its window allows it. The parameters (N, W, B, hold)
//! come with each request: an edit changes them without a reset.
//!
//! Limitation: an idle key can lose its slot, and with it the memory of an ended hold, so the next
//! hold does not double.

mod codec;
mod packed;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_model::Tick;

use crate::counters::generation_guard::{CallerAge, Epoch, GenerationGuard};
use crate::counters::sliding_window::{SlidingWindow, joined_ms, scale_down, scale_up};
use crate::counters::table::{Entry, EvictionClass, Table, TableOccupancy, key_bytes};
use crate::key::Key;
use packed::PackedCount;
pub use packed::TABLE_HOLD_MS_MAX;

/// `to N/W burst B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests admitted in one window; at most [`TABLE_COUNT_MAX`](crate::TABLE_COUNT_MAX).
    pub n: u64,
    /// The window; at most [`TABLE_WINDOW_MS_MAX`](crate::TABLE_WINDOW_MS_MAX).
    pub window_ms: u64,
    /// The burst beyond them; at most 2^32 − 1.
    pub burst: u64,
}

/// `hold D doubling to M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Milliseconds of the hold after the rate is exceeded; at most [`TABLE_HOLD_MS_MAX`].
    pub for_ms: u64,
    /// The longest hold. Each trigger within this time after the last one doubles the hold up to
    /// it.
    pub doubling_to_ms: Option<u64>,
}

/// The result of a request at the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitOutcome {
    /// The request is admitted and counted.
    Allowed,
    /// The limit is exceeded; the request is not counted.
    Exceeded {
        /// Milliseconds until the next request would be admitted, with the hold, if the key sends
        /// none in between; `u64::MAX` if never.
        retry_after_ms: u64,
        /// The start of the active hold; `None` without one.
        hold_began: Option<Tick>,
    },
}

/// The parameters of a limit for one request.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitConfig<'p> {
    /// The rate.
    pub rate: &'p Rate,
    /// The hold, if the limit has one.
    pub hold: Option<&'p Penalty>,
    /// The time of issue of the pass in the request, if it satisfies the limit's challenge.
    pub pass: Option<Tick>,
}

/// Number of windows in which an empty burst refills.
const REFILL_WINDOWS: u64 = 10;

/// Bytes of a limit for each requested key.
pub const LIMIT_KEY_BYTES: usize = key_bytes::<PackedCount>();

/// One key of a limit, unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitEntry {
    window: SlidingWindow,
    /// The remaining burst, in parts. One request takes [`parts`] of them, and each millisecond
    /// refills `burst` of them, so no fraction is lost.
    reserve: u64,
    /// The trigger of the last hold, and its length; 0 means no hold.
    hold_began: Tick,
    hold_ms: u64,
    burst: u32,
    answered: CheckAnswer,
}

/// Whether a pass newer than the last hold was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckAnswer {
    No,
    Yes,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Within,
    FromReserve,
    Held,
    Triggered,
}

/// Returns the parts of a burst that one request takes.
const fn parts(window_ms: u64) -> u64 {
    window_ms.saturating_mul(REFILL_WINDOWS)
}

fn reserve_of(rate: &Rate) -> u32 {
    u32::try_from(rate.burst).unwrap_or(u32::MAX)
}

impl RateLimitEntry {
    /// Creates an entry of an unknown key: nothing counted, and a full burst.
    fn new(rate: &Rate, now: Tick) -> Self {
        Self::unspent(SlidingWindow::new(rate.window_ms, now), reserve_of(rate))
    }

    /// Creates an entry with a full burst and without a hold.
    fn unspent(window: SlidingWindow, burst: u32) -> Self {
        let reserve = u64::from(burst).saturating_mul(parts(window.window_ms()));
        let (hold_began, hold_ms) = (Tick(0), 0);
        Self { window, reserve, hold_began, hold_ms, burst, answered: CheckAnswer::No }
    }

    /// Advances the entry to `now` under `rate`.
    ///
    /// An edit never refills a burst. A larger burst fills to its new size from now on; a smaller
    /// one is cut. The time since the key was last seen can include the edit, so the slower refill
    /// counts for it.
    fn settle(&mut self, rate: &Rate, now: Tick) {
        let old_ms = self.window.window_ms();
        let new_ms = rate.window_ms.max(1);
        let burst = self.burst.min(reserve_of(rate));
        let since_ms = now.since_ms(self.window.seen());
        let refill =
            scale_down(since_ms.saturating_mul(u64::from(burst)), old_ms, old_ms.max(new_ms));
        let full = u64::from(burst).saturating_mul(parts(old_ms));
        let reserve = self.reserve.saturating_add(refill).min(full);
        self.reserve = scale_down(reserve, new_ms, old_ms);
        self.burst = reserve_of(rate);
        self.window.advance(now);
        self.window.read_over(new_ms);
    }

    fn hold_ends(&self) -> Tick {
        self.hold_began.plus_ms(self.hold_ms)
    }

    fn is_held(&self, now: Tick) -> bool {
        now < self.hold_ends()
    }

    /// Evaluates a request and counts it if it is admitted.
    fn check(&mut self, terms: &RateLimitConfig<'_>, now: Tick) -> Step {
        let now = now.max(self.window.seen());
        self.settle(terms.rate, now);
        if self.is_held(now) {
            if terms.pass.is_none_or(|issued| issued < self.hold_began) {
                return Step::Held;
            }
            self.answer();
        }
        if self.window.sum() < terms.rate.n {
            self.window.add(1);
            return Step::Within;
        }
        if let Some(left) = self.reserve.checked_sub(parts(self.window.window_ms())) {
            self.reserve = left;
            self.window.add(1);
            return Step::FromReserve;
        }
        if let Some(hold) = terms.hold {
            self.begin_hold(hold, now);
        }
        Step::Triggered
    }

    /// Records that a newer pass was presented during a hold. The first time, the window is
    /// cleared: it is full of the requests that led to the hold, and would immediately require
    /// another pass.
    fn answer(&mut self) {
        if self.answered == CheckAnswer::No {
            self.answered = CheckAnswer::Yes;
            self.window.clear();
        }
    }

    fn begin_hold(&mut self, hold: &Penalty, now: Tick) {
        self.hold_ms = match hold.doubling_to_ms {
            Some(most_ms) if self.hold_ms > 0 && now.since_ms(self.hold_began) <= most_ms => {
                self.hold_ms.saturating_mul(2).min(most_ms).max(hold.for_ms)
            }
            _ => hold.for_ms,
        };
        self.hold_began = now;
        self.answered = CheckAnswer::No;
    }

    /// Returns the milliseconds until the next request is admitted, without requests in between.
    fn retry_after_ms(&self, rate: &Rate) -> u64 {
        let now = self.window.seen();
        let by_rate_ms = match rate.n.checked_sub(1) {
            Some(sum_max) => self.window.falls_to_after_ms(sum_max),
            None => u64::MAX,
        };
        let by_reserve_ms = match u64::from(self.burst) {
            0 => u64::MAX,
            burst => {
                let short = parts(self.window.window_ms()).saturating_sub(self.reserve);
                scale_up(short, 1, burst)
            }
        };
        by_rate_ms.min(by_reserve_ms).max(self.hold_ends().since_ms(now))
    }

    fn outcome(&self, step: Step, rate: &Rate) -> RateLimitOutcome {
        match step {
            Step::Within | Step::FromReserve => RateLimitOutcome::Allowed,
            Step::Held | Step::Triggered => RateLimitOutcome::Exceeded {
                retry_after_ms: self.retry_after_ms(rate),
                hold_began: self.is_held(self.window.seen()).then_some(self.hold_began),
            },
        }
    }

    /// Evaluates a request of an older generation with its own parameters, on a copy. Its effect is
    /// stored with the current parameters.
    fn check_older(&mut self, terms: &RateLimitConfig<'_>, now: Tick) -> RateLimitOutcome {
        let mut copy = *self;
        let step = copy.check(terms, now);
        let window_ms = self.window.window_ms();
        let own = Rate { n: 0, window_ms, burst: u64::from(self.burst) };
        self.settle(&own, now.max(self.window.seen()));
        match step {
            Step::Within => self.window.add(1),
            Step::FromReserve => {
                self.window.add(1);
                self.reserve = self.reserve.saturating_sub(parts(window_ms));
            }
            Step::Held => {}
            Step::Triggered => {
                self.hold_began = copy.hold_began;
                self.hold_ms = copy.hold_ms;
                self.answered = copy.answered;
            }
        }
        copy.outcome(step, terms.rate)
    }

    /// Merges an entry of the table of an older generation: the stricter values win. If the windows
    /// differ, both are converted to the one that is requested from now on.
    fn join(&mut self, other: &Self, asked_ms: u64) {
        let window_ms = joined_ms(self.window.window_ms(), other.window.window_ms(), asked_ms);
        let rate = Rate { n: 0, window_ms, burst: u64::from(self.burst) };
        let now = self.window.seen().max(other.window.seen());
        let mut other = *other;
        other.settle(&rate, now);
        self.settle(&rate, now);
        self.reserve = self.reserve.min(other.reserve);
        self.window.raise_to(&other.window, window_ms);
        if other.hold_ends() > self.hold_ends() {
            self.hold_began = other.hold_began;
            self.hold_ms = other.hold_ms;
            self.answered = other.answered;
        }
    }
}

impl Entry for RateLimitEntry {
    fn seen(&self) -> Tick {
        self.window.seen()
    }

    fn standing(&self, now: Tick) -> EvictionClass {
        if self.is_held(now) {
            return EvictionClass::Held;
        }
        if self.window.standing(now) == EvictionClass::Live {
            return EvictionClass::Live;
        }
        let full = u64::from(self.burst).saturating_mul(parts(self.window.window_ms()));
        let refill = now.since_ms(self.window.seen()).saturating_mul(u64::from(self.burst));
        if self.reserve.saturating_add(refill) < full {
            EvictionClass::Live
        } else {
            EvictionClass::Idle
        }
    }
}

/// The data that the generations of one limit share.
#[derive(Debug)]
struct Shared {
    counts: Table<PackedCount>,
    newest: GenerationGuard,
    /// Number of ended holds.
    lifts: AtomicU64,
}

/// The counts of one limit, for one generation.
#[derive(Debug, Clone)]
pub struct RateLimitTable {
    shared: Arc<Shared>,
    epoch: Epoch,
}

impl RateLimitTable {
    pub(crate) fn new(keys: usize, epoch: Epoch) -> Self {
        let shared = Shared {
            counts: Table::new(keys),
            newest: GenerationGuard::default(),
            lifts: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), epoch }
    }

    /// Creates a table for a limit outside a policy.
    #[must_use]
    pub fn alone(keys: usize) -> Self {
        Self::new(keys, 0)
    }

    /// Returns a table with the same counts for a later generation.
    pub(crate) fn shared_with(&self, epoch: Epoch) -> Self {
        Self { shared: Arc::clone(&self.shared), epoch }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Adds the counts of `older`, for a generation with the window `window_ms`.
    pub(crate) fn absorb(&self, older: &Self, window_ms: u64) {
        let join = |here: &mut RateLimitEntry, there: &RateLimitEntry| here.join(there, window_ms);
        self.shared.counts.absorb(&older.shared.counts, join);
    }

    pub(crate) fn filled(&self) -> TableOccupancy {
        self.shared.counts.filled()
    }

    /// Evaluates a request of `key` and counts it if it is admitted.
    ///
    /// A key without a slot in the table is within the limit: no client is rejected because of a
    /// full table.
    pub fn admit(
        &self,
        key: Key,
        rate: &Rate,
        hold: Option<&Penalty>,
        now: Tick,
    ) -> RateLimitOutcome {
        self.admit_on(key, &RateLimitConfig { rate, hold, pass: None }, now)
    }

    /// Evaluates a request that can have a pass, as [`admit`](Self::admit) does.
    ///
    /// A pass that is not older than the active hold exempts from it. Such a request counts like
    /// any other, in a window that the first of them clears. If the limit is exceeded again, a new
    /// hold starts that requires a newer pass. The hold stays active for clients with the same key
    /// and without such a pass.
    pub fn admit_on(&self, key: Key, terms: &RateLimitConfig<'_>, now: Tick) -> RateLimitOutcome {
        let (rate, hold) = (terms.rate.bounded(), terms.hold.map(Penalty::bounded));
        let terms = &RateLimitConfig { rate: &rate, hold: hold.as_ref(), pass: terms.pass };
        let caller = self.shared.newest.caller(self.epoch);
        let judge = |count: &mut RateLimitEntry| match caller {
            CallerAge::Newest => {
                let step = count.check(terms, now);
                count.outcome(step, terms.rate)
            }
            CallerAge::Older => count.check_older(terms, now),
        };
        let fresh = || RateLimitEntry::new(terms.rate, now);
        self.shared.counts.update(key, now, fresh, judge).unwrap_or(RateLimitOutcome::Allowed)
    }

    /// Returns the result of [`admit`](Self::admit) without counting and without starting a hold.
    #[must_use]
    pub fn peek(
        &self,
        key: Key,
        rate: &Rate,
        hold: Option<&Penalty>,
        now: Tick,
    ) -> RateLimitOutcome {
        let (rate, hold) = (rate.bounded(), hold.map(Penalty::bounded));
        let found = self.shared.counts.read(key, |count| *count);
        let mut count = found.unwrap_or_else(|| RateLimitEntry::new(&rate, now));
        let step =
            count.check(&RateLimitConfig { rate: &rate, hold: hold.as_ref(), pass: None }, now);
        count.outcome(step, &rate)
    }

    /// Ends the holds that began at `since` or later, and returns their number. It reverts a wrong
    /// rule or generation. Counts and bursts stay.
    pub fn lift_holds(&self, since: Tick, now: Tick) -> usize {
        let mut lifted: usize = 0;
        self.shared.counts.each_mut(|count| {
            if count.is_held(now) && count.hold_began >= since {
                count.hold_ms = 0;
                lifted = lifted.saturating_add(1);
            }
        });
        self.shared.lifts.fetch_add(1, Ordering::Relaxed);
        lifted
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.shared.counts.bytes()
    }

    #[cfg(test)]
    pub(crate) fn evictions(&self) -> u64 {
        self.filled().evictions
    }
}

#[cfg(test)]
mod tests;
