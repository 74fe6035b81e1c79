//! The heavy hitters of a track: `share` and `top`.
//!
//! Space-Saving (Metwally, Agrawal, El Abbadi 2005): a fixed number of counters. A key without a
//! counter takes over the smallest one, whose count becomes its possible error. There are two
//! summaries, one for each bucket. Only the guaranteed count (the count minus its possible error)
//! is returned, so a flood of random keys makes no key a heavy hitter.
//!
//! Limitations: a key with less than one part in [`HEAVY_KEYS_MAX`] of all can read 0. After a
//! change of the window, only the current bucket is known. All requests of a track with `share` or
//! `top` take one lock, for about a tenth of a microsecond.

mod codec;

use std::collections::HashMap;

use parking_lot::Mutex;
use seawall_model::Tick;

use crate::counters::generation_guard::RequestedWindow;
use crate::counters::sliding_window::{buckets_passed, elapsed_ms, scale_down, scale_up};
use crate::key::{BuildIdentityHasher, Key};

/// Counters of a summary. A key with more than 1 in 128 (0.8 %) of all always has one.
pub const HEAVY_KEYS_MAX: usize = 128;

/// Additional bytes of a track with `share` or `top`: two summaries of entries and of an index over
/// them, which is kept half empty.
pub const HEAVY_BYTES: usize =
    2 * HEAVY_KEYS_MAX * (size_of::<TrackedKey>() + 2 * (size_of::<(Key, usize)>() + 1));

/// Fewest requests in the window for a share above 0: a third of three requests has no meaning.
pub const SHARE_COUNTED_MIN: u64 = 100;

#[derive(Debug, Clone, Copy)]
struct TrackedKey {
    key: Key,
    count: u64,
    /// The part of `count` that can belong to other keys.
    error: u64,
}

/// The lower and the upper bound of a count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CountBounds {
    least: u64,
    most: u64,
}

/// The heavy hitters of one bucket.
#[derive(Debug, Default)]
struct SpaceSaving {
    hefts: Vec<TrackedKey>,
    places: HashMap<Key, usize, BuildIdentityHasher>,
    total: u64,
}

impl SpaceSaving {
    fn new() -> Self {
        Self {
            hefts: Vec::with_capacity(HEAVY_KEYS_MAX),
            places: HashMap::with_capacity_and_hasher(HEAVY_KEYS_MAX, BuildIdentityHasher),
            total: 0,
        }
    }

    fn add(&mut self, key: Key, amount: u64) {
        self.total = self.total.saturating_add(amount);
        if let Some(heft) = self.places.get(&key).and_then(|place| self.hefts.get_mut(*place)) {
            heft.count = heft.count.saturating_add(amount);
            return;
        }
        if self.hefts.len() < HEAVY_KEYS_MAX {
            self.places.insert(key, self.hefts.len());
            self.hefts.push(TrackedKey { key, count: amount, error: 0 });
            return;
        }
        let least = self.hefts.iter_mut().enumerate().min_by_key(|(_, heft)| heft.count);
        if let Some((place, heft)) = least {
            self.places.remove(&heft.key);
            self.places.insert(key, place);
            *heft = TrackedKey { key, count: heft.count.saturating_add(amount), error: heft.count };
        }
    }

    /// Returns the upper bound for a key without a counter.
    fn most_unseen(&self) -> u64 {
        if self.hefts.len() < HEAVY_KEYS_MAX {
            return 0;
        }
        self.hefts.iter().map(|heft| heft.count).min().unwrap_or(0)
    }

    fn bounds(&self, key: Key, most_unseen: u64) -> CountBounds {
        match self.places.get(&key).and_then(|place| self.hefts.get(*place)) {
            Some(heft) => {
                CountBounds { least: heft.count.saturating_sub(heft.error), most: heft.count }
            }
            None => CountBounds { least: 0, most: most_unseen },
        }
    }

    fn clear(&mut self) {
        self.hefts.clear();
        self.places.clear();
        self.total = 0;
    }
}

#[derive(Debug)]
struct WindowBuckets {
    seen: Tick,
    window_ms: u64,
    before: SpaceSaving,
    current: SpaceSaving,
}

