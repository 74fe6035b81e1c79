//! The table under every counter: a fixed number of slots, eight to a set, two sets to a key.
//!
//! A key may stand in either of two sets that its hash names and goes to the emptier one. With one
//! choice 5 % of the keys lose their place at three quarters full (and the 4-way table that was
//! measured for this lost 11 %); with two, next to none do, so the slots are the keys asked for
//! and a third more. Where both sets are full, an idle key makes room, else the one longest
//! unused, never a held one. If all sixteen are held, the newcomer finds no place and its counter
//! reads 0.
//!
//! Memory is taken when the table is made: 16 bytes and the entry a slot, so 107 bytes for each
//! key of a limit and 64 for each of a track of requests or bytes.
//!
//! Where this does not protect: a flood of more live keys than slots pushes out the least recently
//! used, and a client that was pushed out starts afresh, with a full reserve. `evictions` says so.

mod stored;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use seawall_model::Tick;

use crate::key::Key;
pub(crate) use stored::{Size, Stored};

/// Most keys that one table is made for; a larger wish gets this many. 2^26 limits are 7 GiB: who
/// needs more needs more machines.
pub const TABLE_KEYS_MAX: usize = 1 << 26;

/// Slots of a set: the halves of eight keys fill one cache line.
const WAYS: usize = 8;
/// Locks of a large table. More would be idle: a lock is held for tens of nanoseconds.
const SHARDS_MAX: usize = 64;
/// Sets below which a shard is not worth a lock of its own.
const SHARD_SETS_MIN: usize = 64;

/// Bytes that a table takes for each key it is made for: its slot, and the third that stays free.
pub(crate) const fn key_bytes<V>() -> usize {
    size_of::<Set<V>>().saturating_mul(4).div_ceil(WAYS.saturating_mul(3))
}

/// What a table can hold.
pub(crate) trait Entry: Default + Clone {
    /// When it was last used.
    fn seen(&self) -> Tick;

    /// What would be lost with it.
    fn standing(&self, now: Tick) -> Standing;
}

/// What would be lost with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: a new entry would read the same.
    Idle,
    /// Counts.
    Live,
    /// A hold that is running; such an entry keeps its place.
    Held,
}

#[derive(Clone, Default)]
struct Slot<V> {
    /// The lower half of the key; the upper half is in the set's `uppers`.
    lower: u64,
    value: V,
}

#[derive(Clone, Default)]
struct Set<V> {
    /// The upper halves of the keys; 0 marks an empty slot.
    uppers: [u64; WAYS],
    slots: [Slot<V>; WAYS],
}

impl<V> Set<V> {
    fn way_of(&self, key: Key) -> Option<usize> {
        let mut both = self.uppers.iter().zip(&self.slots);
        both.position(|(upper, slot)| *upper == key.upper() && slot.lower == key.lower())
    }
}

type Sets<V> = Box<[Set<V>]>;

/// Exact counters of many keys in fixed memory.
pub(crate) struct Table<V> {
    shards: Box<[Mutex<Sets<V>>]>,
    sets_per_shard: usize,
    resident: AtomicUsize,
    evictions: AtomicU64,
    refused: AtomicU64,
}

impl<V> std::fmt::Debug for Table<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("capacity", &self.capacity())
            .field("resident", &self.resident)
            .finish_non_exhaustive()
    }
}

/// Where a newcomer may go; the least is taken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Room {
    /// An empty slot of a set with so many others taken.
    Empty(usize),
    /// An idle key, last seen then.
    Idle(Tick),
    /// A live key, last seen then.
    Live(Tick),
}

impl<V> Table<V> {
    /// Slots of the table.
    pub(crate) fn capacity(&self) -> usize {
        self.shards.len().saturating_mul(self.sets_per_shard).saturating_mul(WAYS)
    }

