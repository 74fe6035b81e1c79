//! The number of distinct values of a key in the window.
//!
//! Up to [`EXACT_MAX`] values are stored one by one, as 64-bit hashes. Above that, the key also
//! gets two sets of 256 HyperLogLog registers, one for each bucket (standard error 6.5 %). They are
//! in a second table with a quarter of the slots, because most keys never need them. A key without
//! registers reads [`EXACT_MAX`], which is too low.
//!
//! Memory: 184 bytes for each slot, and 544 for each of a quarter as many; 427 bytes for each
//! requested key, allocated with the table.

mod codec;

use seawall_model::Tick;

use crate::counters::generation_guard::RequestedWindow;
use crate::counters::sliding_window::{buckets_passed, elapsed_ms, joined_ms, scale_up};
use crate::counters::table::{Entry, EvictionClass, Table, TableOccupancy, key_bytes};
use crate::key::Key;

/// Most distinct values that are counted exactly.
pub const EXACT_MAX: usize = 16;

/// Number of keys for one entry in the table of registers.
const KEYS_PER_REGISTERS: usize = 4;
/// Bytes of a track of distinct values for each requested key.
pub const DISTINCT_KEY_BYTES: usize =
    key_bytes::<ExactSet>() + key_bytes::<CardinalitySketch>().div_ceil(KEYS_PER_REGISTERS);

const REGISTERS: usize = 256;
/// Bits of a hash that select the register.
const REGISTER_BITS: u32 = REGISTERS.trailing_zeros();
/// The highest value of a register: the zeros in the other 56 bits, plus one.
const RANKS: usize = 58;

/// The first distinct values of a key.
#[derive(Clone, Copy, Default)]
pub(crate) struct ExactSet {
    seen: Tick,
    window_ms: u64,
    hashes: [u64; EXACT_MAX],
    /// A bit for each used entry of `hashes`.
    taken: u16,
    /// A bit for each entry of the current bucket; the others are of the previous one.
    current: u16,
    /// The time of the last value without a free entry.
    overflowed: Option<Tick>,
}

impl ExactSet {
    fn new(window_ms: u64, now: Tick) -> Self {
        Self { seen: now, window_ms: window_ms.max(1), ..Self::default() }
    }

    fn advance(&mut self, now: Tick) {
        match buckets_passed(self.window_ms, self.seen, now) {
            0 => {}
            1 => {
                self.taken = self.current;
                self.current = 0;
            }
            _ => {
                self.taken = 0;
                self.current = 0;
            }
        }
        self.seen = self.seen.max(now);
    }

    /// Changes the length of the window. All values count as current.
    fn read_over(&mut self, window_ms: u64) {
        if window_ms.max(1) != self.window_ms {
            self.window_ms = window_ms.max(1);
            self.current = self.taken;
            self.overflowed = self.overflowed.map(|_| self.seen);
        }
    }

    /// Adds a hash if there is a free entry.
    fn insert(&mut self, hash: u64) {
        let mut free = None;
        for (i, known) in self.hashes.iter().enumerate() {
            let bit = bit(i);
            if self.taken & bit == 0 {
                free = free.or(Some(i));
            } else if *known == hash {
                self.current |= bit;
                return;
            }
        }
        let Some(slot) = free.and_then(|i| self.hashes.get_mut(i)) else {
            self.overflowed = Some(self.seen);
            return;
        };
        *slot = hash;
        let bit = free.map_or(0, bit);
        self.taken |= bit;
        self.current |= bit;
    }

    /// Returns whether the window contains more values than are stored here: one more came in the
    /// current bucket or in the previous one.
    fn is_overflowing(&self) -> bool {
        self.overflowed.is_some_and(|at| buckets_passed(self.window_ms, at, self.seen) <= 1)
    }

    fn sum(&self) -> u64 {
        let current = u64::from(self.current.count_ones());
        let before_only = u64::from((self.taken & !self.current).count_ones());
        current.saturating_add(faded(before_only, self.window_ms, self.seen))
    }
}

/// Returns bit `i` of sixteen.
fn bit(i: usize) -> u16 {
    u32::try_from(i).ok().and_then(|i| 1_u16.checked_shl(i)).unwrap_or(0)
}

/// Returns the part of `before` that remains, as a count in the bucket before that of `at`.
fn faded(before: u64, window_ms: u64, at: Tick) -> u64 {
    scale_up(before, window_ms.saturating_sub(elapsed_ms(window_ms, at)), window_ms)
}

