//! Keyed digests (BLAKE3) that authenticate a text that this program wrote.
//!
//! They protect texts stored beside sealed code, under a key derived from the key of the seals. A
//! digest is therefore never valid as a seal of code, and a seal never as a digest.

use crate::Seal;

/// Bytes of a digest.
pub const MAC_BYTES: usize = 32;

/// The context for the derivation of the key.
const CONTEXT: &str = "seawall 2026-11-30 what is known of a component";

impl Seal {
    /// Returns the digest of a text under this key.
    #[must_use]
    pub fn mac(&self, text: &[u8]) -> [u8; MAC_BYTES] {
        *self.text_hash(text).as_bytes()
    }

    /// Returns whether `mac` is the digest of the text under this key.
    #[must_use]
    pub fn is_mac(&self, text: &[u8], mac: &[u8; MAC_BYTES]) -> bool {
        // The comparison takes constant time.
        self.text_hash(text) == *mac
    }

    fn text_hash(&self, text: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&blake3::derive_key(CONTEXT, self.key()), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SEAL_KEY_BYTES;

    #[test]
    fn a_text_is_known_again_under_its_key_only() {
        let (one, other) = (Seal::new([1; SEAL_KEY_BYTES]), Seal::new([2; SEAL_KEY_BYTES]));
        let mut mac = one.mac(b"text");
        assert!(one.is_mac(b"text", &mac));
        assert!(!other.is_mac(b"text", &mac), "another key");
        assert!(!one.is_mac(b"texts", &mac), "another text");
        mac[31] ^= 1;
        assert!(!one.is_mac(b"text", &mac), "another digest");
        let plain = blake3::keyed_hash(one.key(), b"text");
        assert_ne!(one.mac(b"text"), *plain.as_bytes(), "the key of seals is another");
    }
}
