//! What the files of one owner reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::ReadError;
use super::store::CachedList;

/// A file's bytes, or why there are none.
pub(crate) type Bytes = Result<Arc<[u8]>, ReadError>;
/// A good copy of a list, or why it cannot be used.
pub(crate) type FetchedSource = Result<CachedList, String>;

/// What the files of one owner reach, read into memory. Paths are those from the policy root.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    pub(super) files: BTreeMap<String, Bytes>,
    /// The SHA-256 of each that was read. Hashing a large component takes as long as all else.
    pub(super) digests: BTreeMap<String, [u8; 32]>,
    /// What an `include` names: the including file and the pattern as written, to paths.
    pub(super) included: BTreeMap<(String, String), Result<Vec<String>, ReadError>>,
    /// Those that are read as policy, there or not.
    pub(super) policies: BTreeSet<String>,
    /// Good copies of lists, by full name and path.
    pub(super) kept: BTreeMap<(String, String), FetchedSource>,
    /// The folders of all that was looked for.
    pub(super) folders: BTreeSet<String>,
}

impl Reached {
    /// The bytes of a file, where it was asked for.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&Result<Arc<[u8]>, ReadError>> {
        self.files.get(path)
    }

    /// The bytes of a file, where it was read.
    #[must_use]
    pub fn held(&self, path: &str) -> Option<Arc<[u8]>> {
        self.files.get(path)?.as_ref().ok().cloned()
    }

    /// The SHA-256 of a file, where it was read.
    #[must_use]
    pub fn sha256(&self, path: &str) -> Option<[u8; 32]> {
        self.digests.get(path).copied()
    }

    /// The files that `include "pattern"` in `file` names.
    ///
    /// # Errors
    /// Why it names none.
    pub fn included(&self, file: &str, pattern: &str) -> Result<Vec<String>, ReadError> {
        let key = (file.to_owned(), pattern.to_owned());
        self.included.get(&key).cloned().unwrap_or(Err(ReadError::Missing))
    }

    /// The good copy of a list by its full name and its path, where one is kept.
    pub(crate) fn kept(&self, name: &str, path: &str) -> Option<&FetchedSource> {
        self.kept.get(&(name.to_owned(), path.to_owned()))
    }

    /// The text of a file, as far as it is text.
    #[must_use]
    pub fn text(&self, path: &str) -> std::borrow::Cow<'_, str> {
        match self.files.get(path) {
            Some(Ok(bytes)) => String::from_utf8_lossy(bytes),
            _ => std::borrow::Cow::Borrowed(""),
        }
    }

    /// All paths that were asked for, read or not.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| &**path)
    }

    /// The policy files with their bytes.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &Result<Arc<[u8]>, ReadError>)> {
        self.policies.iter().filter_map(|path| Some((&**path, self.files.get(path)?)))
    }

    /// Whether a file is one of the policy itself.
    #[must_use]
    pub fn is_policy(&self, path: &str) -> bool {
        self.policies.contains(path)
    }

    /// The folders of all that was looked for: a change in another one changes nothing here.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(|folder| &**folder)
    }

    /// Whether a file was being written while it was read, so that reading again makes sense.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.files.values().any(|bytes| matches!(bytes, Err(ReadError::Changing)))
    }

    /// A digest of all files and of why others are not there. Good copies are not in it: they
    /// change by themselves where a list comes into force.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut parts = Parts::default();
        self.content(&mut parts);
        parts.finish()
    }

    /// The same with the good copies that are kept.
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

    /// The policy files alone: lists and components are held elsewhere.
    pub(super) fn only_policies(&self) -> Self {
        let (mut files, mut digests) = (self.files.clone(), self.digests.clone());
        files.retain(|path, _| self.is_policy(path));
        digests.retain(|path, _| self.is_policy(path));
        Self { files, digests, kept: BTreeMap::new(), ..self.clone() }
    }
}

/// A digest of parts, in which no two rows of parts are the same.
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
