//! The table of every counter: a fixed number of slots, eight in a set, two sets for each key.
//!
//! A key is stored in the emptier one of the two sets that its hash selects. With a single set, 5 %
//! of the keys are evicted at three quarters of the capacity; with two, nearly none. The table
//! therefore has one third more slots than requested keys. If both sets are full, an idle key is
//! evicted, else the least recently used key, but never a held key. If all sixteen keys are held,
//! the new key is rejected and reads 0. Each slot takes 12 bytes and the packed entry: 75 bytes for
//! each key of a limit, 43 of a track of requests, 54 of a track of bytes. Sets fill whole cache
//! lines.
//!
//! Limitation: a flood with more live keys than slots evicts the least recently used. An evicted
//! client starts again with a full burst. `evictions` counts them.

mod codec;

use parking_lot::{Mutex, MutexGuard};
use seawall_model::Tick;

use crate::key::{Key, Tag};
pub(crate) use codec::{Size, Stored};

/// Most keys of one table; a larger request gets this number. 2^26 limits are 5 GiB.
pub const TABLE_KEYS_MAX: usize = 1 << 26;

/// Slots of a set: the upper parts of eight tags fill one cache line.
const WAYS: usize = 8;
/// Locks of a large table. More would have no use: a lock is held for tens of nanoseconds.
const SHARDS_MAX: usize = 64;
/// Fewest sets for which a shard has a lock of its own.
const SHARD_SETS_MIN: usize = 64;

/// Sets that are processed under one lock: 7 KiB of a limit.
const SETS_AT_ONCE: usize = 16;

/// Returns the bytes for each requested key: its slot, and a third more.
pub(crate) const fn key_bytes<P>() -> usize {
    size_of::<Set<P>>().saturating_mul(4).div_ceil(WAYS.saturating_mul(3))
}

/// An entry of a table.
pub(crate) trait Entry: Clone {
    /// Returns the time of its last use.
    fn seen(&self) -> Tick;

    /// Returns what an eviction would lose.
    fn standing(&self, now: Tick) -> EvictionClass;
}

/// The packed form of an entry: smaller, without loss.
pub(crate) trait PackedEntry: Default + Clone {
    /// The unpacked form.
    type Entry: Entry;

    /// Packs an entry.
    fn pack(entry: Self::Entry) -> Self;

    /// Unpacks the entry.
    fn unpack(&self) -> Self::Entry;

    /// Passes the unpacked entry to `look`.
    fn look<R>(&self, look: impl FnOnce(&Self::Entry) -> R) -> R {
        look(&self.unpack())
    }

    /// Changes the entry.
    fn change<R>(&mut self, change: impl FnOnce(&mut Self::Entry) -> R) -> R {
        let mut entry = self.unpack();
        let result = change(&mut entry);
        *self = Self::pack(entry);
        result
    }
}

/// An entry that is stored unpacked.
impl<V: Entry + Default> PackedEntry for V {
    type Entry = V;

    fn pack(entry: V) -> V {
        entry
    }

    fn unpack(&self) -> V {
        self.clone()
    }

    fn look<R>(&self, look: impl FnOnce(&V) -> R) -> R {
        look(self)
    }

    fn change<R>(&mut self, change: impl FnOnce(&mut V) -> R) -> R {
        change(self)
    }
}

/// What an eviction would lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EvictionClass {
    /// Nothing: a new entry would read the same.
    Idle,
    /// Counts.
    Live,
    /// An active hold; such an entry is never evicted.
    Held,
}

#[derive(Clone, Default)]
struct Slot<P> {
    /// The lower part of the tag; the upper part is in `uppers` of the set.
    lower: u32,
    packed: P,
}

/// Begins at a cache line, so that no line is shared with a neighbour.
#[derive(Clone, Default)]
#[repr(align(64))]
struct Set<P> {
    /// The upper parts of the tags; 0 marks an empty slot.
    uppers: [u64; WAYS],
    slots: [Slot<P>; WAYS],
}

impl<P> Set<P> {
    fn way_of(&self, tag: Tag) -> Option<usize> {
        let mut both = self.uppers.iter().zip(&self.slots);
        both.position(|(upper, slot)| *upper == tag.upper && slot.lower == tag.lower)
    }

    /// Returns the used slots, with their tags.
    fn taken(&self) -> impl Iterator<Item = (Tag, &P)> {
        let both = self.uppers.iter().zip(&self.slots).filter(|(upper, _)| **upper != 0);
        both.map(|(upper, slot)| (Tag { upper: *upper, lower: slot.lower }, &slot.packed))
    }
}

/// The sets under one lock.
struct Sets<P> {
    sets: Box<[Set<P>]>,
    resident: usize,
    evictions: u64,
    refused: u64,
}

