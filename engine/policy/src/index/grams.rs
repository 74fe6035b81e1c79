//! Finds the substrings of a set that a text contains, in one pass whose cost does not grow with
//! their number.
//!
//! Each needle is stored under one *gram*: four of its bytes (three if it is that short). The gram
//! shared with the fewest other needles is chosen. The pass hashes the gram at every position of
//! the text and tests one bit of a small map. Needles are compared only if the bit is set.
//! Aho–Corasick needs a dependent load for each byte, and tables larger than the cache; this method
//! needs neither. The hash is fixed. A client can send texts that share grams with needles, and
//! each comparison then takes fuel.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::postings::Posting;
use crate::fuel::{Fuel, price};

/// Fewest bits of the map for each needle.
const BITS_PER_NEEDLE: usize = 64;

/// Number of needles found in one text up to which a linear scan removes duplicates.
const FEW: usize = 32;

/// A needle: at least three bytes, letters of ASCII in lower case.
#[derive(Debug)]
struct Needle {
    bytes: Box<[u8]>,
    /// The position of its gram.
    offset: u32,
    posting: Posting,
}

/// Needles with grams of `N` bytes.
#[derive(Debug, Default)]
struct GramScan<const N: usize> {
    bits: Box<[u64]>,
    shift: u32,
    buckets: HashMap<[u8; N], SmallVec<[u32; 2]>>,
    needles: Vec<Needle>,
}

/// All needles to search in one value.
#[derive(Debug, Default)]
pub(super) struct Grams {
    three: GramScan<3>,
    four: GramScan<4>,
}

impl Grams {
    /// Creates the search. Each needle occurs once, with its postings.
    pub(super) fn new(needles: Vec<(Box<[u8]>, Posting)>) -> Self {
        let (long, short): (Vec<_>, Vec<_>) =
            needles.into_iter().partition(|(bytes, _)| bytes.len() >= 4);
        Self { three: GramScan::new(short), four: GramScan::new(long) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.three.needles.is_empty() && self.four.needles.is_empty()
    }

    /// Calls `visit` once with the postings of each needle that `text` contains. The text is in
    /// ASCII lower case.
    pub(super) fn each(&self, text: &[u8], fuel: &Fuel, mut visit: impl FnMut(Posting)) {
        self.three.each(text, fuel, &mut visit);
        self.four.each(text, fuel, &mut visit);
    }

    pub(super) fn bytes(&self) -> usize {
        self.three.bytes().saturating_add(self.four.bytes())
    }
}

impl<const N: usize> GramScan<N> {
    fn new(needles: Vec<(Box<[u8]>, Posting)>) -> Self {
        let mut common: HashMap<[u8; N], u32> = HashMap::new();
        for gram in needles.iter().flat_map(|(bytes, _)| bytes.array_windows::<N>()) {
            let count = common.entry(*gram).or_default();
            *count = count.saturating_add(1);
        }
        let bits = needles.len().saturating_mul(BITS_PER_NEEDLE).next_power_of_two().max(1_024);
        let mut pass = Self {
            bits: vec![0; bits / 64].into(),
            shift: 64_u32.saturating_sub(bits.trailing_zeros()),
            buckets: HashMap::new(),
            needles: Vec::with_capacity(needles.len()),
        };
        for (bytes, posting) in needles {
            let grams = bytes.array_windows::<N>().enumerate();
            let rarest = grams.min_by_key(|(_, gram)| common.get(*gram).copied().unwrap_or(0));
            let Some((offset, gram)) = rarest.map(|(offset, gram)| (offset, *gram)) else {
                continue;
            };
            let id = u32::try_from(pass.needles.len()).unwrap_or(u32::MAX);
            pass.set(hash(gram, pass.shift));
            pass.buckets.entry(gram).or_default().push(id);
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            pass.needles.push(Needle { bytes, offset, posting });
        }
        pass
    }

    fn set(&mut self, bit: usize) {
        if let Some(word) = self.bits.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    fn each(&self, text: &[u8], fuel: &Fuel, visit: &mut impl FnMut(Posting)) {
        if self.needles.is_empty() || !fuel.take((text.len() as u64).saturating_mul(2)) {
            return;
        }
        let mut seen = Seen::default();
        for (at, gram) in text.array_windows::<N>().enumerate() {
            let bit = hash(*gram, self.shift);
            if self.bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1) {
                let paid = self.compare((text, at), *gram, fuel, &mut |id, posting| {
                    if seen.is_new(id, self.needles.len()) {
                        visit(posting);
                    }
                });
                if !paid {
                    return;
                }
            }
        }
    }

