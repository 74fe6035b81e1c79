//! `limit`: counts what it admits, and says when a key is over.
//!
//! A request is within the rate while what this limit admitted in the sliding window, plus one, is
//! at most N. Beyond that it takes one from a reserve of B that refills evenly over ten windows;
//! with the reserve empty it is over. Whatever is admitted counts in the window, what came out of
//! the reserve too: so a reserve is an allowance for a burst and no second rate. What is refused
//! counts nowhere, so that a client that keeps knocking is let in again when its window allows.
//!
//! Where this does not protect: a key that is idle may lose its slot, and with it the memory of a
//! hold that has ended, so the next one does not double.
//!
//! The terms (N, W, B, hold) come with each request and not with the table: an edit changes them
//! under a running count and refills nothing.

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
    /// Requests that one window admits; more than [`TABLE_COUNT_MAX`](crate::TABLE_COUNT_MAX) is
    /// that many.
    pub n: u64,
    /// The window; longer than [`TABLE_WINDOW_MS_MAX`](crate::TABLE_WINDOW_MS_MAX) is that long.
    pub window_ms: u64,
    /// The reserve beyond them; more than 2^32 − 1 is that many.
    pub burst: u64,
}

/// `hold D doubling to M`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// How long a key that went over stays over; longer than [`TABLE_HOLD_MS_MAX`] is that long.
    pub for_ms: u64,
    /// The longest hold; each trigger within this time of the last doubles the hold up to it.
    pub doubling_to_ms: Option<u64>,
}

/// What a limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitOutcome {
    /// Admitted, and counted.
    Allowed,
    /// Over, and not counted.
    Exceeded {
        /// Milliseconds after which the next request would be admitted, a hold included, if the
        /// key asks nothing in between; `u64::MAX` if never.
        retry_after_ms: u64,
        /// When the hold that is running now began; `None` if none is.
        hold_began: Option<Tick>,
    },
}

/// All that a limit needs to know to judge a request.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitConfig<'p> {
    /// The rate.
    pub rate: &'p Rate,
    /// The hold, if the limit has one.
    pub hold: Option<&'p Penalty>,
    /// When the pass that came with the request, and that satisfies the limit's challenge, was
    /// issued.
    pub pass: Option<Tick>,
}

/// Refilling the reserve takes so many windows (LANGUAGE §7).
const REFILL_WINDOWS: u64 = 10;

/// Bytes that a limit takes for each key it is made for.
pub const LIMIT_KEY_BYTES: usize = key_bytes::<PackedCount>();

/// One key of a limit, as it is reckoned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimitEntry {
    window: SlidingWindow,
    /// What is left of the reserve, in parts of which one request takes [`parts`]: each millisecond
    /// refills `burst` of them, so no fraction is lost.
    reserve: u64,
    /// The trigger of the last hold, and its length; a length of 0 is no hold.
    hold_began: Tick,
    hold_ms: u64,
    burst: u32,
    answered: CheckAnswer,
}

/// Whether a pass newer than the last hold was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckAnswer {
    No,
    Yes,
}

/// How a request was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Within,
    FromReserve,
    Held,
    Triggered,
}

/// How many parts of a reserve one request takes.
const fn parts(window_ms: u64) -> u64 {
    window_ms.saturating_mul(REFILL_WINDOWS)
}

fn reserve_of(rate: &Rate) -> u32 {
    u32::try_from(rate.burst).unwrap_or(u32::MAX)
}

impl RateLimitEntry {
    /// A key that was never seen: nothing counted, the reserve full.
    fn new(rate: &Rate, now: Tick) -> Self {
        Self::unspent(SlidingWindow::new(rate.window_ms, now), reserve_of(rate))
    }

    /// A full reserve, and no hold.
    fn unspent(window: SlidingWindow, burst: u32) -> Self {
        let reserve = u64::from(burst).saturating_mul(parts(window.window_ms()));
        let (hold_began, hold_ms) = (Tick(0), 0);
        Self { window, reserve, hold_began, hold_ms, burst, answered: CheckAnswer::No }
    }

    /// Moves on to `now` under `rate`.
    ///
    /// An edit never refills a reserve. A larger one fills up to its new size from now on; a
    /// smaller one is cut; and for the time since the key was last seen, which lies on both sides
    /// of the edit, the slower refill counts.
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

    /// Judges a request and counts it if it is admitted.
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

    /// Notes that a newer pass was shown during a hold. The first time, the window starts anew:
    /// it is full of what led to the hold, and would at once ask for the next pass.
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

    /// Milliseconds after which the next request is admitted, if none is in between.
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

    /// Judges a request that began under an older generation: by its own terms, on a copy. What
    /// it did is noted here in the terms that are here.
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

    /// Joins a twin that lived on in the table of an older generation: the stricter of the two. Where
    /// their windows differ, both are read over the one that is asked for from now on.
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

/// What the generations of one limit share.
#[derive(Debug)]
struct Shared {
    counts: Table<PackedCount>,
    newest: GenerationGuard,
    /// How often holds were lifted.
    lifts: AtomicU64,
}

/// The counts of one limit, as one generation sees them.
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

    /// A table of its own, for a limit that is in no policy.
    #[must_use]
    pub fn alone(keys: usize) -> Self {
        Self::new(keys, 0)
    }

    /// The same counts for a later generation.
    pub(crate) fn shared_with(&self, epoch: Epoch) -> Self {
        Self { shared: Arc::clone(&self.shared), epoch }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Takes over what `older` counts, for a generation that asks over `window_ms`.
    pub(crate) fn absorb(&self, older: &Self, window_ms: u64) {
        let join = |here: &mut RateLimitEntry, there: &RateLimitEntry| here.join(there, window_ms);
        self.shared.counts.absorb(&older.shared.counts, join);
    }

    pub(crate) fn filled(&self) -> TableOccupancy {
        self.shared.counts.filled()
    }

    /// Judges a request of `key` and counts it if it is admitted.
    ///
    /// A key that finds no room in the table is within: nobody is condemned for what could not be
    /// counted.
    pub fn admit(
        &self,
        key: Key,
        rate: &Rate,
        hold: Option<&Penalty>,
        now: Tick,
    ) -> RateLimitOutcome {
        self.admit_on(key, &RateLimitConfig { rate, hold, pass: None }, now)
    }

    /// [`admit`](Self::admit) for a request that may carry a pass.
    ///
    /// A pass that is not older than the running hold exempts from it; such a request counts like
    /// any other, from a window that starts anew with the first of them, and going over again
    /// begins a new hold that asks for a newer pass. The hold runs on for whoever shares the key
    /// and has no such pass.
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

    /// What [`admit`](Self::admit) would say; counts nothing and begins no hold.
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

    /// Ends the holds that began at `since` or later, and says how many: what undoes a wrong rule
    /// or a wrong generation. Counts and reserves stay.
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