/// A cache line for each lock, so that threads do not delay each other.
#[repr(align(64))]
struct Shard<P>(Mutex<Sets<P>>);

/// Exact counters of many keys in fixed memory.
pub(crate) struct Table<P> {
    shards: Box<[Shard<P>]>,
    sets_per_shard: usize,
}

impl<P> std::fmt::Debug for Table<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// The occupancy of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TableOccupancy {
    /// Keys with a slot, including idle ones.
    pub(crate) resident: usize,
    /// Slots.
    pub(crate) capacity: usize,
    /// Live keys that were evicted.
    pub(crate) evictions: u64,
    /// Keys that were rejected.
    pub(crate) refused: u64,
}

/// A slot for a new key; the lowest one is used.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum VictimChoice {
    /// An empty slot in a set with this number of used slots.
    Empty(usize),
    /// An idle key, with the time of its last use.
    Idle(Tick),
    /// A live key, with the time of its last use.
    Live(Tick),
}

impl<P> Table<P> {
    /// Returns the number of slots.
    pub(crate) fn capacity(&self) -> usize {
        self.shards.len().saturating_mul(self.sets_per_shard).saturating_mul(WAYS)
    }

    /// Returns the occupancy.
    pub(crate) fn filled(&self) -> TableOccupancy {
        let empty = TableOccupancy { capacity: self.capacity(), ..TableOccupancy::default() };
        self.shards.iter().fold(empty, |sum, shard| {
            let sets = shard.0.lock();
            TableOccupancy {
                resident: sum.resident.saturating_add(sets.resident),
                evictions: sum.evictions.saturating_add(sets.evictions),
                refused: sum.refused.saturating_add(sets.refused),
                ..sum
            }
        })
    }

    /// Returns the bytes of all slots in memory.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| size_of_val(&*shard.0.lock().sets)).sum()
    }

    fn shard(&self, tag: Tag) -> Option<MutexGuard<'_, Sets<P>>> {
        // The number of shards is a power of two; `homes` uses other bits.
        let mask = self.shards.len().saturating_sub(1);
        self.shards.get(tag.lower as usize & mask).map(|shard| shard.0.lock())
    }

    /// Returns the two sets of a key in its shard; they can be the same.
    const fn homes(&self, tag: Tag) -> [usize; 2] {
        [
            spread(tag.upper >> 32, self.sets_per_shard),
            spread(tag.upper & u32::MAX as u64, self.sets_per_shard),
        ]
    }

    fn place_of(&self, sets: &Sets<P>, tag: Tag) -> Option<(usize, usize)> {
        let [first, second] = self.homes(tag);
        let way = |home: usize| sets.sets.get(home).and_then(|set| set.way_of(tag));
        way(first).map(|w| (first, w)).or_else(|| way(second).map(|w| (second, w)))
    }
}

impl<P: PackedEntry> Table<P> {
    /// Creates a table for `keys` keys, at most [`TABLE_KEYS_MAX`].
    pub(crate) fn new(keys: usize) -> Self {
        let (shards, sets_per_shard) = shape(keys);
        let shard = || {
            let sets = vec![Set::default(); sets_per_shard].into_boxed_slice();
            Shard(Mutex::new(Sets { sets, resident: 0, evictions: 0, refused: 0 }))
        };
        Self { shards: std::iter::repeat_with(shard).take(shards).collect(), sets_per_shard }
    }

    /// Passes the entry of the key to `look`, if there is one. Changes nothing.
    pub(crate) fn read<R>(&self, key: Key, look: impl FnOnce(&P::Entry) -> R) -> Option<R> {
        let tag = key.tag();
        let sets = self.shard(tag)?;
        let (home, way) = self.place_of(&sets, tag)?;
        sets.sets.get(home)?.slots.get(way).map(|slot| slot.packed.look(look))
    }

    /// Changes the entry of the key; creates it first if there is none. Returns `None` if the key
    /// is rejected.
    pub(crate) fn update<R>(
        &self,
        key: Key,
        now: Tick,
        fresh: impl FnOnce() -> P::Entry,
        change: impl FnOnce(&mut P::Entry) -> R,
    ) -> Option<R> {
        self.update_at(key.tag(), now, fresh, change)
    }

