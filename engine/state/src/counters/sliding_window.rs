//! A sliding window of two buckets.
//!
//! Buckets are aligned to multiples of the window, so a slot needs no start time. The sum over the
//! sliding window is the current bucket plus the part of the previous bucket that the window still
//! covers, in integers, rounded up. A list of times would be exact, but a client would control its
//! length.
//!
//! Limitation: the previous bucket counts as evenly filled. A burst at its end is forgotten up to
//! one window too early, or counted up to one window too long.

mod codec;
mod packed;

pub(crate) use codec::cut_stays;
pub(crate) use packed::{PackedBytes, PackedRequests};
pub use packed::{TABLE_COUNT_MAX, TABLE_WINDOW_MS_MAX};
use seawall_model::Tick;

use crate::counters::generation_guard::RequestedWindow;
use crate::counters::table::{Entry, EvictionClass};

/// The counts of two buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlidingWindow {
    /// The time of the last update.
    seen: Tick,
    window_ms: u64,
    before: u64,
    current: u64,
}

impl SlidingWindow {
    /// Creates an empty window.
    pub(crate) fn new(window_ms: u64, now: Tick) -> Self {
        Self { seen: now, window_ms: window_ms.max(1), before: 0, current: 0 }
    }

    /// Creates a window with these counts in the previous and the current bucket.
    #[cfg(test)]
    pub(crate) fn holding(seen: Tick, window_ms: u64, (before, current): (u64, u64)) -> Self {
        Self { seen, window_ms, before, current }
    }

    /// Returns the time of the last update.
    pub(crate) const fn seen(&self) -> Tick {
        self.seen
    }

    /// Returns its length.
    pub(crate) const fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// Advances to `now`.
    pub(crate) fn advance(&mut self, now: Tick) {
        match buckets_passed(self.window_ms, self.seen, now) {
            0 => {}
            1 => {
                self.before = self.current;
                self.current = 0;
            }
            _ => {
                self.before = 0;
                self.current = 0;
            }
        }
        self.seen = self.seen.max(now);
    }

    /// Adds `amount` to the current bucket.
    pub(crate) const fn add(&mut self, amount: u64) {
        self.current = self.current.saturating_add(amount);
    }

    /// Advances to `now` and adds `amount`, in the window that `asked` requests.
    pub(crate) fn feed(&mut self, amount: u64, asked: RequestedWindow, now: Tick) {
        self.advance(now);
        self.read_over(asked.for_slot(self.window_ms));
        self.add(amount);
    }

    /// Returns the count in the window that ends at the last update.
    pub(crate) fn sum(&self) -> u64 {
        let left_ms = self.window_ms.saturating_sub(self.elapsed_ms());
        self.current.saturating_add(scale_up(self.before, left_ms, self.window_ms))
    }

    /// Returns the count in a window of `window_ms` that ends at `now`. Changes nothing.
    pub(crate) fn sum_over(mut self, window_ms: u64, now: Tick) -> u64 {
        self.advance(now);
        self.read_over(window_ms);
        self.sum()
    }

    /// Converts to a window of another length, as far as the history reaches and never with less
    /// than its proportion.
    ///
    /// The converted amount goes to the current bucket: its distribution in time is no longer
    /// known, and counting it a little longer is the safe side.
    pub(crate) fn read_over(&mut self, window_ms: u64) {
        let window_ms = window_ms.max(1);
        if window_ms == self.window_ms {
            return;
        }
        let elapsed_ms = self.elapsed_ms();
        let reached = if window_ms < elapsed_ms {
            scale_up(self.current, window_ms, elapsed_ms)
        } else {
            let covered_ms = window_ms.saturating_sub(elapsed_ms).min(self.window_ms);
            self.current.saturating_add(scale_up(self.before, covered_ms, self.window_ms))
        };
        let proportion = scale_up(self.sum(), window_ms.min(self.window_ms), self.window_ms);
        let current = reached.max(proportion);
        *self = Self { seen: self.seen, window_ms, before: 0, current };
    }