impl WindowBuckets {
    fn advance(&mut self, asked: RequestedWindow, now: Tick) {
        let passed = buckets_passed(self.window_ms, self.seen, now);
        if passed > 0 {
            std::mem::swap(&mut self.before, &mut self.current);
            self.current.clear();
        }
        if passed > 1 {
            self.before.clear();
        }
        self.seen = self.seen.max(now);
        let window_ms = asked.for_slot(self.window_ms).max(1);
        if window_ms != self.window_ms {
            self.window_ms = window_ms;
            self.before.clear();
        }
    }

    /// Returns the part of the previous bucket that the window still covers, and the window.
    fn covered_ms(&self) -> (u64, u64) {
        let elapsed_ms = elapsed_ms(self.window_ms, self.seen);
        (self.window_ms.saturating_sub(elapsed_ms), self.window_ms)
    }

    fn total(&self) -> u64 {
        let (covered, whole) = self.covered_ms();
        self.current.total.saturating_add(scale_up(self.before.total, covered, whole))
    }

    /// Returns the bounds of a key. `most_unseen` are the upper bounds of the two summaries.
    fn bounds(&self, key: Key, most_unseen: (u64, u64)) -> CountBounds {
        let (covered, whole) = self.covered_ms();
        let before = self.before.bounds(key, most_unseen.0);
        let current = self.current.bounds(key, most_unseen.1);
        CountBounds {
            least: current.least.saturating_add(scale_down(before.least, covered, whole)),
            most: current.most.saturating_add(scale_up(before.most, covered, whole)),
        }
    }

    fn most_unseen(&self) -> (u64, u64) {
        (self.before.most_unseen(), self.current.most_unseen())
    }

    fn is_among_top(&self, key: Key, n: usize) -> bool {
        let unseen = self.most_unseen();
        let least = self.bounds(key, unseen).least;
        let (covered, whole) = self.covered_ms();
        let most_unseen = unseen.1.saturating_add(scale_up(unseen.0, covered, whole));
        if n == 0 || least == 0 || most_unseen > least {
            return false;
        }
        let current = self.current.hefts.iter();
        let only_before =
            self.before.hefts.iter().filter(|heft| !self.current.places.contains_key(&heft.key));
        let may_be_heavier = current
            .chain(only_before)
            .filter(|heft| heft.key != key && self.bounds(heft.key, unseen).most > least);
        may_be_heavier.take(n).count() < n
    }
}

/// The heavy hitters of one track.
#[derive(Debug)]
pub(crate) struct HeavyHitters(Mutex<WindowBuckets>);

impl HeavyHitters {
    pub(crate) fn new(window_ms: u64) -> Self {
        Self(Mutex::new(WindowBuckets {
            seen: Tick(0),
            window_ms: window_ms.max(1),
            before: SpaceSaving::new(),
            current: SpaceSaving::new(),
        }))
    }

    pub(crate) fn feed(&self, key: Key, amount: u64, asked: RequestedWindow, now: Tick) {
        let mut buckets = self.0.lock();
        buckets.advance(asked, now);
        buckets.current.add(key, amount);
    }

    /// Returns the guaranteed percentage of the key among all, rounded down.
    pub(crate) fn share_percent(&self, key: Key, asked: RequestedWindow, now: Tick) -> u64 {
        let mut buckets = self.0.lock();
        buckets.advance(asked, now);
        let total = buckets.total();
        if total < SHARE_COUNTED_MIN {
            return 0;
        }
        let unseen = buckets.most_unseen();
        scale_down(buckets.bounds(key, unseen).least, 100, total)
    }

