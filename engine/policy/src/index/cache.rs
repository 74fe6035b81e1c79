//! A cache of index searches for values that occur often.
//!
//! User agents, `Accept` headers and fingerprints have few different values on most servers, and
//! their search is expensive. Each worker caches a fixed number of values with their results. A
//! value is compared byte for byte, so the cache never changes a result. A flood of unique values
//! costs only the search and no memory. A cache hit takes the same fuel as the search, so that no
//! decision depends on earlier requests.

use std::cell::RefCell;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::postings::Found;
use crate::fuel::Fuel;

/// Number of values in the cache of a worker.
pub const MEMO_VALUES: usize = 4_096;

/// Longest value in the cache, in bytes.
pub const MEMO_VALUE_BYTES_MAX: usize = 240;

/// Most steps in the cache for one value.
pub const MEMO_STEPS_MAX: usize = 8;

/// The index and source of a value. Numbers of indexes are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Place {
    /// The index.
    pub(super) index: u64,
    /// The source in the index.
    pub(super) source: u32,
}

impl Place {
    /// Returns a hash over all bits, so that equal values of two sources rarely share a slot.
    fn mixed(self) -> u64 {
        (self.index.rotate_left(16) ^ u64::from(self.source)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 20
    }
}

/// One cached value. An index of 0 marks an empty slot.
#[derive(Clone)]
struct Slot {
    place: Place,
    len: u8,
    steps: u8,
    fuel: u32,
    bytes: [u8; MEMO_VALUE_BYTES_MAX],
    found: [u32; MEMO_STEPS_MAX],
}

/// The cache of one worker.
struct IndexCache {
    hasher: DefaultHashBuilder,
    slots: Vec<Slot>,
}

thread_local! {
    static MEMO: RefCell<IndexCache> = RefCell::new(IndexCache {
        hasher: DefaultHashBuilder::default(),
        slots: Vec::new(),
    });
}

/// Adds the cached steps for a value. On a cache miss, calls `search` and caches its result.
pub(super) fn find(
    place: Place,
    value: &[u8],
    (found, fuel): (&mut Found, &Fuel),
    search: impl FnOnce(&mut Found),
) {
    if value.len() > MEMO_VALUE_BYTES_MAX {
        return search(found);
    }
    MEMO.with(|memo| match memo.try_borrow_mut() {
        Ok(mut memo) => memo.find(place, value, (found, fuel), search),
        // A nested search is not cached.
        Err(_) => search(found),
    });
}

impl IndexCache {
    fn find(
        &mut self,
        place: Place,
        value: &[u8],
        (found, fuel): (&mut Found, &Fuel),
        search: impl FnOnce(&mut Found),
    ) {
        if self.slots.is_empty() {
            self.slots = vec![Slot::EMPTY; MEMO_VALUES];
        }
        let mixed = self.hasher.hash_one(value) ^ place.mixed();
        let at = mixed as usize % MEMO_VALUES;
        let Some(slot) = self.slots.get_mut(at) else { return search(found) };
        if slot.place == place && slot.value() == value {
            // Most values have no steps.
            if fuel.take(slot.fuel.into()) && slot.steps > 0 {
                found.extend_from_slice(slot.found());
            }
            return;
        }
        let (before, full) = (found.len(), fuel.left());
        search(found);
        if let Ok(took) = u32::try_from(full.saturating_sub(fuel.left()))
            && !fuel.is_empty()
        {
            slot.keep(place, value, (found.get(before..).unwrap_or_default(), took));
        }
    }
}

impl Slot {
    const EMPTY: Self = Self {
        place: Place { index: 0, source: 0 },
        len: 0,
        steps: 0,
        fuel: 0,
        bytes: [0; MEMO_VALUE_BYTES_MAX],
        found: [0; MEMO_STEPS_MAX],
    };

    fn value(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    fn found(&self) -> &[u32] {
        self.found.get(..usize::from(self.steps)).unwrap_or_default()
    }

    /// Stores a value and overwrites the previous value of the slot.
    fn keep(&mut self, place: Place, value: &[u8], (steps, fuel): (&[u32], u32)) {
        let room = (self.bytes.get_mut(..value.len()), self.found.get_mut(..steps.len()));
        let (Some(bytes), Some(found)) = room else { return };
        let (Ok(len), Ok(count)) = (u8::try_from(value.len()), u8::try_from(steps.len())) else {
            return;
        };
        bytes.copy_from_slice(value);
        found.copy_from_slice(steps);
        (self.place, self.len, self.steps, self.fuel) = (place, len, count, fuel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(place: Place, value: &[u8], steps: &[u32]) -> (Vec<u32>, bool) {
        let (mut found, mut searched) = (Found::new(), false);
        find(place, value, (&mut found, &Fuel::new(0)), |found| {
            searched = true;
            found.extend_from_slice(steps);
        });
        (found.to_vec(), searched)
    }

    #[test]
    fn a_value_that_comes_again_is_not_searched_again() {
        let place = Place { index: 7, source: 1 };
        assert_eq!(ask(place, b"curl/8", &[3, 5]), (vec![3, 5], true));
        assert_eq!(ask(place, b"curl/8", &[9]), (vec![3, 5], false));
        assert!(ask(place, b"curl/9", &[]).1, "another value");
        assert!(ask(Place { index: 8, source: 1 }, b"curl/8", &[]).1, "another ruleset");
        assert!(ask(Place { index: 7, source: 2 }, b"curl/8", &[]).1, "another source");
    }

    #[test]
    fn what_is_remembered_costs_what_it_cost_to_find() {
        let place = Place { index: 11, source: 1 };
        let spend = |fuel: &Fuel| {
            let mut found = Found::new();
            find(place, b"curl/8", (&mut found, fuel), |found| {
                if fuel.take(70) {
                    found.push(3);
                }
            });
            (found.to_vec(), fuel.left(), fuel.is_empty())
        };
        assert_eq!(spend(&Fuel::new(69)), (vec![], 0, true), "and is not remembered so");
        assert_eq!(spend(&Fuel::new(100)), (vec![3], 30, false));
        assert_eq!(spend(&Fuel::new(100)), (vec![3], 30, false), "from memory");
        assert_eq!(spend(&Fuel::new(69)), (vec![], 0, true), "from memory too");
    }

    #[test]
    fn limits_are_met_and_passed_by_one() {
        let place = Place { index: 9, source: 0 };
        let longest = [b'x'; MEMO_VALUE_BYTES_MAX];
        let steps = [1; MEMO_STEPS_MAX];
        assert!(ask(place, &longest, &steps).1 && !ask(place, &longest, &steps).1);
        let longer = [b'x'; MEMO_VALUE_BYTES_MAX + 1];
        assert!(ask(place, &longer, &[]).1 && ask(place, &longer, &[]).1);
        let more = [1; MEMO_STEPS_MAX + 1];
        assert!(ask(place, b"many", &more).1 && ask(place, b"many", &more).1);
    }

    #[test]
    fn a_flood_of_values_makes_nothing_grow_and_spoils_no_answer() {
        let place = Place { index: 10, source: 0 };
        for n in 0..3 * MEMO_VALUES as u32 {
            let value = n.to_string();
            assert_eq!(ask(place, value.as_bytes(), &[n]).0, [n]);
        }
        MEMO.with(|memo| assert_eq!(memo.borrow().slots.len(), MEMO_VALUES));
    }
}
