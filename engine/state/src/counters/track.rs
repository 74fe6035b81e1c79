//! `track`: counts requests, bytes or distinct values, without a decision.
//!
//! A track is updated before any rule is evaluated, with the current request. Its functions read
//! the sliding window. A key without a slot reads 0.

mod codec;

use std::sync::Arc;

use seawall_model::Tick;

use crate::counters::distinct::DistinctCounter;
use crate::counters::generation_guard::{Epoch, GenerationGuard, RequestedWindow};
use crate::counters::heavy_hitters::HeavyHitters;
use crate::counters::sliding_window::{
    PackedBytes, PackedRequests, SlidingWindow, TABLE_WINDOW_MS_MAX,
};
use crate::counters::table::{Table, TableOccupancy, key_bytes};
use crate::key::Key;

/// What a track counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    /// One for each request.
    Requests,
    /// The bytes of a field.
    Bytes,
    /// The distinct values of an operand.
    Distinct,
}

/// Bytes of a track of requests for each requested key.
pub const REQUESTS_KEY_BYTES: usize = key_bytes::<PackedRequests>();

/// Bytes of a track of bytes for each requested key.
pub const BYTES_KEY_BYTES: usize = key_bytes::<PackedBytes>();

#[derive(Debug)]
enum Counts {
    Requests(Table<PackedRequests>),
    Bytes(Table<PackedBytes>),
    Distinct(DistinctCounter),
}

/// The data that the generations of one track share.
#[derive(Debug)]
struct Shared {
    counted: TrackKind,
    counts: Counts,
    newest: GenerationGuard,
}

/// The counts of one track, for one generation.
#[derive(Debug, Clone)]
pub struct TrackTable {
    shared: Arc<Shared>,
    heavy: Option<Arc<HeavyHitters>>,
    epoch: Epoch,
}

/// Whether `share` or `top` reads a track, and over which window.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HeavyHitterMode {
    Off,
    Window(u64),
}

impl HeavyHitterMode {
    fn heavy(self) -> Option<Arc<HeavyHitters>> {
        match self {
            Self::Off => None,
            Self::Window(window_ms) => Some(Arc::new(HeavyHitters::new(window_ms))),
        }
    }
}

impl TrackTable {
    pub(crate) fn new(
        counted: TrackKind,
        keys: usize,
        weighed: HeavyHitterMode,
        epoch: Epoch,
    ) -> Self {
        let counts = match counted {
            TrackKind::Requests => Counts::Requests(Table::new(keys)),
            TrackKind::Bytes => Counts::Bytes(Table::new(keys)),
            TrackKind::Distinct => Counts::Distinct(DistinctCounter::new(keys)),
        };
        let shared = Shared { counted, counts, newest: GenerationGuard::default() };
        Self { shared: Arc::new(shared), heavy: weighed.heavy(), epoch }
    }

    /// Returns a track with the same counts for a later generation. Heavy hitters are counted from
    /// the first generation that reads them.
    pub(crate) fn shared_with(&self, weighed: HeavyHitterMode, epoch: Epoch) -> Self {
        let heavy = match (weighed, &self.heavy) {
            (HeavyHitterMode::Window(_), Some(heavy)) => Some(Arc::clone(heavy)),
            _ => weighed.heavy(),
        };
        Self { shared: Arc::clone(&self.shared), heavy, epoch }
    }

