//! A bounded queue of records between those who decide and the one who writes down.
//!
//! Whoever pushes never waits for whoever reads: a full ring overwrites its oldest record and
//! counts it as lost. One lock, held for a copy of a few dozen bytes; the reader takes records out
//! in portions, so that it holds the lock for microseconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Records that a ring holds by default: 4 MiB of decisions, and half a second at 131,072 requests
/// per second.
pub const RECORDS_MAX: usize = 65_536;

/// Records that one lock of [`Ring::drain`] takes out at most.
const PORTION: usize = 1_024;

/// The newest records, and how many were lost.
pub struct Ring<T> {
    records: Mutex<VecDeque<T>>,
    capacity: usize,
    lost: AtomicU64,
}

impl<T> std::fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self::new(RECORDS_MAX)
    }
}

impl<T> Ring<T> {
    /// A ring of so many records, at least one; the memory is taken now.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let records = Mutex::new(VecDeque::with_capacity(capacity));
        Self { records, capacity, lost: AtomicU64::new(0) }
    }

    /// Adds a record; if the ring is full, the oldest is lost.
    pub fn push(&self, record: T) {
        let mut records = self.records.lock();
        if records.len() >= self.capacity {
            records.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        records.push_back(record);
    }

    /// Takes out the records that are there, the oldest first, at most the ring's capacity.
    pub fn drain(&self) -> Vec<T> {
        let mut out = Vec::new();
        while out.len() < self.capacity {
            let mut records = self.records.lock();
            let portion = records.len().min(PORTION).min(self.capacity.saturating_sub(out.len()));
            if portion == 0 {
                break;
            }
            out.extend(records.drain(..portion));
        }
        out
    }

    /// Records that were overwritten before anybody took them out.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Records that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_loses_its_oldest_and_counts_it() {
        let ring = Ring::new(4);
        (0..4).for_each(|n| ring.push(n));
        assert_eq!((ring.len(), ring.lost()), (4, 0));
        (4..6).for_each(|n| ring.push(n));
        assert_eq!((ring.drain(), ring.lost()), (vec![2, 3, 4, 5], 2));
        assert!(ring.is_empty());
    }

    #[test]
    fn the_default_holds_its_bound_and_no_more() {
        let ring = Ring::default();
        (0..RECORDS_MAX).for_each(|n| ring.push(n));
        assert_eq!((ring.len(), ring.lost()), (RECORDS_MAX, 0));
        ring.push(RECORDS_MAX);
        let records = ring.drain();
        assert_eq!((records.len(), records[0], ring.lost()), (RECORDS_MAX, 1, 1));
    }

    #[test]
    fn a_ring_of_none_is_one_of_one() {
        let ring = Ring::new(0);
        ring.push(1);
        ring.push(2);
        assert_eq!((ring.drain(), ring.lost()), (vec![2], 1));
    }

    #[test]
    fn threads_lose_nothing_but_what_is_counted() {
        let ring = Ring::new(100);
        let taken: usize = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..5_000).for_each(|n| ring.push(n)));
            }
            (0..50).map(|_| ring.drain().len()).sum()
        });
        assert_eq!((taken + ring.drain().len()) as u64 + ring.lost(), 15_000);
    }
}
