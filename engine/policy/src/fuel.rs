//! Fuel: a limit on the work for one request.
//!
//! Fuel is taken before the work, for all work that grows with the request or the policy. The
//! amount does not depend on the machine or on the caches of a worker, so a replay makes the same
//! decision. One unit is about one nanosecond of one core. It is up to 1.5 ns if other programs use
//! the core too; `benches/worst` measures this.

use std::cell::Cell;

/// Fuel for each kind of work.
pub mod price {
    /// One step of a layer.
    pub const STEP: u64 = 20;
    /// One test of any kind.
    pub const TEST: u64 = 10;
    /// Search by name among several, as a base price.
    pub const NAMED: u64 = 10;
    /// Search by name, for each candidate.
    pub const NAMED_EACH: u64 = 3;
    /// Parsing of one pair of a query or of cookies.
    pub const PAIR: u64 = 16;
    /// Parsing, for each byte of the pairs.
    pub const PAIR_BYTE: u64 = 3;
    /// A lookup in a set, a list or an index.
    pub const LOOKUP: u64 = 30;
    /// A lookup in a table of networks.
    pub const NETS: u64 = 100;
    /// One step that an index returns.
    pub const FOUND: u64 = 8;
    /// Comparison of one needle at one position of a text.
    pub const NEEDLE: u64 = 8;
    /// One byte of a text that is searched for many needles.
    pub const SEARCH_BYTE: u64 = 8;
    /// A regular expression, as a base price.
    pub const EXPRESSION: u64 = 25;
    /// A value computed from another value.
    pub const MADE: u64 = 20;
    /// Reading a counter, adding to it, or checking a limit.
    pub const COUNTER: u64 = 150;
    /// The same for a counter of heavy hitters or of distinct values.
    pub const COUNTER_HEAVY: u64 = 2_000;
    /// A call of an extern, in addition to the fuel of the call itself.
    pub const CALL: u64 = 2_000;

    /// Returns the fuel to search `len` bytes for many texts.
    #[inline]
    #[must_use]
    pub const fn search(len: usize) -> u64 {
        LOOKUP.saturating_add((len as u64).saturating_mul(SEARCH_BYTE))
    }

    /// Returns the fuel to copy, compare or hash bytes in bulk.
    #[inline]
    #[must_use]
    pub const fn bytes(len: usize) -> u64 {
        len as u64 / 4
    }
}

/// Remaining fuel that a part of a policy may use for one request.
#[derive(Debug)]
pub struct Fuel {
    left: Cell<u64>,
    empty: Cell<bool>,
}

impl Fuel {
    /// Creates a full amount.
    #[inline]
    #[must_use]
    pub const fn new(fuel: u64) -> Self {
        Self { left: Cell::new(fuel), empty: Cell::new(false) }
    }

    /// Takes fuel for work that follows, and returns whether there was enough. If not, the fuel is
    /// exhausted from then on, and the caller must not do the work.
    #[inline]
    #[must_use]
    pub fn take(&self, fuel: u64) -> bool {
        match self.left.get().checked_sub(fuel) {
            Some(left) => {
                self.left.set(left);
                true
            }
            None => self.drain(),
        }
    }

    #[cold]
    fn drain(&self) -> bool {
        self.left.set(0);
        self.empty.set(true);
        false
    }

    /// Returns whether work was skipped because the fuel was exhausted.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty.get()
    }

    /// Swaps the remaining fuel with that of another.
    #[inline]
    pub fn swap(&self, other: &Self) {
        self.left.swap(&other.left);
        self.empty.swap(&other.empty);
    }

    /// Returns the remaining fuel.
    #[inline]
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_unit_can_be_spent_and_one_more_empties_it_for_good() {
        let fuel = Fuel::new(10);
        assert!(fuel.take(4) && fuel.take(6) && fuel.take(0));
        assert_eq!((fuel.left(), fuel.is_empty()), (0, false));
        assert!(!fuel.take(1) && fuel.is_empty());
        let fuel = Fuel::new(10);
        assert!(!fuel.take(11));
        assert_eq!((fuel.left(), fuel.is_empty()), (0, true), "what is left cannot be used");
        assert!(!fuel.take(1));
    }
}
