//! Fuel: how much work one request may cost.
//!
//! All work that grows with what a request or a policy holds is paid for before it is done, in the
//! same amount wherever it runs and whatever a worker remembers, so that a replay comes to the same
//! decision. One unit is about a nanosecond of one core, and up to 1.5 where other programs use it too,
//! which `benches/worst` shows.

use std::cell::Cell;

/// Prices in fuel.
pub mod price {
    /// A step of a layer that is looked at.
    pub const STEP: u64 = 20;
    /// A test, whatever it looks at.
    pub const TEST: u64 = 10;
    /// Finding something by its name among others, before the others are counted.
    pub const NAMED: u64 = 10;
    /// One of the others.
    pub const NAMED_EACH: u64 = 3;
    /// One pair of a query or of cookies that is taken apart.
    pub const PAIR: u64 = 16;
    /// One byte of them.
    pub const PAIR_BYTE: u64 = 3;
    /// A lookup in a set, a list or an index.
    pub const LOOKUP: u64 = 30;
    /// A lookup in a table of networks.
    pub const NETS: u64 = 100;
    /// A step that an index finds.
    pub const FOUND: u64 = 8;
    /// A needle that is held against a place of a text.
    pub const NEEDLE: u64 = 8;
    /// A byte of a text that many are looked for in.
    pub const SEARCH_BYTE: u64 = 8;
    /// An expression, before its bytes.
    pub const EXPRESSION: u64 = 25;
    /// A value that is made of another.
    pub const MADE: u64 = 20;
    /// Reading a counter, feeding it, or asking a limit.
    pub const COUNTER: u64 = 150;
    /// The same where the heaviest keys or different values are counted.
    pub const COUNTER_HEAVY: u64 = 2_000;
    /// Calling an extern, beside the fuel of the call itself.
    pub const CALL: u64 = 2_000;

    /// Looking for many texts in one of so many bytes.
    #[inline]
    #[must_use]
    pub const fn search(len: usize) -> u64 {
        LOOKUP.saturating_add((len as u64).saturating_mul(SEARCH_BYTE))
    }

    /// Bytes that are copied, compared or hashed many at a time.
    #[inline]
    #[must_use]
    pub const fn bytes(len: usize) -> u64 {
        len as u64 / 4
    }
}

/// What is left of what a part of a policy may spend on one request.
#[derive(Debug)]
pub struct Fuel {
    left: Cell<u64>,
    empty: Cell<bool>,
}

impl Fuel {
    /// A full tank.
    #[inline]
    #[must_use]
    pub const fn new(fuel: u64) -> Self {
        Self { left: Cell::new(fuel), empty: Cell::new(false) }
    }

    /// Pays for work that is about to be done. Where there is not enough, it is empty from then on
    /// and the work is not to be done.
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

    /// Whether something was not done for want of it.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.empty.get()
    }

    /// Changes places with another.
    #[inline]
    pub fn swap(&self, other: &Self) {
        self.left.swap(&other.left);
        self.empty.swap(&other.empty);
    }

    /// What is left.
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
