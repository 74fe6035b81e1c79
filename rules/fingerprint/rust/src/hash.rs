//! FNV-1a in 64 bits: a print is compared, never trusted, so a hash that anybody can compute will do.
//!
//! It has no key, so prints are the same on every server and after every restart. Whoever makes two
//! requests collide gains nothing that sending the same fields would not give.

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// What every run of letters and digits with a digit in it becomes.
const FOLDED: u8 = b'#';

pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) const fn new() -> Self {
        Self(OFFSET)
    }

    fn byte(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
    }

    /// A text and its end, so that two texts are not alike with a third.
    pub(crate) fn text(&mut self, text: &[u8]) {
        text.iter().for_each(|byte| self.byte(*byte));
        self.byte(0xff);
    }

    /// The same, where every word with a digit in it, and what it is joined to by dots, is one.
    /// One pass: at a word's first digit the hash goes back to where the word began.
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