    fn update_at<R>(
        &self,
        tag: Tag,
        now: Tick,
        fresh: impl FnOnce() -> P::Entry,
        change: impl FnOnce(&mut P::Entry) -> R,
    ) -> Option<R> {
        let mut sets = self.shard(tag)?;
        if let Some((home, way)) = self.place_of(&sets, tag) {
            let slot = sets.sets.get_mut(home)?.slots.get_mut(way)?;
            return Some(slot.packed.change(change));
        }
        let Some((room, home, way)) = self.room_for(&sets, tag, now) else {
            sets.refused = sets.refused.saturating_add(1);
            return None;
        };
        match room {
            VictimChoice::Empty(_) => sets.resident = sets.resident.saturating_add(1),
            VictimChoice::Idle(_) => {}
            VictimChoice::Live(_) => sets.evictions = sets.evictions.saturating_add(1),
        }
        let mut entry = fresh();
        let result = change(&mut entry);
        let set = sets.sets.get_mut(home)?;
        *set.uppers.get_mut(way)? = tag.upper;
        *set.slots.get_mut(way)? = Slot { lower: tag.lower, packed: P::pack(entry) };
        Some(result)
    }

    fn room_for(
        &self,
        sets: &Sets<P>,
        tag: Tag,
        now: Tick,
    ) -> Option<(VictimChoice, usize, usize)> {
        let mut best: Option<(VictimChoice, usize, usize)> = None;
        for home in self.homes(tag) {
            let set = sets.sets.get(home)?;
            let taken = set.uppers.iter().filter(|upper| **upper != 0).count();
            for (way, (upper, slot)) in set.uppers.iter().zip(&set.slots).enumerate() {
                let room = match *upper {
                    0 => Some(VictimChoice::Empty(taken)),
                    _ => slot.packed.look(|entry| match entry.standing(now) {
                        EvictionClass::Idle => Some(VictimChoice::Idle(entry.seen())),
                        EvictionClass::Live => Some(VictimChoice::Live(entry.seen())),
                        EvictionClass::Held => None,
                    }),
                };
                if let Some(room) = room
                    && best.as_ref().is_none_or(|(least, ..)| room < *least)
                {
                    best = Some((room, home, way));
                }
            }
        }
        best
    }

    /// Changes every entry, with a few sets locked at a time.
    pub(crate) fn each_mut(&self, mut change: impl FnMut(&mut P::Entry)) {
        for shard in &self.shards {
            for begin in (0..self.sets_per_shard).step_by(SETS_AT_ONCE) {
                let mut sets = shard.0.lock();
                for set in sets.sets.iter_mut().skip(begin).take(SETS_AT_ONCE) {
                    let both = set.uppers.iter().zip(&mut set.slots);
                    let taken = both.filter(|(upper, _)| **upper != 0);
                    taken.for_each(|(_, slot)| slot.packed.change(&mut change));
                }
            }
        }
    }

    /// Adds the entries of `other`. `merge` joins two entries of one key, which can be equal
    /// copies.
    ///
    /// A smaller table keeps what `update` would keep: held and most recently used keys.
    pub(crate) fn absorb(&self, other: &Self, merge: impl Fn(&mut P::Entry, &P::Entry)) {
        for shard in &other.shards {
            // Copied, so that requests wait for the copy of one shard only.
            let mut entries = entries_of(&shard.0.lock());
            // The least recently used first, so that the most recently used are evicted last.
            entries.sort_by_key(|(_, entry)| entry.seen());
            // The latest time in the shard is not later than any caller's `now`.
            let now = entries.last().map(|(_, entry)| entry.seen()).unwrap_or_default();
            for (tag, entry) in entries {
                self.update_at(tag, now, || entry.clone(), |here| merge(here, &entry));
            }
        }
    }
}

/// Returns a number of `0..n` that is uniform over the 32 bits of `hash`.
const fn spread(hash: u64, n: usize) -> usize {
    // INVARIANT: both factors are below 2^32, so the product fits.
    (hash.wrapping_mul(n as u64) >> 32) as usize
}

/// Returns the number of shards, and of sets in each, for `keys` at three quarters of the capacity.
fn shape(keys: usize) -> (usize, usize) {
    let keys = keys.clamp(1, TABLE_KEYS_MAX);
    let slots = keys.saturating_mul(4).div_ceil(3);
    let sets = slots.div_ceil(WAYS);
    let wanted = (sets / SHARD_SETS_MIN).clamp(1, SHARDS_MAX);
    let shards = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() >> 1 };
    (shards, sets.div_ceil(shards))
}