impl Entry for ExactSet {
    fn seen(&self) -> Tick {
        self.seen
    }

    fn standing(&self, now: Tick) -> EvictionClass {
        let passed = buckets_passed(self.window_ms, self.seen, now);
        if passed > 1 || (passed == 1 && self.current == 0) || self.taken == 0 {
            EvictionClass::Idle
        } else {
            EvictionClass::Live
        }
    }
}

type Registers = [u8; REGISTERS];

/// The registers of a key with more than [`EXACT_MAX`] values.
#[derive(Clone)]
pub(crate) struct CardinalitySketch {
    seen: Tick,
    window_ms: u64,
    before: Registers,
    current: Registers,
}

impl Default for CardinalitySketch {
    fn default() -> Self {
        Self { seen: Tick(0), window_ms: 1, before: [0; REGISTERS], current: [0; REGISTERS] }
    }
}

impl CardinalitySketch {
    /// Creates registers with the values of `few`.
    fn of(few: &ExactSet) -> Self {
        let mut many = Self { seen: few.seen, window_ms: few.window_ms, ..Self::default() };
        for (i, hash) in few.hashes.iter().enumerate() {
            if few.current & bit(i) != 0 {
                note(&mut many.current, *hash);
            } else if few.taken & bit(i) != 0 {
                note(&mut many.before, *hash);
            }
        }
        many
    }

    fn advance(&mut self, now: Tick) {
        match buckets_passed(self.window_ms, self.seen, now) {
            0 => {}
            1 => {
                self.before = self.current;
                self.current = [0; REGISTERS];
            }
            _ => {
                self.before = [0; REGISTERS];
                self.current = [0; REGISTERS];
            }
        }
        self.seen = self.seen.max(now);
    }

    fn read_over(&mut self, window_ms: u64) {
        if window_ms.max(1) != self.window_ms {
            self.window_ms = window_ms.max(1);
            self.current = union(&self.before, &self.current);
            self.before = [0; REGISTERS];
        }
    }

    fn sum(&self) -> u64 {
        let current = estimate(&self.current);
        let both = estimate(&union(&self.before, &self.current));
        let before_only = both.saturating_sub(current);
        current.saturating_add(faded(before_only, self.window_ms, self.seen))
    }
}

impl Entry for CardinalitySketch {
    fn seen(&self) -> Tick {
        self.seen
    }

    fn standing(&self, now: Tick) -> EvictionClass {
        let passed = buckets_passed(self.window_ms, self.seen, now);
        if passed > 1 { EvictionClass::Idle } else { EvictionClass::Live }
    }
}

fn note(registers: &mut Registers, hash: u64) {
    let rank = (hash >> REGISTER_BITS).trailing_zeros().min(u64::BITS - REGISTER_BITS);
    let rank = u8::try_from(rank).unwrap_or(u8::MAX).saturating_add(1);
    if let Some(register) = registers.get_mut(hash as usize & (REGISTERS - 1)) {
        *register = rank.max(*register);
    }
}

fn union(a: &Registers, b: &Registers) -> Registers {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(out, b)| *out = (*out).max(*b));
    out
}

/// Estimates the number of distinct hashes in the registers (Flajolet et al. 2007, "HyperLogLog",
/// fig. 3, with linear counting for small numbers; 64-bit hashes need no correction for large
/// ones). Rounded down.
fn estimate(registers: &Registers) -> u64 {
    let mut ranks = [0_u16; RANKS];
    for register in registers {
        if let Some(rank) = ranks.get_mut(usize::from(*register)) {
            *rank = rank.saturating_add(1);
        }
    }
    let m = REGISTERS as f64;
    // Horner's scheme from the highest rank down gives the sum of all 2^-rank.
    let sum = ranks.iter().rev().fold(0.0, |sum, n| sum / 2.0 + f64::from(*n));
    let alpha = 0.7213 / (1.0 + 1.079 / m);
    let raw = alpha * m * m / sum;
    let empty = f64::from(ranks.first().copied().unwrap_or(0));
    let estimate = if raw <= 2.5 * m && empty > 0.0 { m * (m / empty).ln() } else { raw };
    estimate as u64
}

/// The distinct values of one track.
#[derive(Debug)]
pub(crate) struct DistinctCounter {
    pub(crate) few: Table<ExactSet>,
    pub(crate) many: Table<CardinalitySketch>,
}