    /// Compares the needles whose gram is at this position. Returns whether the fuel was
    /// sufficient.
    #[cold]
    fn compare(
        &self,
        (text, at): (&[u8], usize),
        gram: [u8; N],
        fuel: &Fuel,
        found: &mut dyn FnMut(u32, Posting),
    ) -> bool {
        for id in self.buckets.get(&gram).into_iter().flatten() {
            let Some(needle) = self.needles.get(*id as usize) else { continue };
            if !fuel.take(price::NEEDLE.saturating_add(price::bytes(needle.bytes.len()))) {
                return false;
            }
            let rest = at.checked_sub(needle.offset as usize).and_then(|from| text.get(from..));
            if rest.is_some_and(|rest| rest.starts_with(&needle.bytes)) {
                found(*id, needle.posting);
            }
        }
        // A lookup without a match costs time, too.
        fuel.take(price::NEEDLE)
    }

    fn bytes(&self) -> usize {
        let needles = self.needles.iter().map(|needle| needle.bytes.len().saturating_add(64));
        needles.sum::<usize>().saturating_add(self.bits.len().saturating_mul(8))
    }
}

/// Returns a multiplicative hash. The constant is 2^64 divided by the golden ratio (Knuth, TAOCP,
/// vol. 3, §6.4).
#[inline]
fn hash<const N: usize>(gram: [u8; N], shift: u32) -> usize {
    let mut word = [0_u8; 8];
    for (to, from) in word.iter_mut().zip(gram) {
        *to = from;
    }
    let mixed = u64::from_le_bytes(word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed.checked_shr(shift).unwrap_or(0) as usize
}

/// The needles already found in this text.
#[derive(Default)]
struct Seen {
    few: SmallVec<[u32; FEW]>,
    many: Vec<u64>,
}

impl Seen {
    fn is_new(&mut self, id: u32, needles: usize) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&id) {
                return false;
            }
            if self.few.len() < FEW {
                self.few.push(id);
                return true;
            }
            self.many = vec![0; needles.div_ceil(64)];
            for known in std::mem::take(&mut self.few) {
                self.mark(known);
            }
        }
        self.mark(id)
    }

    /// Marks a needle. Returns whether it was not marked before.
    fn mark(&mut self, id: u32) -> bool {
        let Some(word) = self.many.get_mut(id as usize / 64) else { return true };
        let bit = 1 << (id % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needles: &[String], text: &str) -> Vec<u32> {
        let numbered = needles.iter().enumerate();
        let grams = Grams::new(
            numbered.map(|(at, n)| (n.as_bytes().into(), Posting::one(at as u32))).collect(),
        );
        let mut all = Vec::new();
        grams.each(text.as_bytes(), &Fuel::new(u64::MAX), |posting| all.push(posting.from));
        all.sort_unstable();
        all
    }

    #[test]
    fn needles_at_the_ends_inside_each_other_and_repeated_are_each_found_once() {
        let needles = ["bot", "badbot", "badbot-17", "dbot-1", "xyz"].map(str::to_owned);
        assert_eq!(found(&needles, "badbot-17 badbot-17"), [0, 1, 2, 3]);
        assert_eq!(found(&needles, "xyz"), [4]);
        assert_eq!(found(&needles, "xy"), [0_u32; 0]);
        assert_eq!(found(&needles, ""), [0_u32; 0]);
    }

    #[test]
    fn more_needles_than_a_few_are_told_apart_too() {
        let needles: Vec<String> = (0..200).map(|n| format!("n{n:03}")).collect();
        let text = needles.join("").repeat(2);
        assert_eq!(found(&needles, &text), (0..200).collect::<Vec<_>>());
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_is_what_one_search_after_the_other_finds(
            needles in proptest::collection::btree_set("[ab]{3,6}", 0..20),
            text in "[abc]{0,40}",
        ) {
            let needles: Vec<String> = needles.into_iter().collect();
            let naive: Vec<u32> = (0..needles.len() as u32)
                .filter(|at| text.contains(&needles[*at as usize])).collect();
            proptest::prop_assert_eq!(found(&needles, &text), naive);
        }
    }
}
