//! A table in a snapshot: its entries one after the other, each with the one of its two homes that
//! it stands in.
//!
//! A few sets are copied under the lock at a time and written when it is free again, so that a
//! request waits microseconds. A table of the same size is then filled as it was, home by home, so
//! that nobody loses a place by being restored; one of another size keeps what an edit would keep.

use seawall_model::Tick;

use super::{Entry, Slot, Standing, Table};
use crate::key::Key;
use crate::snapshot::{Reader, Writer};

/// Sets that are copied under one lock: 10 KiB of a limit.
const SETS_AT_ONCE: usize = 16;
/// Entries that are put into order of use at once where a table has another size now.
const SORTED_AT_ONCE: usize = 65_536;

/// An entry that can be in a snapshot.
pub(crate) trait Stored: Entry {
    /// Writes it.
    fn store(&self, out: &mut Writer);

    /// Reads one, moved to the reader's clock.
    fn load(from: &mut Reader<'_>) -> Option<Self>;

    /// Whether anything would be missed without it.
    fn is_missed(&self, now: Tick) -> bool {
        self.standing(now) != Standing::Idle
    }
}

/// Whether a table has the size that it had when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Same,
    Other,
}

impl<V: Stored> Table<V> {
    /// Writes every entry that would be missed.
    pub(crate) fn store(&self, out: &mut Writer) {
        let now = out.at;
        let mut copies: Vec<(Key, u8, V)> = Vec::new();
        for shard in &self.shards {
            for begin in (0..self.sets_per_shard).step_by(SETS_AT_ONCE) {
                let sets = shard.lock();
                let some = sets.iter().enumerate().skip(begin).take(SETS_AT_ONCE);
                for (place, set) in some {
                    for (upper, slot) in set.uppers.iter().zip(&set.slots) {
                        if *upper != 0 && slot.value.is_missed(now) {
                            let key = Key::of_halves(*upper, slot.lower);
                            let home = u8::from(self.homes(key).first() != Some(&place));
                            copies.push((key, home, slot.value.clone()));
                        }
                    }
                }
                drop(sets);
                for (key, home, value) in copies.drain(..) {
                    if out.has_room(value.standing(now)) {
                        out.byte(home);
                        out.key(key);
                        value.store(out);
                    }
                }
            }
        }
    }

    /// Takes in what [`store`](Self::store) has written, up to the end of the section.
    pub(crate) fn load(&self, mut from: Reader<'_>, size: Size) -> Option<()> {
        let now = from.now;
        let mut unsorted = Vec::new();
        while !from.is_at_end() {
            let home = usize::from(from.byte()?);
            let key = from.key()?;
            let value = V::load(&mut from)?;
            match size {
                _ if !value.is_missed(now) => {}
                Size::Same => self.put_back(key, home, value, now),
                Size::Other => unsorted.push((key, value)),
            }
            if unsorted.len() >= SORTED_AT_ONCE {
                self.file(&mut unsorted, now);
            }
        }
        self.file(&mut unsorted, now);
        Some(())
    }

    /// Files entries so that the most recently used are the last to go.
    fn file(&self, entries: &mut Vec<(Key, V)>, now: Tick) {
        entries.sort_by_key(|(_, value)| value.seen());
        for (key, value) in entries.drain(..) {
            self.put_in(key, value, now);
        }
    }

    /// Puts an entry where it stood, or where there is room.
    fn put_back(&self, key: Key, home: usize, value: V, now: Tick) {
        if let Some(mut sets) = self.shard(key)
            && self.place_of(&sets, key).is_none()
            && let Some(set) = self.homes(key).get(home).and_then(|home| sets.get_mut(*home))
            && let Some(way) = set.uppers.iter().position(|upper| *upper == 0)
            && let Some((upper, slot)) = set.uppers.get_mut(way).zip(set.slots.get_mut(way))
        {
            *upper = key.upper();
            *slot = Slot { lower: key.lower(), value };
            self.resident.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return;
        }
        self.put_in(key, value, now);
    }

    fn put_in(&self, key: Key, value: V, now: Tick) {
        let newer = |here: &mut V| {
            if value.seen() > here.seen() {
                *here = value.clone();
            }
        };
        // One that finds no place is counted as refused, as always.
        let _placed = self.update(key, now, || value.clone(), newer);
    }

    /// Whether an entry was used at `at` or later.
    pub(crate) fn is_used_since(&self, at: Tick) -> bool {
        self.shards.iter().any(|shard| {
            (0..self.sets_per_shard).step_by(SETS_AT_ONCE).any(|begin| {
                let sets = shard.lock();
                let mut some = sets.iter().skip(begin).take(SETS_AT_ONCE);
                some.any(|set| {
                    let mut both = set.uppers.iter().zip(&set.slots);
                    both.any(|(upper, slot)| *upper != 0 && slot.value.seen() >= at)
                })
            })
        })
    }
}