    /// Returns the milliseconds until [`sum`](Self::sum) is at most `sum_max` if nothing more is
    /// counted.
    pub(crate) fn falls_to_after_ms(&self, sum_max: u64) -> u64 {
        if self.sum() <= sum_max {
            return 0;
        }
        let elapsed_ms = self.elapsed_ms();
        if self.current <= sum_max {
            let room = sum_max.saturating_sub(self.current);
            let covered_ms = scale_down(room, self.window_ms, self.before);
            return self.window_ms.saturating_sub(covered_ms).saturating_sub(elapsed_ms);
        }
        // The current bucket alone is too high: it must become the previous one, and then fade.
        let covered_ms = scale_down(sum_max, self.window_ms, self.current);
        let faded_ms = self.window_ms.saturating_sub(covered_ms);
        self.window_ms.saturating_sub(elapsed_ms).saturating_add(faded_ms)
    }

    /// Clears the counts.
    pub(crate) const fn clear(&mut self) {
        self.before = 0;
        self.current = 0;
    }

    /// Adds what `other`, a copy that was counted separately, has in excess.
    pub(crate) fn raise_to(&mut self, other: &Self, asked_ms: u64) {
        let window_ms = joined_ms(self.window_ms, other.window_ms, asked_ms);
        let mut other = *other;
        self.advance(other.seen);
        other.advance(self.seen);
        self.read_over(window_ms);
        other.read_over(window_ms);
        self.before = self.before.max(other.before);
        self.current = self.current.max(other.current);
    }

    fn elapsed_ms(&self) -> u64 {
        elapsed_ms(self.window_ms, self.seen)
    }
}

impl Entry for SlidingWindow {
    fn seen(&self) -> Tick {
        self.seen
    }

    fn standing(&self, now: Tick) -> EvictionClass {
        // Within one window at most one bucket has ended; this needs no division.
        if self.current > 0 && now.since_ms(self.seen) < self.window_ms {
            return EvictionClass::Live;
        }
        let mut later = *self;
        later.advance(now);
        if later.before == 0 && later.current == 0 {
            EvictionClass::Idle
        } else {
            EvictionClass::Live
        }
    }
}

/// Returns the window in which to merge entries with these windows, if `asked_ms` is requested from
/// now on.
///
/// One of them can have a much older window; converting to it would lose the counts of the other.
/// If both are equal, nothing is converted before it is requested.
pub(crate) const fn joined_ms(one_ms: u64, other_ms: u64, asked_ms: u64) -> u64 {
    if one_ms == other_ms { one_ms } else { asked_ms }
}

/// Returns how many bucket ends lie between `seen` and `now`; 0 if `now` is earlier.
pub(crate) fn buckets_passed(window_ms: u64, seen: Tick, now: Tick) -> u64 {
    let bucket = |at: Tick| at.0.checked_div(window_ms).unwrap_or(0);
    bucket(now).saturating_sub(bucket(seen))
}

/// Returns the milliseconds since the start of the bucket of `at`.
pub(crate) fn elapsed_ms(window_ms: u64, at: Tick) -> u64 {
    at.0.checked_rem(window_ms).unwrap_or(0)
}

/// Returns `n · num / den`, rounded up; 0 for a `den` of 0.
pub(crate) fn scale_up(n: u64, num: u64, den: u64) -> u64 {
    scale(n, num, den, u128::from(den.saturating_sub(1)))
}

/// Returns `n · num / den`, rounded down; 0 for a `den` of 0.
pub(crate) fn scale_down(n: u64, num: u64, den: u64) -> u64 {
    scale(n, num, den, 0)
}

