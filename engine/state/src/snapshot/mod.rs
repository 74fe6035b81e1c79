//! All that a [`State`](crate::State) remembers as bytes, and back, so that a restart forgets
//! nothing that an edit would keep.
//!
//! Pure: bytes in and out, and the time as an argument. The bytes hold keys of counters, which are
//! hashes, and what is banned, which is addresses, and the secret under which the keys are hashed;
//! whoever writes them to a disk encrypts them.
//!
//! The form: one byte for the version, the snapshot's tick, the secret, then sections, each with
//! its kind and its length before it; a kind that a reader does not know is skipped. Counters
//! stand under their identity, as in an edit: a name that the policy does not have any more is
//! dropped and told, another window or size is carried over as an edit carries it.
//!
//! Where this does not protect: keys that hold nothing any more are left out; beyond
//! [`SNAPSHOT_BYTES_MAX`] counts are left out first, then holds, and that is told. Which keys make
//! up most of a track is kept too, but not over a clock that was put.

mod wire;

use seawall_model::Tick;
pub(crate) use wire::{MappedTick, SnapshotDecoder, SnapshotEncoder};

use crate::state::CarryOverReport;

/// Bytes of a snapshot at most: nine million keys of limits, at 21 bytes each, and the rest for bans
/// and what is held. It is made in memory.
pub const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

/// How long anything is remembered over a restart, in milliseconds: 30 days, what a ban or a hold
/// lasts at most. A clock that says that more has passed is believed to this only.
pub const REMEMBERED_MS_MAX: u64 = 30 * 86_400_000;

/// A state as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The bytes: secret.
    pub bytes: Vec<u8>,
    /// Keys and bans in them.
    pub entries: usize,
    /// Keys and bans that there was no room for.
    pub left_out: usize,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("entries", &self.entries).finish_non_exhaustive()
    }
}

/// When a snapshot is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreClock {
    /// Now, on the clock that the state is to live by.
    pub now: Tick,
    /// Milliseconds since it was made; more than [`REMEMBERED_MS_MAX`] is that.
    pub elapsed_ms: u64,
}

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// What became of the counters. In `gone` are those that the policy does not name any more.
    pub counters: CarryOverReport,
    /// Bans that run on.
    pub bans: usize,
}

/// A mark to hold a state against later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeMark {
    pub(crate) at: Tick,
    pub(crate) edits: u64,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// It is of another version.
    Version(u8),
    /// It ends in the middle, or holds what no snapshot does.
    Damaged,
}

impl std::fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "its content is of version {version}"),
            Self::Damaged => f.write_str("its content is damaged"),
        }
    }
}

impl std::error::Error for SnapshotError {}
