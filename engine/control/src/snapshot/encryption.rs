//! The file of a snapshot, encrypted as a whole.
//!
//! A header with type and length, then XChaCha20-Poly1305 over the content, with the header as
//! associated data. It is not split into pieces: nothing is parsed before all of it is
//! authenticated, and it is in memory anyway. Each snapshot has a random nonce of 192 bits, so none
//! repeats in the life of a key.
//!
//! Limitation: a user that can read the key can read and write snapshots.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use seawall_state::SNAPSHOT_BYTES_MAX;

use super::timestamp::STAMP_BYTES;

/// Bytes of the key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// Bytes before the content: the words below, the version, the nonce, the length of what follows.
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + 2 + NONCE_BYTES + 8;
/// Bytes of the authentication tag after the content.
const TAG_BYTES: usize = 16;
/// Maximum bytes of a file.
pub(crate) const FILE_BYTES_MAX: u64 =
    (SNAPSHOT_BYTES_MAX + STAMP_BYTES + HEADER_BYTES + TAG_BYTES) as u64;
const MAGIC: [u8; 8] = *b"seawall\n";
const VERSION: u16 = 1;

/// The key of one server's snapshots.
#[derive(Clone)]
pub(crate) struct SnapshotKey(pub(crate) [u8; KEY_BYTES]);

impl std::fmt::Debug for SnapshotKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SnapshotKey")
    }
}

/// Why a file is not a valid snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DecryptError {
    #[error("not a snapshot")]
    Strange,
    #[error("unknown version {0}")]
    Version(u16),
    #[error("its length differs from its header")]
    Length,
    #[error("damaged, or made with another key")]
    Damaged,
}

/// Encrypts `content` in place, appends its tag, and returns the header. Returns `None` if the
/// content is too long for the cipher, which is impossible here.
pub(crate) fn seal(
    key: &SnapshotKey,
    nonce: [u8; NONCE_BYTES],
    content: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let length = content.len().checked_add(TAG_BYTES)? as u64;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&nonce);
    header.extend_from_slice(&length.to_le_bytes());
    let cipher = XChaCha20Poly1305::new(&key.0.into());
    cipher.encrypt_in_place(&XNonce::from(nonce), &header, content).ok()?;
    Some(header)
}

/// Returns the content of a file.
///
/// # Errors
/// [`seal`] has not made this file with this key.
pub(crate) fn open(key: &SnapshotKey, mut file: Vec<u8>) -> Result<Vec<u8>, DecryptError> {
    let mut content = file.split_off(HEADER_BYTES.min(file.len()));
    let (magic, rest) = file.split_first_chunk::<8>().ok_or(DecryptError::Strange)?;
    if *magic != MAGIC {
        return Err(DecryptError::Strange);
    }
    let (version, rest) = rest.split_first_chunk().ok_or(DecryptError::Length)?;
    match u16::from_le_bytes(*version) {
        VERSION => {}
        version => return Err(DecryptError::Version(version)),
    }
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(DecryptError::Length)?;
    let length = rest.try_into().map_err(|_| DecryptError::Length)?;
    if u64::from_le_bytes(length) != content.len() as u64 {
        return Err(DecryptError::Length);
    }
    let cipher = XChaCha20Poly1305::new(&key.0.into());
    let opened = cipher.decrypt_in_place(&XNonce::from(*nonce), &file, &mut content);
    opened.map_err(|_| DecryptError::Damaged)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: SnapshotKey = SnapshotKey([3; KEY_BYTES]);

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        let mut file = seal(&KEY, [9; NONCE_BYTES], &mut content).unwrap();
        file.append(&mut content);
        file
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_only() {
        let file = sealed(b"all of it");
        assert_eq!(open(&KEY, file.clone()).unwrap(), b"all of it");
        assert_eq!(open(&SnapshotKey([4; KEY_BYTES]), file), Err(DecryptError::Damaged));
        assert_eq!(open(&KEY, sealed(b"")).unwrap(), b"");
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_refused() {
        let file = sealed(&[0x5a; 4_096 - HEADER_BYTES - TAG_BYTES]);
        assert_eq!(file.len(), 4_096);
        for length in 0..file.len() {
            assert!(open(&KEY, file[..length].to_vec()).is_err(), "cut to {length}");
        }
        for place in 0..file.len() {
            for bit in [1 << (place % 8), 0xff] {
                let mut flipped = file.clone();
                flipped[place] ^= bit;
                assert!(open(&KEY, flipped).is_err(), "flipped at {place}");
            }
        }
        let longer = [&file[..], b"x"].concat();
        assert_eq!(open(&KEY, longer), Err(DecryptError::Length));
    }

    #[test]
    fn another_version_says_which() {
        let mut file = sealed(b"x");
        file[8] = 2;
        assert_eq!(open(&KEY, file), Err(DecryptError::Version(2)));
        assert_eq!(open(&KEY, b"not a snapshot at all".to_vec()), Err(DecryptError::Strange));
    }
}
