//! The key of the snapshots: from the service manager, else a file of our own.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::encryption::{KEY_BYTES, SnapshotKey};
use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::atomic_write::{FileSystem, put};
use crate::storage::damaged::keep_damaged;
use crate::util::random::random_bytes;

/// The name of the credential (systemd: `LoadCredential=`).
const CREDENTIAL: &str = "seawall-snapshot.key";
/// The name of our own file in the state folder.
const FILE: &str = "snapshot.key";
/// Bytes that are looked at, so that a longer one is seen to be longer.
const LOOK_BYTES: u64 = 4_096;

/// Where the key is.
#[derive(Debug, Clone)]
pub(crate) struct KeySource {
    path: PathBuf,
    origin: Origin,
}

/// Who made a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The service manager: it is theirs to mend.
    Credential,
    /// We did.
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
    #[error("the key {0} cannot be made: {1}")]
    Unmade(PathBuf, io::Error),
}

impl KeySource {
    /// The credential, where the folder of credentials has one, else the file in `folder`.
    pub(crate) fn find(folder: &Path, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(path) => Self { path, origin: Origin::Credential },
            None => Self { path: folder.join(FILE), origin: Origin::Ours },
        }
    }

    /// The key as it is.
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

    /// The key, made where there is none. One of ours with a wrong length is set aside for it.
    ///
    /// # Errors
    /// There is none, and none can be made.
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

    /// A key that came with a copied folder may be open to others.
    fn close_to_others(&self) {
        let Ok(seen) = fs::metadata(&self.path) else { return };
        if seen.mode() & 0o077 != 0 {
            log::warn!(
                target: "seawall::state",
                "{} could be read by others; it is 0600 now",
                self.path.display(),
            );
            // Where that fails the key is as open as before, which was said.
            let _open = fs::set_permissions(&self.path, fs::Permissions::from_mode(0o600));
        }
    }
}
