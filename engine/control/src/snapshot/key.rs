//! The key of the snapshots: from the service manager, or a file of our own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::encryption::{KEY_BYTES, SnapshotKey};
use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::atomic_write::{FileSystem, put};
use crate::storage::damaged::keep_damaged;
use crate::util::random::random_bytes;

/// Name of the credential (systemd: `LoadCredential=`).
const CREDENTIAL: &str = "seawall-snapshot.key";
/// Name of our own file in the state folder.
const FILE: &str = "snapshot.key";
/// Maximum bytes to read, so that a longer key is detected.
const LOOK_BYTES: u64 = 4_096;

/// Where the key is.
#[derive(Debug, Clone)]
pub(crate) struct KeySource {
    path: PathBuf,
    origin: Origin,
}

/// The creator of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The service manager: only the operator can repair it.
    Credential,
    /// Seawall.
    Ours,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeyError {
    #[error("the key {0} is missing")]
    Missing(PathBuf),
    #[error("the key {0} must have {KEY_BYTES} bytes, and has another length")]
    Length(PathBuf),
    #[error("the key {0} cannot be read: {1}")]
    Unreadable(PathBuf, String),
    #[error("the key {0} cannot be created: {1}")]
    Unmade(PathBuf, io::Error),
}

impl KeySource {
    /// Returns the credential if there is one, otherwise the file in `folder`.
    pub(crate) fn find(folder: &Path, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(path) => Self { path, origin: Origin::Credential },
            None => Self { path: folder.join(FILE), origin: Origin::Ours },
        }
    }

    /// Returns the existing key.
    ///
    /// # Errors
    /// There is none that can be used.
    pub(crate) fn read(&self) -> Result<SnapshotKey, KeyError> {
        let bytes = read_file::read(&self.path, LOOK_BYTES).map_err(|error| match error {
            FileReadError::Missing => KeyError::Missing(self.path.clone()),
            FileReadError::TooLarge { .. } => KeyError::Length(self.path.clone()),
            other => KeyError::Unreadable(self.path.clone(), other.to_string()),
        })?;
        let key = bytes.try_into().map_err(|_| KeyError::Length(self.path.clone()))?;
        if self.origin == Origin::Ours {
            self.close_to_others();
        }
        Ok(SnapshotKey(key))
    }

    /// Returns the key, and creates it if there is none. One of our own with a wrong length is
    /// moved aside.
    ///
    /// # Errors
    /// There is none, and none can be created.
    pub(crate) fn read_or_make(&self, medium: &dyn FileSystem) -> Result<SnapshotKey, KeyError> {
        match (self.read(), self.origin) {
            (Err(KeyError::Missing(_)), Origin::Ours) => self.make(medium),
            (Err(KeyError::Length(_)), Origin::Ours) => {
                if let Err(error) = keep_damaged(&self.path) {
                    return Err(KeyError::Unmade(self.path.clone(), error));
                }
                self.make(medium)
            }
            (read, _) => read,
        }
    }

    fn make(&self, medium: &dyn FileSystem) -> Result<SnapshotKey, KeyError> {
        let unmade = |error| KeyError::Unmade(self.path.clone(), error);
        let key = random_bytes().map_err(unmade)?;
        put(medium, &self.path, &[&key]).map_err(unmade)?;
        Ok(SnapshotKey(key))
    }

    /// Removes other users' access to the key: the folder may have been copied.
    fn close_to_others(&self) {
        let Ok(seen) = fs::metadata(&self.path) else { return };
        if seen.mode() & 0o077 != 0 {
            log::warn!(
                target: "seawall::state",
                "other users could read {}; its mode is 0600 now",
                self.path.display(),
            );
            // If that fails, the key stays readable; that was logged.
            let _open = fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600));
        }
    }
}