fn scale(n: u64, num: u64, den: u64, extra: u128) -> u64 {
    // The parameters rarely change, and a window is mostly empty: both need no division.
    if num == den || n == 0 {
        return if den == 0 { 0 } else { n };
    }
    let product = u128::from(n).saturating_mul(u128::from(num)).saturating_add(extra);
    let quotient = product.checked_div(u128::from(den)).unwrap_or(0);
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_forgets_after_two() {
        let mut window = SlidingWindow::new(100, Tick(1000));
        window.add(10);
        assert_eq!(window.sum_over(100, Tick(1099)), 10);
        assert_eq!(window.sum_over(100, Tick(1100)), 10);
        assert_eq!(window.sum_over(100, Tick(1101)), 10, "9.9 is rounded up");
        assert_eq!(window.sum_over(100, Tick(1150)), 5);
        assert_eq!(window.sum_over(100, Tick(1199)), 1);
        assert_eq!(window.sum_over(100, Tick(1200)), 0);
    }

    #[test]
    fn time_that_goes_backwards_is_the_present() {
        let mut window = SlidingWindow::new(100, Tick(1000));
        window.add(3);
        window.advance(Tick(5));
        assert_eq!((window.sum(), window.seen()), (3, Tick(1000)));
    }

    #[test]
    fn the_far_end_of_time_and_of_counting_does_not_wrap() {
        let mut window = SlidingWindow::new(u64::MAX, Tick(u64::MAX - 1));
        window.add(u64::MAX);
        window.add(1);
        assert_eq!(window.sum(), u64::MAX);
        window.advance(Tick(u64::MAX));
        window.read_over(1);
        assert!(window.falls_to_after_ms(0) <= 2);
    }

    #[test]
    fn a_shorter_window_reads_what_is_known_to_be_recent() {
        let mut window = SlidingWindow::new(3_600_000, Tick(3_600_000));
        window.advance(Tick(3_660_000));
        window.add(100);
        // All 100 came in the last minute; their hourly proportion would be 2.
        assert_eq!(window.sum_over(60_000, Tick(3_660_000)), 100);
    }

    #[test]
    fn a_longer_window_reads_all_that_is_known() {
        let mut window = SlidingWindow::new(10_000, Tick(0));
        window.add(50);
        window.advance(Tick(15_000));
        window.add(7);
        assert_eq!(window.sum(), 32);
        assert_eq!(window.sum_over(60_000, Tick(15_000)), 57);
    }

    #[test]
    fn a_twin_that_counted_more_is_caught_up_with_in_both_buckets() {
        let window =
            |at, before, current| SlidingWindow { seen: Tick(at), window_ms: 100, before, current };
        let mut here = window(250, 1, 7);
        here.raise_to(&window(240, 5, 2), 100);
        assert_eq!(here, window(250, 5, 7));
        here.raise_to(&window(199, 9, 8), 100);
        assert_eq!(here, window(250, 8, 7), "its current bucket is the one before by now");
        here.raise_to(&window(310, 3, 1), 100);
        assert_eq!(here, window(310, 7, 1));
    }

    proptest! {
        #[test]
        fn another_length_never_reads_less_than_the_proportion(
            old in 1_u64..5_000, new in 1_u64..5_000, at in 0_u64..100_000,
            feeds in prop::collection::vec((0_u64..3_000, 0_u64..50), 0..20),
        ) {
            let mut window = SlidingWindow::new(old, Tick(at));
            for (after, amount) in feeds {
                window.advance(window.seen().plus_ms(after));
                window.add(amount);
            }
            let read = window.sum_over(new, window.seen());
            prop_assert!(read >= scale_up(window.sum(), new.min(old), old));
            prop_assert!(read <= window.before + window.current, "nothing is invented");
        }

        #[test]
        fn idle_is_what_would_read_nothing_from_then_on(
            length in 1_u64..100, at in 0_u64..1_000, before in 0_u64..2, current in 0_u64..2,
            later in 0_u64..300,
        ) {
            let window = SlidingWindow { seen: Tick(at), window_ms: length, before, current };
            let mut then = window;
            then.advance(Tick(at + later));
            let is_idle = (then.before, then.current) == (0, 0);
            prop_assert_eq!(window.standing(Tick(at + later)) == EvictionClass::Idle, is_idle);
        }

        #[test]
        fn the_time_to_fall_is_exact(
            length in 1_u64..5_000, at in 0_u64..100_000, before in 0_u64..200,
            current in 0_u64..200, sum_max in 0_u64..200,
        ) {
            let window = SlidingWindow { seen: Tick(at), window_ms: length, before, current };
            let wait = window.falls_to_after_ms(sum_max);
            prop_assert!(window.sum_over(length, Tick(at + wait)) <= sum_max);
            if wait > 0 {
                prop_assert!(window.sum_over(length, Tick(at + wait - 1)) > sum_max);
            }
        }
    }
}
