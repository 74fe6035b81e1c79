//! `limit … concurrent N`: how many requests of a key are under way at this moment.
//!
//! A request that is let in gets a [`Unit`], which counts until it is dropped. So there is no clock
//! here, and nothing to store: a server that starts has no requests under way.
//!
//! Memory follows what is under way and not what could be: a key without a unit has no entry. All
//! generations of a limit share the counts, of whatever size, since a unit that was taken under one
//! is given back under another.
//!
//! Where this does not protect: with as many keys under way as the limit holds, the next key is let
//! in and not counted. `refused` says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::counters::table::{TABLE_KEYS_MAX, TableOccupancy};
use crate::key::Key;

/// Locks of a table; one is held for tens of nanoseconds.
const SHARDS: usize = 16;

/// Keys that a shard keeps room for, however few there are: no request is to ask for memory.
const SHARD_KEYS_KEPT: usize = 64;

/// Bytes that a key takes while requests of it are under way: its entry, and the half of the map that
/// may be free after it grew.
pub const CONCURRENT_KEY_BYTES: usize = 2 * (size_of::<(Key, u64)>() + 1);

/// What a limit says of a request.
#[derive(Debug)]
pub enum Entered {
    /// There is room for it; it counts until the unit is dropped. Without one it is not counted: as
    /// many keys as the limit holds are under way.
    Within(Option<Unit>),
    /// As many as there may be are under way.
    Over,
}

#[derive(Debug, Default)]
struct Shared {
    /// Keys with their requests under way, never 0.
    shards: [Mutex<HashMap<Key, u64>>; SHARDS],
    keys: AtomicUsize,
    refused: AtomicU64,
}

impl Shared {
    fn shard(&self, key: Key) -> &Mutex<HashMap<Key, u64>> {
        // The map takes its own bits out of the same key, which is hashed with a secret already.
        let [first, ..] = &self.shards;
        self.shards.get(usize::from(key.percentile()) % SHARDS).unwrap_or(first)
    }
}

/// The requests under way of one limit, as one generation sees them.
#[derive(Debug, Clone)]
pub struct ConcurrentTable {
    shared: Arc<Shared>,
    capacity: usize,
}

impl ConcurrentTable {
    pub(crate) fn new(keys: usize) -> Self {
        Self { shared: Arc::default(), capacity: keys.min(TABLE_KEYS_MAX) }
    }

    /// The same requests, for a later generation that holds so many keys.
    pub(crate) fn shared_with(&self, keys: usize) -> Self {
        Self { shared: Arc::clone(&self.shared), capacity: keys.min(TABLE_KEYS_MAX) }
    }

    pub(crate) fn filled(&self) -> TableOccupancy {
        TableOccupancy {
            resident: self.shared.keys.load(Ordering::Relaxed),
            capacity: self.capacity,
            evictions: 0,
            refused: self.shared.refused.load(Ordering::Relaxed),
        }
    }

    /// Counts a request of `key` in, where fewer than `n` are under way.
    #[must_use]
    pub fn enter(&self, key: Key, n: u64) -> Entered {
        let mut counts = self.shared.shard(key).lock();
        match counts.get_mut(&key) {
            Some(count) if *count >= n => return Entered::Over,
            Some(count) => *count = count.saturating_add(1),
            None if n == 0 => return Entered::Over,
            None => {
                // Two that come to the last place at once may both find it: one key more.
                if self.shared.keys.load(Ordering::Relaxed) >= self.capacity {
                    self.shared.refused.fetch_add(1, Ordering::Relaxed);
                    return Entered::Within(None);
                }
                self.shared.keys.fetch_add(1, Ordering::Relaxed);
                counts.insert(key, 1);
            }
        }
        drop(counts);
        Entered::Within(Some(Unit { shared: Arc::clone(&self.shared), key }))
    }

    /// How many requests of `key` are under way.
    #[cfg(test)]
    fn under_way(&self, key: Key) -> u64 {
        self.shared.shard(key).lock().get(&key).copied().unwrap_or(0)
    }
}

