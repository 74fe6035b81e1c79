//! The record of a generation: its files by digest, and the cause of its publication.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CounterReport, FileDigest, ReloadCause, TestCounts};

/// A published generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its number.
    pub generation: u64,
    /// The time of publication, as RFC 3339.
    pub loaded_at: String,
    /// The same in milliseconds since 1970.
    pub loaded_ms: u64,
    /// Milliseconds since the files were first read.
    pub duration_ms: u64,
    /// The cause.
    pub cause: ReloadCause,
    /// The user id of the requester, for a request on the admin socket.
    pub by_uid: Option<u32>,
    /// For a rollback, the generation whose files it consists of.
    pub restored_from: Option<u64>,
    /// The root policy's file name.
    pub root: String,
    /// The operator's files.
    pub files: Marks,
    /// The files of each member's active part.
    pub parts: MarksOfParts,
    /// Number of members whose part is no longer stored and missing in `parts`.
    pub parts_gone: usize,
    /// The owners whose files differ from those of the previous generation.
    pub changed: Changed,
    /// Equal for generations of the same files.
    pub content: String,
    /// Equal for generations of the same files of the operator.
    pub host: String,
    /// Equal for generations of the same policy files of the operator.
    pub policies: String,
    /// The generation that introduced the active files of the operator.
    pub host_since: u64,
    /// The changes of the counters.
    pub counters: CounterReport,
    /// The results of its tests.
    pub tests: TestCounts,
    /// Number of warnings.
    pub warnings: usize,
}

/// The owners whose files differ from those of the previous generation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changed {
    /// The difference of the operator's files.
    pub host: HostChange,
    /// The members whose parts differ, by name.
    pub members: Vec<Box<str>>,
}

/// The difference of the operator's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostChange {
    /// Nothing.
    #[default]
    None,
    /// Lists or components, and no policy file.
    Data,
    /// Policy files.
    Policy,
}

/// Files of one owner. A copy is the same row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<FileDigest>", into = "Vec<FileDigest>")]
pub struct Marks(Arc<[FileDigest]>);

/// The files of members' parts, by the member's name.
pub type MarksOfParts = BTreeMap<Box<str>, Marks>;

impl Marks {
    /// Returns a value that is equal for copies of one row.
    #[must_use]
    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl Deref for Marks {
    type Target = [FileDigest];

    fn deref(&self) -> &[FileDigest] {
        &self.0
    }
}

impl From<Vec<FileDigest>> for Marks {
    fn from(files: Vec<FileDigest>) -> Self {
        Self(files.into())
    }
}

impl From<Marks> for Vec<FileDigest> {
    fn from(marks: Marks) -> Self {
        marks.0.to_vec()
    }
}

/// A rollback pin: files on the disk that are ignored until they change or an operator requests a
/// reload. The operator's and each member's are pinned separately, so that a save by one does not
/// activate files of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackPin {
    /// The operator's files.
    #[serde(flatten)]
    pub host: Option<Left>,
    /// Members' files, by name.
    #[serde(default)]
    pub members: BTreeMap<Box<str>, Left>,
}

/// Files on the disk that are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Their digest.
    pub content: String,
    /// The generation whose files are active instead.
    pub active_generation: u64,
}

impl RollbackPin {
    /// Returns none if nothing is pinned.
    #[must_use]
    pub fn or_none(self) -> Option<Self> {
        (self.host.is_some() || !self.members.is_empty()).then_some(self)
    }
}