    /// Keys that have a slot, idle ones too.
    pub(crate) fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    /// Live keys that lost their place to another.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// Times that a key found no place.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Sets<V>>> {
        // The number of shards is a power of two; `homes` uses bits above these.
        let mask = self.shards.len().saturating_sub(1);
        self.shards.get(key.lower() as usize & mask).map(Mutex::lock)
    }

    /// The two sets of a key in its shard; they may be the same.
    const fn homes(&self, key: Key) -> [usize; 2] {
        [
            spread(key.lower() >> 32, self.sets_per_shard),
            spread(key.upper() >> 32, self.sets_per_shard),
        ]
    }

    fn place_of(&self, sets: &Sets<V>, key: Key) -> Option<(usize, usize)> {
        let [first, second] = self.homes(key);
        let way = |home: usize| sets.get(home).and_then(|set| set.way_of(key));
        way(first).map(|w| (first, w)).or_else(|| way(second).map(|w| (second, w)))
    }

    /// What `look` sees in the key's entry, if it has one. Changes nothing.
    pub(crate) fn read<R>(&self, key: Key, look: impl FnOnce(&V) -> R) -> Option<R> {
        let sets = self.shard(key)?;
        let (home, way) = self.place_of(&sets, key)?;
        sets.get(home).and_then(|set| set.slots.get(way)).map(|slot| look(&slot.value))
    }
}

