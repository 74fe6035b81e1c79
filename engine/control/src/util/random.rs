//! Random bytes from the system.

use std::io::{self, Read};

use seawall_state::Seed;

/// Returns a secret for the hashing of keys.
///
/// # Errors
/// The system provides no random bytes.
pub fn random_seed() -> io::Result<Seed> {
    random_bytes().map(Seed)
}

/// Returns random bytes from the system.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