    /// Returns the same counts in a table for `keys`, with the window of the later generation.
    pub(crate) fn resized(&self, to: (usize, u64), weighed: HeavyHitterMode, epoch: Epoch) -> Self {
        let (keys, window_ms) = to;
        let fresh = Self::new(self.shared.counted, keys, HeavyHitterMode::Off, epoch);
        fresh.absorb(self, window_ms);
        Self { shared: fresh.shared, ..self.shared_with(weighed, epoch) }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn counted(&self) -> TrackKind {
        self.shared.counted
    }

    /// Adds the counts of `older`, for a generation with the window `window_ms`.
    pub(crate) fn absorb(&self, older: &Self, window_ms: u64) {
        let raise =
            |here: &mut SlidingWindow, there: &SlidingWindow| here.raise_to(there, window_ms);
        match (&self.shared.counts, &older.shared.counts) {
            (Counts::Requests(here), Counts::Requests(there)) => here.absorb(there, raise),
            (Counts::Bytes(here), Counts::Bytes(there)) => here.absorb(there, raise),
            (Counts::Distinct(here), Counts::Distinct(there)) => here.absorb(there, window_ms),
            _ => {}
        }
    }

    pub(crate) fn filled(&self) -> TableOccupancy {
        match &self.shared.counts {
            Counts::Requests(requests) => requests.filled(),
            Counts::Bytes(bytes) => bytes.filled(),
            Counts::Distinct(distinct) => distinct.filled(),
        }
    }

    fn asked(&self, window_ms: u64) -> RequestedWindow {
        let window_ms = window_ms.min(TABLE_WINDOW_MS_MAX);
        RequestedWindow { window_ms, by: self.shared.newest.caller(self.epoch) }
    }

    /// Adds `amount` (1 for a request, or bytes) to `key`. A track of distinct values adds
    /// `distinct` instead, and nothing for `None`.
    #[expect(
        clippy::too_many_arguments,
        reason = "who, how much, of what, in which window and when; each caller has them apart"
    )]
    pub fn feed(&self, key: Key, amount: u64, distinct: Option<Key>, window_ms: u64, now: Tick) {
        let asked = self.asked(window_ms);
        let fresh = || SlidingWindow::new(asked.window_ms, now);
        let count = |window: &mut SlidingWindow| window.feed(amount, asked, now);
        match (&self.shared.counts, distinct) {
            (Counts::Requests(requests), _) => _ = requests.update(key, now, fresh, count),
            (Counts::Bytes(bytes), _) => _ = bytes.update(key, now, fresh, count),
            (Counts::Distinct(table), Some(thing)) => table.feed(key, thing, asked, now),
            (Counts::Distinct(_), None) => return,
        }
        if let Some(heavy) = &self.heavy {
            heavy.feed(key, amount, asked, now);
        }
    }

    fn sum(&self, of: TrackKind, key: Key, window_ms: u64, now: Tick) -> u64 {
        if of != self.shared.counted {
            return 0;
        }
        let window_ms = window_ms.min(TABLE_WINDOW_MS_MAX);
        let sum = |window: &SlidingWindow| window.sum_over(window_ms, now);
        match &self.shared.counts {
            Counts::Requests(requests) => requests.read(key, sum).unwrap_or(0),
            Counts::Bytes(bytes) => bytes.read(key, sum).unwrap_or(0),
            Counts::Distinct(distinct) => distinct.sum_over(key, window_ms, now),
        }
    }

    /// Returns the requests of `key` in the window that ends at `now`, for `rate(t)`. Returns 0 for
    /// a track that counts something else.
    #[must_use]
    pub fn rate(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        self.count(key, window_ms, now)
    }

    /// Returns the requests of `key` in the window that ends at `now`; 0 for a track that counts
    /// something else.
    #[must_use]
    pub fn count(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        self.sum(TrackKind::Requests, key, window_ms, now)
    }

    /// Returns the bytes of `key` in the window that ends at `now`; 0 for a track that counts
    /// something else.
    #[must_use]
    pub fn bytes(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        self.sum(TrackKind::Bytes, key, window_ms, now)
    }

    /// Returns the distinct values of `key` in the window that ends at `now`, exact up to
    /// [`EXACT_MAX`](crate::EXACT_MAX); 0 for a track that counts something else.
    #[must_use]
    pub fn distinct(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        self.sum(TrackKind::Distinct, key, window_ms, now)
    }

    /// Returns the guaranteed share of `key` among all, in whole percent. Returns 0 below
    /// [`SHARE_COUNTED_MIN`](crate::SHARE_COUNTED_MIN) counts, and for a track without `heavy`.
    #[must_use]
    pub fn share_percent(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        let heavy = self.heavy.as_ref();
        heavy.map_or(0, |heavy| heavy.share_percent(key, self.asked(window_ms), now))
    }

    /// Returns whether `key` is certainly among the `n` heavy hitters; false for a track without
    /// `heavy`. An `n` above [`HEAVY_KEYS_MAX`](crate::HEAVY_KEYS_MAX) has no further effect.
    #[must_use]
    pub fn top(&self, key: Key, n: usize, window_ms: u64, now: Tick) -> bool {
        let heavy = self.heavy.as_ref();
        heavy.is_some_and(|heavy| heavy.is_among_top(key, n, self.asked(window_ms), now))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::counters::generation_guard::CallerAge;
    use crate::key::tests::key;

    const WINDOW_MS: u64 = 1_000;

    fn track(counted: TrackKind) -> TrackTable {
        TrackTable::new(counted, 100, HeavyHitterMode::Window(WINDOW_MS), 0)
    }

    #[test]
    fn each_function_reads_what_its_track_counts() {
        let reads = |track: &TrackTable| {
            [
                track.rate(key(1), WINDOW_MS, Tick(0)),
                track.count(key(1), WINDOW_MS, Tick(0)),
                track.bytes(key(1), WINDOW_MS, Tick(0)),
                track.distinct(key(1), WINDOW_MS, Tick(0)),
            ]
        };
        let feed = |counted, amount| {
            let track = track(counted);
            track.feed(key(1), amount, Some(key(9)), WINDOW_MS, Tick(0));
            track.feed(key(1), amount, None, WINDOW_MS, Tick(0));
            reads(&track)
        };
        assert_eq!(feed(TrackKind::Requests, 1), [2, 2, 0, 0]);
        assert_eq!(feed(TrackKind::Bytes, 500), [0, 0, 1_000, 0]);
        assert_eq!(feed(TrackKind::Distinct, 1), [0, 0, 0, 1], "an absent thing is not counted");
    }

    #[test]
    fn a_track_that_is_not_weighed_has_no_shares() {
        let track = TrackTable::new(TrackKind::Requests, 1, HeavyHitterMode::Off, 0);
        track.feed(key(1), 1_000, None, WINDOW_MS, Tick(0));
        assert_eq!(track.share_percent(key(1), WINDOW_MS, Tick(0)), 0);
        assert!(!track.top(key(1), 1, WINDOW_MS, Tick(0)));
        let weighed = track.shared_with(HeavyHitterMode::Window(WINDOW_MS), 1);
        weighed.feed(key(1), 1_000, None, WINDOW_MS, Tick(0));
        assert_eq!(weighed.share_percent(key(1), WINDOW_MS, Tick(0)), 100);
        assert!(weighed.top(key(1), 1, WINDOW_MS, Tick(0)));
        assert_eq!(weighed.count(key(1), WINDOW_MS, Tick(0)), 2_000);
    }

    #[test]
    fn an_older_generation_feeds_without_converting() {
        let older = track(TrackKind::Requests);
        let newer = older.shared_with(HeavyHitterMode::Off, 1);
        older.feed(key(1), 5, None, 1_000, Tick(10_500));
        newer.feed(key(1), 5, None, 60_000, Tick(10_500));
        older.feed(key(1), 5, None, 1_000, Tick(10_500));
        assert_eq!(older.asked(1_000).by, CallerAge::Older);
        assert_eq!(newer.asked(1_000).by, CallerAge::Newest);
        assert_eq!(newer.count(key(1), 60_000, Tick(59_999)), 15);
    }

    #[test]
    fn more_keys_than_room_lose_the_longest_unused_and_never_more_room() {
        let track = track(TrackKind::Requests);
        let capacity = track.filled().capacity;
        for n in 0..10_000 {
            track.feed(key(n), 1, None, WINDOW_MS, Tick(n / 100));
        }
        let filled = track.filled();
        assert_eq!((filled.capacity, filled.refused), (capacity, 0));
        assert_eq!(filled.evictions, 10_000 - filled.resident as u64);
        assert_eq!(track.count(key(9_999), WINDOW_MS, Tick(99)), 1);
        assert_eq!(track.count(key(0), WINDOW_MS, Tick(99)), 0);
    }

    proptest! {
        #[test]
        fn a_track_reads_what_a_naive_one_does(
            window_ms in 1_u64..2_000,
            steps in prop::collection::vec((0_u64..3, 1_u64..2_000, 0_u64..600), 1..200),
        ) {
            let track = track(TrackKind::Bytes);
            let mut twin: HashMap<(u64, u64), u64> = HashMap::new();
            let mut now = 0;
            for (n, amount, wait) in steps {
                now += wait;
                track.feed(key(n), amount, None, window_ms, Tick(now));
                *twin.entry((n, now / window_ms)).or_default() += amount;
                for n in 0..3 {
                    let bucket = now / window_ms;
                    let count = |bucket| twin.get(&(n, bucket)).copied().unwrap_or(0);
                    let before = bucket.checked_sub(1).map_or(0, count);
                    let left = window_ms - now % window_ms;
                    let sum = count(bucket) + (before * left).div_ceil(window_ms);
                    prop_assert_eq!(track.bytes(key(n), window_ms, Tick(now)), sum);
                }
            }
        }
    }
}
