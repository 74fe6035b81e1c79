//! Files in memory, for tests of whatever reads sources.

use std::collections::BTreeMap;

use crate::sources::{KeptList, ReadError, Store};

/// A policy root that is no folder.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(BTreeMap<String, Vec<u8>>, BTreeMap<String, Result<KeptList, String>>);

impl MemoryStore {
    /// With one file more, or another content of it.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), bytes.into());
        self
    }

    /// With what is kept of the list `name`, whatever its file.
    #[must_use]
    pub fn keeping(mut self, name: &str, kept: Result<KeptList, String>) -> Self {
        self.1.insert(name.to_owned(), kept);
        self
    }
}

impl Store for MemoryStore {
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let bytes = self.0.get(path).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ReadError::TooLarge { bytes_max });
        }
        Ok(bytes.clone())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, ReadError> {
        let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
        let fits = |path: &&String| path.starts_with(head) && path.ends_with(tail);
        Ok(self.0.keys().filter(fits).cloned().collect())
    }

    fn kept_list(&self, name: &str, _path: &str) -> Result<Option<KeptList>, String> {
        self.1.get(name).cloned().transpose()
    }
}
