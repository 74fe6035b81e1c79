//! The files of one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::store::CachedList;

/// The bytes of a file, or the error.
pub(crate) type Bytes = Result<Arc<[u8]>, ReadError>;
/// The last valid copy of a list, or why it cannot be used.
pub(crate) type FetchedSource = Result<CachedList, String>;

/// The files of one owner, read into memory. Paths are relative to the policy root.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    pub(super) files: BTreeMap<String, Bytes>,
    /// The SHA-256 of each file that was read. Hashing a large component takes as long as all other
    /// steps.
    pub(super) digests: BTreeMap<String, [u8; 32]>,
    /// The files of each `include`: by the including file and the pattern as written.
    pub(super) included: BTreeMap<(String, String), Result<Vec<String>, ReadError>>,
    /// The policy files, with missing ones.
    pub(super) policies: BTreeSet<String>,
    /// Last valid copies of lists, by full name and path.
    pub(super) kept: BTreeMap<(String, String), FetchedSource>,
    /// All searched folders.
    pub(super) folders: BTreeSet<String>,
}

impl Reached {
    /// Returns the bytes or the error of a requested file.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&Result<Arc<[u8]>, ReadError>> {
        self.files.get(path)
    }

    /// Returns the bytes of a file if it was read.
    #[must_use]
    pub fn held(&self, path: &str) -> Option<Arc<[u8]>> {
        self.files.get(path)?.as_ref().ok().cloned()
    }

    /// Returns the SHA-256 of a file if it was read.
    #[must_use]
    pub fn sha256(&self, path: &str) -> Option<[u8; 32]> {
        self.digests.get(path).copied()
    }

    /// Returns the files that `include "pattern"` in `file` names.
    ///
    /// # Errors
    /// Why the pattern has no result.
    pub fn included(&self, file: &str, pattern: &str) -> Result<Vec<String>, ReadError> {
        let key = (file.to_owned(), pattern.to_owned());
        self.included.get(&key).cloned().unwrap_or(Err(ReadError::Missing))
    }

    /// Returns the last valid copy of a list by its full name and path, if one is stored.
    pub(crate) fn kept(&self, name: &str, path: &str) -> Option<&FetchedSource> {
        self.kept.get(&(name.to_owned(), path.to_owned()))
    }

    /// Returns the text of a file; invalid UTF-8 is replaced.
    #[must_use]
    pub fn text(&self, path: &str) -> std::borrow::Cow<'_, str> {
        match self.files.get(path) {
            Some(Ok(bytes)) => String::from_utf8_lossy(bytes),
            _ => std::borrow::Cow::Borrowed(""),
        }
    }

    /// Returns all requested paths, read or not.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| &**path)
    }

    /// Returns the policy files with their bytes.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &Result<Arc<[u8]>, ReadError>)> {
        self.policies.iter().filter_map(|path| Some((&**path, self.files.get(path)?)))
    }

    /// Returns whether a file is a policy file.
    #[must_use]
    pub fn is_policy(&self, path: &str) -> bool {
        self.policies.contains(path)
    }

    /// Returns all searched folders. A change in any other folder has no effect.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(|folder| &**folder)
    }

    /// Returns whether a file was being written while it was read, so that it should be read again.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.files.values().any(|bytes| matches!(bytes, Err(ReadError::Changing)))
    }

    /// Returns a digest of all files and of the errors of unreadable ones. It excludes stored
    /// copies of lists, because they change by themselves when a list comes into force.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut parts = Parts::default();
        self.content(&mut parts);
        parts.finish()
    }

    /// Returns the digest with the stored copies.
    #[must_use]
    pub fn digest_with_kept(&self) -> [u8; 32] {
        let mut parts = Parts::default();
        self.content(&mut parts);
        for ((name, path), kept) in &self.kept {
            parts.add(name.as_bytes());
            parts.add(path.as_bytes());
            match kept {
                Ok(kept) => parts.add(&Sha256::digest(&kept.bytes)),
                Err(why) => parts.add(format!("!{why}").as_bytes()),
            }
        }
        parts.finish()
    }

    fn content(&self, parts: &mut Parts) {
        for (path, bytes) in &self.files {
            parts.add(path.as_bytes());
            match bytes {
                Ok(_) => parts.add(&self.sha256(path).unwrap_or_default()),
                Err(why) => parts.add(format!("!{why}").as_bytes()),
            }
        }
        for ((file, pattern), found) in &self.included {
            parts.add(file.as_bytes());
            parts.add(pattern.as_bytes());
            match found {
                Ok(found) => found.iter().for_each(|path| parts.add(path.as_bytes())),
                Err(why) => parts.add(format!("!{why}").as_bytes()),
            }
            parts.add(&[]);
        }
    }

    /// Returns the policy files only. Lists and components are stored elsewhere.
    pub(super) fn only_policies(&self) -> Self {
        let (mut files, mut digests) = (self.files.clone(), self.digests.clone());
        files.retain(|path, _| self.is_policy(path));
        digests.retain(|path, _| self.is_policy(path));
        Self { files, digests, kept: BTreeMap::new(), ..self.clone() }
    }
}

/// A digest of a sequence of parts. Different sequences never give the same input.
#[derive(Default)]
pub(super) struct Parts(Sha256);

impl Parts {
    pub(super) fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