    /// Returns whether fewer than `n` other keys can exceed the lower bound of the key.
    pub(crate) fn is_among_top(
        &self,
        key: Key,
        n: usize,
        asked: RequestedWindow,
        now: Tick,
    ) -> bool {
        let mut buckets = self.0.lock();
        buckets.advance(asked, now);
        buckets.is_among_top(key, n)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::counters::generation_guard::CallerAge;
    use crate::key::tests::key;

    const ASKED: RequestedWindow = RequestedWindow { window_ms: 1_000, by: CallerAge::Newest };

    fn fed(feeds: &[(u64, u64)]) -> HeavyHitters {
        let heavy = HeavyHitters::new(1_000);
        for (n, amount) in feeds {
            heavy.feed(key(*n), *amount, ASKED, Tick(0));
        }
        heavy
    }

    #[test]
    fn below_a_hundred_every_share_is_nothing() {
        assert_eq!(fed(&[(1, 99)]).share_percent(key(1), ASKED, Tick(0)), 0);
        assert_eq!(fed(&[(1, 100)]).share_percent(key(1), ASKED, Tick(0)), 100);
        assert_eq!(fed(&[(1, 33), (2, 67)]).share_percent(key(1), ASKED, Tick(0)), 33);
    }

    #[test]
    fn a_share_slides_out_of_the_window() {
        let heavy = fed(&[(1, 1_000)]);
        heavy.feed(key(2), 500, ASKED, Tick(1_500));
        assert_eq!(heavy.share_percent(key(1), ASKED, Tick(1_500)), 50);
        assert_eq!(heavy.share_percent(key(1), ASKED, Tick(2_000)), 0);
        assert_eq!(heavy.share_percent(key(2), ASKED, Tick(2_000)), 100);
    }

    #[test]
    fn a_flood_of_random_keys_makes_nobody_heavy() {
        let heavy = HeavyHitters::new(1_000);
        heavy.feed(key(0), 20, ASKED, Tick(0));
        for n in 1..20_000 {
            heavy.feed(key(n), 1, ASKED, Tick(0));
            assert_eq!(heavy.share_percent(key(n), ASKED, Tick(0)) * n / 100, 0);
        }
        assert!(!heavy.is_among_top(key(19_999), 128, ASKED, Tick(0)));
        let summary = &heavy.0.lock().current;
        assert_eq!((summary.hefts.len(), summary.places.len()), (HEAVY_KEYS_MAX, HEAVY_KEYS_MAX));
    }

    #[test]
    fn a_heavy_key_is_found_in_a_flood() {
        let heavy = HeavyHitters::new(1_000);
        for n in 1..10_000 {
            heavy.feed(key(n), 1, ASKED, Tick(0));
            heavy.feed(key(0), 1, ASKED, Tick(0));
        }
        assert!((49..=50).contains(&heavy.share_percent(key(0), ASKED, Tick(0))));
        assert!(heavy.is_among_top(key(0), 1, ASKED, Tick(0)));
    }

    #[test]
    fn the_top_are_the_heaviest_and_equals_stand_together() {
        let heavy = fed(&[(1, 50), (2, 40), (3, 40), (4, 10)]);
        let top = |n, among| heavy.is_among_top(key(n), among, ASKED, Tick(0));
        assert!(top(1, 1) && !top(2, 1));
        assert!(top(2, 2) && top(3, 2) && !top(4, 3) && top(4, 4));
        assert!(!top(9, 128) && !top(1, 0));
    }

    #[test]
    fn another_window_keeps_the_current_bucket() {
        let heavy = fed(&[(1, 200)]);
        let longer = RequestedWindow { window_ms: 60_000, by: CallerAge::Newest };
        assert_eq!(heavy.share_percent(key(1), longer, Tick(5)), 100);
        assert_eq!(heavy.share_percent(key(1), longer, Tick(59_000)), 100);
        let older = RequestedWindow { window_ms: 1_000, by: CallerAge::Older };
        assert_eq!(heavy.share_percent(key(1), older, Tick(59_000)), 100);
    }

    proptest! {
        #[test]
        fn no_share_is_overstated(
            feeds in prop::collection::vec((0_u64..400, 1_u64..20, 0_u64..3), 100..1_000)
        ) {
            let heavy = HeavyHitters::new(1_000);
            let mut twin: HashMap<(u64, u64), u64> = HashMap::new();
            let mut now = 0;
            for (n, amount, wait) in feeds {
                // A square makes some keys heavy hitters.
                let n = n * n / 400;
                now += wait;
                heavy.feed(key(n), amount, ASKED, Tick(now));
                *twin.entry((n, now / 1_000)).or_default() += amount;
                let in_bucket = |n: Option<u64>, bucket: u64| -> u64 {
                    let of = |(k, b): &(u64, u64)| *b == bucket && n.is_none_or(|n| *k == n);
                    twin.iter().filter(|(at, _)| of(at)).map(|(_, count)| count).sum()
                };
                let bucket = now / 1_000;
                let sum = |n| {
                    let before = bucket.checked_sub(1).map_or(0, |b| in_bucket(n, b));
                    in_bucket(n, bucket) * 1_000 + before * (1_000 - now % 1_000)
                };
                let read = heavy.share_percent(key(n), ASKED, Tick(now));
                prop_assert!(read * sum(None) <= 100 * sum(Some(n)));
            }
        }
    }
}
