//! Snapshots: a [`State`](crate::State) as bytes, so that a restart keeps what an edit keeps.
//!
//! The code is pure: bytes and time are arguments. The bytes contain hashes of counter keys,
//! addresses of bans, and the secret of the hashes. The caller encrypts them before it writes them
//! to a disk.
//!
//! The format is a version byte, the time of the snapshot, the secret, and sections with kind and
//! length. A reader skips unknown kinds. Counters have their identity, as in an edit: a counter
//! that the policy no longer has is dropped and reported; another window or size is converted.
//!
//! Limitations: idle keys are omitted. Above [`SNAPSHOT_BYTES_MAX`] counts are omitted first, then
//! holds, and this is reported. Heavy hitters are kept, but not after a change of the clock.

mod wire;

use seawall_model::Tick;
pub(crate) use wire::{MappedTick, SnapshotDecoder, SnapshotEncoder};

use crate::state::CarryOverReport;

/// Largest snapshot in bytes: nine million keys of limits at 21 bytes each, and bans and holds. It
/// is built in memory.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// Longest time in milliseconds for which state survives a restart: 30 days, the longest ban or
/// hold. A longer elapsed time counts as this.
pub const REMEMBERED_MS_MAX: u64 = 30 * 86_400_000;

/// A state as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The bytes; they are secret.
    pub bytes: Vec<u8>,
    /// Number of keys and bans in them.
    pub entries: usize,
    /// Number of keys and bans that were omitted.
    pub left_out: usize,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// The times for restoring a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreClock {
    /// The current time on the clock of the new state.
    pub now: Tick,
    /// Milliseconds since the snapshot; at most [`REMEMBERED_MS_MAX`] counts.
    pub elapsed_ms: u64,
}

/// The result of a restore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// The counters. `gone` are those that the policy no longer declares.
    pub counters: CarryOverReport,
    /// Number of active bans.
    pub bans: usize,
}

/// A mark for a later comparison of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeMark {
    pub(crate) at: Tick,
    pub(crate) edits: u64,
}

/// Why bytes are not a valid snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The version is not supported.
    Version(u8),
    /// The bytes are truncated or invalid.
    Damaged,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "the content has the unsupported version {version}")
            }
            Self::Damaged => f.write_str("the content is damaged"),
        }
    }
}

impl std::error::Error for SnapshotError {}
