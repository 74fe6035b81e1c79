//! Keys of tables: a keyed hash of the parts of a key.
//!
//! Clients choose their addresses, cookies and paths. Every key is therefore hashed with SipHash
//! and a secret, so that a client cannot target a set of a table or search for two keys that
//! collide. No address is stored.
//!
//! A table stores 96 of the 128 bits (its [`Tag`]). Two clients with the same tag would share a
//! count. A client has the tag of one of a million stored clients with a probability of 1 in 10^22.
//! Among a billion clients, two share a tag with a probability of 1 in 10^11. With all 128 bits,
//! this would be 1 in 10^21 and take 4 bytes more for each slot. With 64 bits, it would be 3 in 100
//! and save 4 bytes.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// The secret of all key hashing. The data plane provides it; tests use a fixed one.
#[derive(Clone, Copy)]
pub struct Seed(pub [u8; 16]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A hashed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// Returns the upper half. It is never 0, because 0 marks an empty slot of a table.
    pub(crate) const fn upper(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Returns the lower half.
    pub(crate) const fn lower(self) -> u64 {
        self.0 as u64
    }

    /// Returns the part that a table stores.
    pub(crate) const fn tag(self) -> Tag {
        Tag { upper: self.upper(), lower: self.0 as u32 }
    }

    /// Returns a number from 0 to 99. It is the same for the same key, and uniform over keys.
    #[must_use]
    pub const fn percentile(self) -> u8 {
        (self.0 % 100) as u8
    }

    /// Returns the key with these halves.
    pub(crate) const fn of_halves(upper: u64, lower: u64) -> Self {
        Self(((upper as u128) << 64) | lower as u128)
    }
}

/// The part of a [`Key`] that a table keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    /// Never 0.
    pub(crate) upper: u64,
    pub(crate) lower: u32,
}

/// Builds a [`Key`] from parts. The borders of parts matter: ("a", "bc") and ("ab", "c") differ.
#[derive(Clone)]
pub struct KeyBuilder {
    hasher: SipHasher13,
}

impl std::fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyBuilder(..)")
    }
}

/// Replaces the length of an absent part. No part has this length.
const ABSENT: u64 = u64::MAX;

impl KeyBuilder {
    /// Creates a builder without parts. Without parts it gives the single key of a counter without
    /// `per`.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        Self { hasher: SipHasher13::new_with_key(&seed.0) }
    }

    /// Adds a part.
    pub fn part(&mut self, bytes: &[u8]) {
        self.hasher.write_u64(bytes.len() as u64);
        self.hasher.write(bytes);
    }

    /// Adds an absent part. No bytes give the same key.
    pub fn absent(&mut self) {
        self.hasher.write_u64(ABSENT);
    }

    /// Returns the key of the parts so far.
    #[must_use]
    pub fn finish(self) -> Key {
        let (lower, upper) = self.hasher.finish128().as_u64();
        Key::of_halves(upper.max(1), lower)
    }
}

/// Hashes a [`Key`] for a `HashMap`. It is already a keyed hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BuildIdentityHasher;

impl BuildHasher for BuildIdentityHasher {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

/// The hasher of [`BuildIdentityHasher`].
#[derive(Debug)]
pub(crate) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns key number `n`, for tests.
    pub(crate) fn key(n: u64) -> Key {
        let mut builder = KeyBuilder::new(&Seed([7; 16]));
        builder.part(&n.to_le_bytes());
        builder.finish()
    }

    fn of(parts: &[Option<&[u8]>]) -> Key {
        let mut builder = KeyBuilder::new(&Seed([7; 16]));
        for part in parts {
            match part {
                Some(bytes) => builder.part(bytes),
                None => builder.absent(),
            }
        }
        builder.finish()
    }

    #[test]
    fn parts_cannot_run_together_and_absence_is_no_value() {
        let keys = [
            of(&[]),
            of(&[None]),
            of(&[None, None]),
            of(&[Some(b"")]),
            of(&[Some(b""), Some(b"")]),
            of(&[Some(b"ab"), Some(b"c")]),
            of(&[Some(b"a"), Some(b"bc")]),
            of(&[Some(b"abc")]),
            of(&[Some(&[0xff; 8])]),
            of(&[Some(&[0; 8]), None]),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
        assert_eq!(of(&[Some(b"a"), None]), of(&[Some(b"a"), None]));
    }

    #[test]
    fn another_seed_gives_another_key() {
        let finish = |seed| KeyBuilder::new(&Seed(seed)).finish();
        assert_ne!(finish([1; 16]), finish([2; 16]));
    }

    #[test]
    fn halves_make_the_key_again() {
        let whole = key(3);
        assert_eq!(Key::of_halves(whole.upper(), whole.lower()), whole);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Seed([9; 16])), "Seed(..)");
        assert_eq!(format!("{:?}", KeyBuilder::new(&Seed([9; 16]))), "KeyBuilder(..)");
    }
}