impl<V: Entry> Table<V> {
    /// A table with room for `keys` keys, at most [`TABLE_KEYS_MAX`].
    pub(crate) fn new(keys: usize) -> Self {
        let (shards, sets_per_shard) = shape(keys);
        let sets = || Mutex::new(vec![Set::default(); sets_per_shard].into_boxed_slice());
        Self {
            shards: std::iter::repeat_with(sets).take(shards).collect(),
            sets_per_shard,
            resident: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Changes the key's entry, making it first where there is none; `None` if there is no place.
    pub(crate) fn update<R>(
        &self,
        key: Key,
        now: Tick,
        fresh: impl FnOnce() -> V,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let mut sets = self.shard(key)?;
        if let Some((home, way)) = self.place_of(&sets, key) {
            let slot = sets.get_mut(home)?.slots.get_mut(way)?;
            return Some(change(&mut slot.value));
        }
        let Some((room, home, way)) = self.room_for(&sets, key, now) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        match room {
            Room::Empty(_) => _ = self.resident.fetch_add(1, Ordering::Relaxed),
            Room::Idle(_) => {}
            Room::Live(_) => _ = self.evictions.fetch_add(1, Ordering::Relaxed),
        }
        let set = sets.get_mut(home)?;
        *set.uppers.get_mut(way)? = key.upper();
        let slot = set.slots.get_mut(way)?;
        *slot = Slot { lower: key.lower(), value: fresh() };
        Some(change(&mut slot.value))
    }

    fn room_for(&self, sets: &Sets<V>, key: Key, now: Tick) -> Option<(Room, usize, usize)> {
        let mut best: Option<(Room, usize, usize)> = None;
        for home in self.homes(key) {
            let set = sets.get(home)?;
            let taken = set.uppers.iter().filter(|upper| **upper != 0).count();
            for (way, (upper, slot)) in set.uppers.iter().zip(&set.slots).enumerate() {
                let room = match (*upper, slot.value.standing(now)) {
                    (0, _) => Room::Empty(taken),
                    (_, Standing::Idle) => Room::Idle(slot.value.seen()),
                    (_, Standing::Live) => Room::Live(slot.value.seen()),
                    (_, Standing::Held) => continue,
                };
                if best.as_ref().is_none_or(|(least, ..)| room < *least) {
                    best = Some((room, home, way));
                }
            }
        }
        best
    }

    /// Changes every entry, one shard locked at a time.
    pub(crate) fn each_mut(&self, mut change: impl FnMut(&mut V)) {
        for shard in &self.shards {
            for set in shard.lock().iter_mut() {
                let taken = set.uppers.iter().zip(&mut set.slots).filter(|(upper, _)| **upper != 0);
                taken.for_each(|(_, slot)| change(&mut slot.value));
            }
        }
    }

    /// Takes over the entries of `other`; `merge` joins one that is here with its
    /// twin, which may be a copy of it.
    ///
    /// A smaller table keeps what `update` would keep: the held and the most recently used.
    pub(crate) fn absorb(&self, other: &Self, merge: impl Fn(&mut V, &V)) {
        for shard in &other.shards {
            // Copied, so that requests wait for the copy of one shard and not for its filing.
            let entries = entries_of(&shard.lock());
            // The latest moment that the shard has seen is a `now` that nobody is ahead of.
            let now = entries.iter().map(|(_, value)| value.seen()).max().unwrap_or_default();
            for (key, value) in entries {
                self.update(key, now, || value.clone(), |here| merge(here, &value));
            }
        }
    }
}

/// A number of `0..n` that is even over the 32 bits of `hash`.
const fn spread(hash: u64, n: usize) -> usize {
    // INVARIANT: both factors are below 2^32, so the product fits.
    (hash.wrapping_mul(n as u64) >> 32) as usize
}

/// How many shards, and how many sets in each, hold `keys` at three quarters.
fn shape(keys: usize) -> (usize, usize) {
    let keys = keys.clamp(1, TABLE_KEYS_MAX);
    let slots = keys.saturating_mul(4).div_ceil(3);
    let sets = slots.div_ceil(WAYS);
    let wanted = (sets / SHARD_SETS_MIN).clamp(1, SHARDS_MAX);
    let shards = if wanted.is_power_of_two() { wanted } else { wanted.next_power_of_two() >> 1 };
    (shards, sets.div_ceil(shards))
}

/// The entries, the least recently used first, so that those last filed are the last to go.
fn entries_of<V: Entry>(sets: &Sets<V>) -> Vec<(Key, V)> {
    let mut entries = Vec::new();
    for set in sets {
        for (upper, slot) in set.uppers.iter().zip(&set.slots).filter(|(upper, _)| **upper != 0) {
            entries.push((Key::of_halves(*upper, slot.lower), slot.value.clone()));
        }
    }
    entries.sort_by_key(|(_, value)| value.seen());
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

        fn standing(&self, now: Tick) -> Standing {
            match now {
                now if now < self.held_until => Standing::Held,
                now if now < self.idle_after => Standing::Live,
                _ => Standing::Idle,
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
            assert!(table.evictions() <= keys as u64 / 10_000, "{keys}: {}", table.evictions());
            assert_eq!(table.resident() as u64 + table.evictions(), keys as u64);
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
        assert!(table.resident() <= capacity);
        assert_eq!(table.evictions(), 10_000 - table.resident() as u64);
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
        assert_eq!((table.read(key(5), |_| ()), table.evictions()), (None, 0));
        assert!(note(&table, 101, &live(61)));
        assert_eq!((table.read(key(0), |_| ()), table.evictions()), (None, 1));
        assert_eq!(table.read(key(1), |_| ()), Some(()));
    }

    #[test]
    fn where_all_are_held_the_newcomer_is_turned_away() {
        let table = Table::new(6);
        for n in 0..8 {
            assert!(note(&table, n, &held(n)));
        }
        assert!(!note(&table, 100, &live(60)));
        assert_eq!((table.refused(), table.evictions(), table.resident()), (1, 0, 8));
    }

    #[test]
    fn a_larger_and_a_smaller_table_take_over_what_they_can() {
        let small = Table::new(6);
        let large = Table::new(1_000);
        for n in 0..6 {
            note(&small, n, &if n == 0 { held(n) } else { live(n) });
        }
        large.absorb(&small, |_, _| {});
        assert_eq!(large.resident(), 6);
        for n in 6..700 {
            note(&large, n, &live(n));
        }
        let again = Table::new(6);
        again.absorb(&large, |_, _| {});
        assert_eq!(again.resident(), 8);
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
