//! `limit … concurrent N`: the number of requests of a key in flight.
//!
//! An admitted request gets a [`Unit`], which counts until it is dropped. No clock is needed, and a
//! snapshot contains nothing: a server that starts has no requests in flight.
//!
//! Memory depends on the requests in flight: a key without a unit has no entry. All generations of
//! a limit share the counts, whatever their number of keys, because a unit of one generation can
//! end under another.
//!
//! Limitation: if the limit already has its maximum number of keys, a request of another key is
//! admitted without being counted. `refused` counts these requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::counters::table::{TABLE_KEYS_MAX, TableOccupancy};
use crate::key::Key;

/// Locks of a table. A lock is held for tens of nanoseconds.
const SHARDS: usize = 16;

/// Capacity of a shard in keys that is never released, so that most requests need no allocation.
const SHARD_KEYS_KEPT: usize = 64;

/// Bytes of a key with requests in flight: its entry, and the free half of the map after it grew.
pub const CONCURRENT_KEY_BYTES: usize = 2 * (size_of::<(Key, u64)>() + 1);

/// The result of a request at the limit.
#[derive(Debug)]
pub enum Entered {
    /// The request is admitted and counts until the unit is dropped. Without a unit it is not
    /// counted, because the table is full.
    Within(Option<Unit>),
    /// The maximum number of requests is in flight.
    Over,
}

#[derive(Debug, Default)]
struct Shared {
    /// Keys with their requests in flight, never 0.
    shards: [Mutex<HashMap<Key, u64>>; SHARDS],
    keys: AtomicUsize,
    refused: AtomicU64,
}

impl Shared {
    fn shard(&self, key: Key) -> &Mutex<HashMap<Key, u64>> {
        // The map uses other bits of the same key, which is already a keyed hash.
        let [first, ..] = &self.shards;
        self.shards.get(usize::from(key.percentile()) % SHARDS).unwrap_or(first)
    }
}

/// The requests in flight of one limit, for one generation.
#[derive(Debug, Clone)]
pub struct ConcurrentTable {
    shared: Arc<Shared>,
    capacity: usize,
}

impl ConcurrentTable {
    pub(crate) fn new(keys: usize) -> Self {
        Self { shared: Arc::default(), capacity: keys.min(TABLE_KEYS_MAX) }
    }

    /// Returns a table with the same counts for a later generation with this number of keys.
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

    /// Counts a request of `key` if fewer than `n` are in flight.
    #[must_use]
    pub fn enter(&self, key: Key, n: u64) -> Entered {
        let mut counts = self.shared.shard(key).lock();
        match counts.get_mut(&key) {
            Some(count) if *count >= n => return Entered::Over,
            Some(count) => *count = count.saturating_add(1),
            None if n == 0 => return Entered::Over,
            None => {
                // Two requests can find the last free entry at the same time: one key more.
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

    /// Returns the number of requests of `key` in flight.
    #[cfg(test)]
    fn under_way(&self, key: Key) -> u64 {
        self.shared.shard(key).lock().get(&key).copied().unwrap_or(0)
    }
}

/// A request that counts as in flight until this value is dropped.
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
                // Releases capacity after a flood, half at a time.
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