impl DistinctCounter {
    pub(crate) fn new(keys: usize) -> Self {
        Self { few: Table::new(keys), many: Table::new(keys.div_ceil(KEYS_PER_REGISTERS)) }
    }

    /// Adds the value `thing` to `key`.
    pub(crate) fn feed(&self, key: Key, thing: Key, asked: RequestedWindow, now: Tick) {
        let overflowing = self.few.update(
            key,
            now,
            || ExactSet::new(asked.window_ms, now),
            |few| {
                few.advance(now);
                few.read_over(asked.for_slot(few.window_ms));
                few.insert(thing.lower());
                few.is_overflowing().then_some(*few)
            },
        );
        let Some(Some(few)) = overflowing else { return };
        self.many.update(
            key,
            now,
            || CardinalitySketch::of(&few),
            |many| {
                many.advance(now);
                many.read_over(asked.for_slot(many.window_ms));
                note(&mut many.current, thing.lower());
            },
        );
    }

    /// Returns the number of distinct values of `key` in a window of `window_ms` that ends at
    /// `now`.
    pub(crate) fn sum_over(&self, key: Key, window_ms: u64, now: Tick) -> u64 {
        let few = self.few.read(key, |few| {
            let mut few = *few;
            few.advance(now);
            few.read_over(window_ms);
            few
        });
        let Some(few) = few else { return 0 };
        if !few.is_overflowing() {
            return few.sum();
        }
        let many = self.many.read(key, CardinalitySketch::clone).map(|mut many| {
            many.advance(now);
            many.read_over(window_ms);
            many.sum()
        });
        few.sum().max(many.unwrap_or(0))
    }

    /// Adds the content of `older`, for a generation with the window `asked_ms`.
    pub(crate) fn absorb(&self, older: &Self, asked_ms: u64) {
        self.few.absorb(&older.few, |here, there| {
            let mut there = *there;
            let window_ms = joined_ms(here.window_ms, there.window_ms, asked_ms);
            here.advance(there.seen);
            there.advance(here.seen);
            here.read_over(window_ms);
            there.read_over(window_ms);
            for (i, hash) in there.hashes.iter().enumerate() {
                let is_taken = there.taken & bit(i) != 0;
                let is_current = there.current & bit(i) != 0;
                // A value of the previous bucket counts as current, and is therefore stored a
                // little longer.
                if is_current || (is_taken && !here.remembers(*hash)) {
                    here.insert(*hash);
                }
            }
            here.overflowed = here.overflowed.max(there.overflowed);
        });
        self.many.absorb(&older.many, |here, there| {
            let mut there = there.clone();
            let window_ms = joined_ms(here.window_ms, there.window_ms, asked_ms);
            here.advance(there.seen);
            there.advance(here.seen);
            here.read_over(window_ms);
            there.read_over(window_ms);
            here.current = union(&here.current, &there.current);
            here.before = union(&here.before, &there.before);
        });
    }

    /// Returns the occupancy. Evicted and rejected registers count as rejected.
    pub(crate) fn filled(&self) -> TableOccupancy {
        let (few, many) = (self.few.filled(), self.many.filled());
        let lost = many.evictions.saturating_add(many.refused);
        TableOccupancy { refused: few.refused.saturating_add(lost), ..few }
    }
}