/// Returns a copy of all entries.
fn entries_of<P: PackedEntry>(sets: &Sets<P>) -> Vec<(Tag, P::Entry)> {
    let mut entries = Vec::with_capacity(sets.resident);
    let taken = sets.sets.iter().flat_map(Set::taken);
    entries.extend(taken.map(|(tag, packed)| (tag, packed.unpack())));
    entries
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::key::tests::key;

    #[derive(Debug, Clone, Default)]
    struct Note {
        seen: Tick,
        held_until: Tick,
        idle_after: Tick,
    }

    impl Entry for Note {
        fn seen(&self) -> Tick {
            self.seen
        }

        fn standing(&self, now: Tick) -> EvictionClass {
            match now {
                now if now < self.held_until => EvictionClass::Held,
                now if now < self.idle_after => EvictionClass::Live,
                _ => EvictionClass::Idle,
            }
        }
    }

    fn note(table: &Table<Note>, n: u64, note: &Note) -> bool {
        table.update(key(n), note.seen, || note.clone(), |slot| *slot = note.clone()).is_some()
    }

    fn live(at: u64) -> Note {
        Note { seen: Tick(at), held_until: Tick(0), idle_after: Tick(u64::MAX) }
    }

    fn held(at: u64) -> Note {
        Note { held_until: Tick(u64::MAX), ..live(at) }
    }

    #[test]
    fn as_many_keys_as_asked_for_find_room() {
        for keys in [1, 10, 1_000, 100_000] {
            let table = Table::new(keys);
            for n in 0..keys as u64 {
                assert!(note(&table, n, &live(n)));
            }
            // In a thousand, none; in a hundred thousand at most one of ten thousand.
            assert!(
                table.filled().evictions <= keys as u64 / 10_000,
                "{keys}: {}",
                table.filled().evictions
            );
            assert_eq!(table.filled().resident as u64 + table.filled().evictions, keys as u64);
        }
    }

    #[test]
    fn a_table_never_grows() {
        let table = Table::new(100);
        let capacity = table.capacity();
        for n in 0..10_000 {
            assert!(note(&table, n, &live(n)));
        }
        assert_eq!(table.capacity(), capacity);
        assert!(table.filled().resident <= capacity);
        assert_eq!(table.filled().evictions, 10_000 - table.filled().resident as u64);
    }

    #[test]
    fn a_wish_beyond_the_bound_gets_the_bound() {
        assert_eq!(shape(usize::MAX), shape(TABLE_KEYS_MAX));
        let (shards, sets) = shape(TABLE_KEYS_MAX);
        assert!(shards * sets * WAYS >= TABLE_KEYS_MAX);
        assert_eq!(shape(0), shape(1));
    }

    #[test]
    fn idle_keys_go_first_and_then_the_longest_unused() {
        let table = Table::new(6); // One set of eight.
        assert_eq!(table.capacity(), 8);
        for n in 0..8 {
            assert!(note(&table, n, &live(n)));
        }
        let idle = Note { idle_after: Tick(0), ..live(50) };
        assert!(note(&table, 5, &idle));
        assert!(note(&table, 100, &live(60)));
        assert_eq!((table.read(key(5), |_| ()), table.filled().evictions), (None, 0));
        assert!(note(&table, 101, &live(61)));
        assert_eq!((table.read(key(0), |_| ()), table.filled().evictions), (None, 1));
        assert_eq!(table.read(key(1), |_| ()), Some(()));
    }

    #[test]
    fn where_all_are_held_the_newcomer_is_turned_away() {
        let table = Table::new(6);
        for n in 0..8 {
            assert!(note(&table, n, &held(n)));
        }
        assert!(!note(&table, 100, &live(60)));
        assert_eq!(
            (table.filled().refused, table.filled().evictions, table.filled().resident),
            (1, 0, 8)
        );
    }

    #[test]
    fn a_larger_and_a_smaller_table_take_over_what_they_can() {
        let small = Table::new(6);
        let large = Table::new(1_000);
        for n in 0..6 {
            note(&small, n, &if n == 0 { held(n) } else { live(n) });
        }
        large.absorb(&small, |_, _| {});
        assert_eq!(large.filled().resident, 6);
        for n in 6..700 {
            note(&large, n, &live(n));
        }
        let again = Table::new(6);
        again.absorb(&large, |_, _| {});
        assert_eq!(again.filled().resident, 8);
        assert!(again.read(key(0), |_| ()).is_some(), "the held one is oldest and stays");
    }

    proptest! {
        #[test]
        fn a_held_key_is_never_evicted(
            steps in prop::collection::vec((0_u64..400, any::<bool>()), 1..1_500)
        ) {
            let table = Table::new(60);
            let mut stays = HashSet::new();
            for (at, (n, holds)) in steps.into_iter().enumerate() {
                let hold = holds || stays.contains(&n);
                let found = note(&table, n, &if hold { held(at as u64) } else { live(at as u64) });
                if hold && found {
                    stays.insert(n);
                }
                prop_assert!(found || !stays.contains(&n));
            }
            for n in stays {
                prop_assert!(table.read(key(n), |_| ()).is_some());
            }
        }
    }
}
