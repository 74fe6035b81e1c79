//! The interface to the files, implemented by the control plane.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::ReadError;

/// The last valid version of a list file.
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
    /// Whether it can be a folder: a folder or a link.
    pub may_be_folder: bool,
}

/// Access to files. All paths are normalized and relative to the policy root. `within` is the
/// folder of the reader, empty for the root. A file whose real path, after links, is outside this
/// folder is [`ReadError::Outside`].
pub trait SourceStore {
    /// Returns the bytes of a file.
    ///
    /// # Errors
    /// [`ReadError`] names the cause.
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError>;

    /// Returns the entries of a folder, in any order: all of them, or `entries_max + 1`. Returns
    /// none if the folder does not exist.
    ///
    /// # Errors
    /// [`ReadError`] names the cause.
    fn list(&self, folder: &str, within: &str, entries_max: usize)
    -> Result<Vec<Entry>, ReadError>;

    /// Returns whether the file exists.
    fn is_file(&self, path: &str, within: &str) -> bool;

    /// Returns the real path, relative to the policy root.
    ///
    /// # Errors
    /// The file does not exist, or is outside the folder.
    fn real(&self, path: &str, _within: &str) -> Result<String, ReadError> {
        Ok(path.to_owned())
    }

    /// Returns the SHA-256 of a file that was just read. A store that reads the same bytes
    /// repeatedly can cache it.
    fn digest(&self, _path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    /// Returns the last valid copy of a list file, if one is stored and differs from the current
    /// bytes. `name` is the full name of the list.
    ///
    /// # Errors
    /// Why the stored copy cannot be used.
    fn kept_list(&self, _name: &str, _path: &str) -> Result<Option<CachedList>, String> {
        Ok(None)
    }
}
