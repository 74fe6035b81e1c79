//! What is known of a generation: the files that it was made of, by their digests, and what led to
//! it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CounterReport, FileDigest, ReloadCause, TestCounts};

/// One generation that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its number.
    pub generation: u64,
    /// When it was published, as RFC 3339.
    pub loaded_at: String,
    /// The same in milliseconds since 1970.
    pub loaded_ms: u64,
    /// Milliseconds from the first look at the files.
    pub duration_ms: u64,
    /// What led to it.
    pub cause: ReloadCause,
    /// The user who asked for it, by number, where it was asked for on the admin socket.
    pub by_uid: Option<u32>,
    /// The generation whose files it is made of, where somebody went back to it.
    pub restored_from: Option<u64>,
    /// The root policy's file name.
    pub root: String,
    /// The host's files that it was made of.
    pub files: Marks,
    /// What each member's part in force was made of.
    pub parts: MarksOfParts,
    /// Members whose part is not remembered any more, so that it is not in `parts`.
    pub parts_gone: usize,
    /// Whose files differ from those of the generation before.
    pub changed: Changed,
    /// Equal for generations of the same files.
    pub content: String,
    /// Equal for generations of the same files of the host.
    pub host: String,
    /// Equal for generations of the same policy files of the host.
    pub policies: String,
    /// The generation whose edit of the host's files is in force.
    pub host_since: u64,
    /// What became of the counters.
    pub counters: CounterReport,
    /// How the tests in it ended.
    pub tests: TestCounts,
    /// Warnings about it.
    pub warnings: usize,
}

/// Whose files differ from those of the generation before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changed {
    /// Whether the host's do.
    pub host: HostChange,
    /// The members whose part does, by name.
    pub members: Vec<Box<str>>,
}

/// What differs in the host's files.
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
    /// Equal for copies of one row.
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

/// Files on the disk that a rollback put aside: they come into force when they change, or when
/// somebody asks. The host's and each member's by themselves, so that what one of them saves brings
/// nothing back of another's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackPin {
    /// The host's.
    #[serde(flatten)]
    pub host: Option<Left>,
    /// Members', by name.
    #[serde(default)]
    pub members: BTreeMap<Box<str>, Left>,
}

/// What lies on the disk and is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its digest.
    pub content: String,
    /// The generation whose files serve instead.
    pub active_generation: u64,
}

impl RollbackPin {
    /// Nothing where there is none.
    #[must_use]
    pub fn or_none(self) -> Option<Self> {
        (self.host.is_some() || !self.members.is_empty()).then_some(self)
    }
}
