//! Where files come from: what the control plane implements.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::ReadError;

/// A list file as it was when it was good last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedList {
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Milliseconds since it came into force.
    pub age_ms: u64,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whether it may be a folder: a folder or a link.
    pub may_be_folder: bool,
}

/// Where files come from. All paths are cleaned and relative to the policy root. `within` is the
/// folder of whoever asks, empty for the root: what really lies elsewhere, links followed, is
/// [`ReadError::Outside`] for them.
pub trait SourceStore {
    /// The bytes of a file.
    ///
    /// # Errors
    /// Why there are none.
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError>;

    /// The entries of a folder, in any order: all, or one more than `entries_max`. None where
    /// there is no such folder.
    ///
    /// # Errors
    /// Why they cannot be listed.
    fn list(&self, folder: &str, within: &str, entries_max: usize)
    -> Result<Vec<Entry>, ReadError>;

    /// Whether there is a file.
    fn is_file(&self, path: &str, within: &str) -> bool;

    /// The real place of what is there, from the policy root.
    ///
    /// # Errors
    /// It is not there, or outside.
    fn real(&self, path: &str, _within: &str) -> Result<String, ReadError> {
        Ok(path.to_owned())
    }

    /// The SHA-256 of a file that was just read. A store that reads the same bytes more than once
    /// need not work it out each time.
    fn digest(&self, _path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// The copy of a list file from when it was good last, where one is kept that differs from
    /// what was read. `name` is the list's full name.
    ///
    /// # Errors
    /// Why a copy that is there cannot be used.
    fn kept_list(&self, _name: &str, _path: &str) -> Result<Option<CachedList>, String> {
        Ok(None)
    }
}