/// A request that counts as under way until this is dropped.
#[derive(Debug)]
pub struct Unit {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Unit {
    fn drop(&mut self) {
        let mut counts = self.shared.shard(self.key).lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
                self.shared.keys.fetch_sub(1, Ordering::Relaxed);
                // What a flood made it grow to is given back, half at a time.
                let kept = counts.len().saturating_mul(2).max(SHARD_KEYS_KEPT);
                if kept.saturating_mul(2) < counts.capacity() {
                    counts.shrink_to(kept);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyBuilder, Seed};

    fn key(n: u64) -> Key {
        let mut key = KeyBuilder::new(&Seed([3; 16]));
        key.part(&n.to_le_bytes());
        key.finish()
    }

    fn unit(table: &ConcurrentTable, n: u64, most: u64) -> Option<Unit> {
        match table.enter(key(n), most) {
            Entered::Within(unit) => Some(unit.expect("a key that found no place")),
            Entered::Over => None,
        }
    }

    #[test]
    fn so_many_are_under_way_and_not_one_more() {
        let table = ConcurrentTable::new(10);
        let first = unit(&table, 1, 2).unwrap();
        let second = unit(&table, 1, 2).unwrap();
        assert!(unit(&table, 1, 2).is_none());
        assert!(unit(&table, 2, 2).is_some(), "another key");
        drop(first);
        let third = unit(&table, 1, 2).unwrap();
        assert_eq!((table.under_way(key(1)), table.filled().resident), (2, 1));
        drop((second, third));
        assert_eq!((table.under_way(key(1)), table.filled().resident), (0, 0));
        assert!(unit(&table, 1, 0).is_none(), "none at all");
    }

    #[test]
    fn units_count_across_generations_of_any_size() {
        let table = ConcurrentTable::new(10);
        let unit_of_old = unit(&table, 1, 1).unwrap();
        let next = table.shared_with(1);
        assert!(unit(&next, 1, 1).is_none());
        let more = unit(&next, 1, 2).unwrap();
        drop(unit_of_old);
        assert_eq!((next.under_way(key(1)), table.under_way(key(1))), (1, 1));
        drop(more);
        assert_eq!(next.under_way(key(1)), 0);
    }

    #[test]
    fn a_key_without_a_place_is_let_in_and_not_counted() {
        let table = ConcurrentTable::new(2);
        let _held = [unit(&table, 1, 1), unit(&table, 2, 1)];
        for _ in 0..3 {
            assert!(matches!(table.enter(key(3), 1), Entered::Within(None)));
        }
        assert_eq!((table.filled().refused, table.filled().resident), (3, 2));
        assert!(unit(&table, 1, 1).is_none(), "who has a place is held to it");
    }

    #[test]
    fn what_a_flood_took_is_given_back() {
        let table = ConcurrentTable::new(100_000);
        let held: Vec<Unit> = (0..50_000).filter_map(|n| unit(&table, n, 1)).collect();
        assert_eq!(held.len(), 50_000);
        let room = || -> usize {
            table.shared.shards.iter().map(|shard| shard.lock().allocation_size()).sum()
        };
        assert!(room() <= held.len() * CONCURRENT_KEY_BYTES, "{} bytes", room());
        drop(held);
        assert!(room() <= SHARDS * 2 * SHARD_KEYS_KEPT * CONCURRENT_KEY_BYTES, "{} bytes", room());
        assert_eq!(table.filled().resident, 0);
    }

    #[test]
    fn threads_lose_no_unit_and_pass_no_limit() {
        let table = ConcurrentTable::new(8);
        let most = AtomicU64::new(0);
        let now = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let (table, most, now) = (&table, &most, &now);
                scope.spawn(move || {
                    for _ in 0..5_000 {
                        if let Some(_unit) = unit(table, 1, 3) {
                            most.fetch_max(
                                now.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            now.fetch_sub(1, Ordering::SeqCst);
                        }
                        let _other = unit(table, 2 + thread, 1).unwrap();
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!((table.under_way(key(1)), table.filled().resident), (0, 0));
    }
}
