//! FNV-1a in 64 bits. A fingerprint is compared, never trusted, so a hash without a secret is
//! sufficient.
//!
//! It has no key, so fingerprints are the same on every server and after every restart. A client
//! can construct collisions, but gains no more than by sending equal fields.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// The replacement of every run of letters and digits with a digit in it.
const FOLDED: u8 = b'#';

pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) const fn new() -> Self {
        Self(OFFSET)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
    }

    /// Adds a text and its end, so that the borders of texts matter.
    pub(crate) fn text(&mut self, text: &[u8]) {
        text.iter().for_each(|byte| self.byte(*byte));
        self.byte(0xff);
    }

    /// Adds a text in which every word with a digit, and what dots join to it, counts as one. It
    /// needs one pass: at a word's first digit the hash returns to the start of the word.
    pub(crate) fn folded(&mut self, text: &[u8]) {
        let mut word = self.0;
        let mut folding = false;
        for byte in text {
            match byte {
                b'0'..=b'9' if !folding => {
                    self.0 = word;
                    self.byte(FOLDED);
                    folding = true;
                }
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'_' if folding => {}
                b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'_' => self.byte(*byte),
                _ => {
                    self.byte(*byte);
                    word = self.0;
                    folding = false;
                }
            }
        }
        self.byte(0xff);
    }

    pub(crate) const fn finish(&self) -> u64 {
        self.0
    }
}