impl ExactSet {
    fn remembers(&self, hash: u64) -> bool {
        self.hashes.iter().enumerate().any(|(i, known)| self.taken & bit(i) != 0 && *known == hash)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::counters::generation_guard::CallerAge;
    use crate::key::tests::key;

    const WINDOW_MS: u64 = 1_000;
    const ASKED: RequestedWindow = RequestedWindow { window_ms: WINDOW_MS, by: CallerAge::Newest };

    #[test]
    fn up_to_sixteen_are_exact_and_repeats_do_not_count() {
        let distinct = DistinctCounter::new(10);
        for n in 0..16 {
            for _ in 0..3 {
                distinct.feed(key(1), key(100 + n), ASKED, Tick(0));
            }
            assert_eq!(distinct.sum_over(key(1), WINDOW_MS, Tick(0)), n + 1);
        }
        assert_eq!(distinct.sum_over(key(2), WINDOW_MS, Tick(0)), 0);
        assert_eq!(distinct.many.filled().resident, 0);
        distinct.feed(key(1), key(200), ASKED, Tick(0));
        assert_eq!(distinct.many.filled().resident, 1, "the seventeenth takes registers");
    }

    #[test]
    fn many_are_estimated_within_four_standard_errors() {
        let distinct = DistinctCounter::new(10);
        for n in 1..=50_000_u64 {
            distinct.feed(key(1), key(n), ASKED, Tick(0));
            if [17, 50, 100, 300, 1_000, 5_000, 50_000].contains(&n) {
                let read = distinct.sum_over(key(1), WINDOW_MS, Tick(0));
                assert!(read.abs_diff(n) * 100 <= n * 26 + 100, "{n}: {read}");
                assert!(read >= 16);
            }
        }
        let half = distinct.sum_over(key(1), WINDOW_MS, Tick(1_500));
        let whole = distinct.sum_over(key(1), WINDOW_MS, Tick(1_000));
        assert_eq!(half, whole.div_ceil(2));
        assert_eq!(distinct.sum_over(key(1), WINDOW_MS, Tick(2_000)), 0);
    }

    #[test]
    fn the_window_slides_for_the_few_and_exactness_returns() {
        let distinct = DistinctCounter::new(10);
        for n in 0..40 {
            distinct.feed(key(1), key(100 + n), ASKED, Tick(0));
        }
        distinct.feed(key(1), key(100), ASKED, Tick(1_999));
        distinct.feed(key(1), key(101), ASKED, Tick(2_000));
        assert_eq!(distinct.sum_over(key(1), WINDOW_MS, Tick(2_000)), 2);
        assert_eq!(distinct.sum_over(key(1), WINDOW_MS, Tick(2_999)), 2);
        assert_eq!(distinct.sum_over(key(1), WINDOW_MS, Tick(3_000)), 1);
    }

    #[test]
    fn without_registers_a_key_reads_no_more_than_it_has() {
        let distinct = DistinctCounter::new(200);
        let slots = distinct.many.capacity() as u64;
        let keys = 200;
        assert!(slots < keys);
        for n in 0..keys {
            (0..60).for_each(|thing| distinct.feed(key(n), key(1_000 + thing), ASKED, Tick(n)));
        }
        let reads: Vec<_> =
            (0..keys).map(|n| distinct.sum_over(key(n), WINDOW_MS, Tick(keys))).collect();
        assert!(reads.iter().all(|read| *read >= 16 && *read < 80), "{reads:?}");
        assert!(reads.iter().filter(|read| **read == 16).count() as u64 >= keys - slots);
        assert_eq!(distinct.filled().refused, keys - distinct.many.filled().resident as u64);
    }

    #[test]
    fn another_window_keeps_what_was_seen() {
        let distinct = DistinctCounter::new(10);
        for n in 0..100 {
            distinct.feed(key(1), key(n), ASKED, Tick(0));
        }
        let before = distinct.sum_over(key(1), WINDOW_MS, Tick(0));
        let longer = RequestedWindow { window_ms: 60_000, by: CallerAge::Newest };
        distinct.feed(key(1), key(1), longer, Tick(10));
        assert_eq!(distinct.sum_over(key(1), 60_000, Tick(10)), before);
        assert_eq!(distinct.sum_over(key(1), 60_000, Tick(59_999)), before);
    }

    #[test]
    fn keys_have_their_bytes() {
        assert_eq!(size_of::<ExactSet>() + 16, 184);
        assert_eq!(size_of::<CardinalitySketch>() + 16, 544);
        assert_eq!(DISTINCT_KEY_BYTES, 428);
    }

    proptest! {
        #[test]
        fn few_are_counted_as_a_set_would(
            steps in prop::collection::vec((0_u64..3, 0_u64..16, 0_u64..400), 1..200)
        ) {
            let distinct = DistinctCounter::new(100);
            let mut twin: HashMap<(u64, u64), HashSet<u64>> = HashMap::new();
            let mut now = 0;
            for (n, thing, wait) in steps {
                now += wait;
                distinct.feed(key(n), key(thing), ASKED, Tick(now));
                let bucket = now / WINDOW_MS;
                twin.entry((n, bucket)).or_default().insert(thing);
                let current = twin[&(n, bucket)].clone();
                let empty = HashSet::new();
                let before = bucket
                    .checked_sub(1)
                    .and_then(|before| twin.get(&(n, before)))
                    .unwrap_or(&empty);
                let only = before.difference(&current).count() as u64;
                let faded = (only * (WINDOW_MS - now % WINDOW_MS)).div_ceil(WINDOW_MS);
                let read = distinct.sum_over(key(n), WINDOW_MS, Tick(now));
                prop_assert_eq!(read, current.len() as u64 + faded);
            }
        }
    }
}
