//! A table in a snapshot: its entries, each with its current one of two sets.
//!
//! A few sets at a time are copied under the lock and written without it, so that a request waits
//! microseconds. A table of the same size is restored set by set, so that no key is lost. A table
//! of another size keeps what an edit would keep.

use seawall_model::Tick;

use super::{Entry, EvictionClass, PackedEntry, SETS_AT_ONCE, Set, Slot, Table};
use crate::key::Tag;
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

/// Entries that are sorted by use together if the size of the table has changed.
const SORTED_AT_ONCE: usize = 65_536;

/// An entry that can be in a snapshot.
pub(crate) trait Stored: Entry {
    /// Writes it.
    fn store(&self, out: &mut SnapshotEncoder);

    /// Reads an entry, mapped to the reader's clock.
    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self>;

    /// Returns whether the entry has any effect, so that it must be written.
    fn is_missed(&self, now: Tick) -> bool {
        self.standing(now) != EvictionClass::Idle
    }
}

/// Whether the table has the same size as when it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Same,
    Other,
}

impl<P: PackedEntry<Entry: Stored>> Table<P> {
    /// Writes every entry that has an effect.
    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        let now = out.at;
        let mut copies: Vec<(Tag, u8, P::Entry)> = Vec::new();
        for shard in &self.shards {
            for begin in (0..self.sets_per_shard).step_by(SETS_AT_ONCE) {
                let sets = shard.0.lock();
                let some = sets.sets.iter().enumerate().skip(begin).take(SETS_AT_ONCE);
                for (place, set) in some {
                    for (tag, packed) in set.taken() {
                        let entry = packed.unpack();
                        if entry.is_missed(now) {
                            let home = u8::from(self.homes(tag).first() != Some(&place));
                            copies.push((tag, home, entry));
                        }
                    }
                }
                drop(sets);
                for (tag, home, entry) in copies.drain(..) {
                    if out.has_room(entry.standing(now)) {
                        out.byte(home);
                        out.tag(tag);
                        entry.store(out);
                    }
                }
            }
        }
    }

    /// Restores the output of [`store`](Self::store), up to the end of the section.
    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>, size: Size) -> Option<()> {
        let now = from.now;
        let mut unsorted = Vec::new();
        while !from.is_at_end() {
            let home = usize::from(from.byte()?);
            let tag = from.tag()?;
            let entry = P::Entry::load(&mut from)?;
            match size {
                _ if !entry.is_missed(now) => {}
                Size::Same => self.put_back(tag, home, entry, now),
                Size::Other => unsorted.push((tag, entry)),
            }
            if unsorted.len() >= SORTED_AT_ONCE {
                self.file(&mut unsorted, now);
            }
        }
        self.file(&mut unsorted, now);
        Some(())
    }

    /// Stores entries so that the most recently used are evicted last.
    fn file(&self, entries: &mut Vec<(Tag, P::Entry)>, now: Tick) {
        entries.sort_by_key(|(_, entry)| entry.seen());
        for (tag, entry) in entries.drain(..) {
            self.put_in(tag, entry, now);
        }
    }

    /// Stores an entry in its previous set, or in the other one.
    fn put_back(&self, tag: Tag, home: usize, entry: P::Entry, now: Tick) {
        if let Some(mut sets) = self.shard(tag)
            && self.place_of(&sets, tag).is_none()
            && let Some(set) = self.homes(tag).get(home).and_then(|home| sets.sets.get_mut(*home))
            && let Some(way) = set.uppers.iter().position(|upper| *upper == 0)
            && let Some((upper, slot)) = set.uppers.get_mut(way).zip(set.slots.get_mut(way))
        {
            *upper = tag.upper;
            *slot = Slot { lower: tag.lower, packed: P::pack(entry) };
            sets.resident = sets.resident.saturating_add(1);
            return;
        }
        self.put_in(tag, entry, now);
    }

    fn put_in(&self, tag: Tag, entry: P::Entry, now: Tick) {
        let newer = |here: &mut P::Entry| {
            if entry.seen() > here.seen() {
                *here = entry.clone();
            }
        };
        // A rejected entry is counted as always.
        let _placed = self.update_at(tag, now, || entry.clone(), newer);
    }

    /// Returns whether an entry was used at `at` or later.
    pub(crate) fn is_used_since(&self, at: Tick) -> bool {
        let used = |set: &Set<P>| set.taken().any(|(_, packed)| packed.look(Entry::seen) >= at);
        self.shards.iter().any(|shard| {
            (0..self.sets_per_shard)
                .step_by(SETS_AT_ONCE)
                .any(|begin| shard.0.lock().sets.iter().skip(begin).take(SETS_AT_ONCE).any(used))
        })
    }
}
