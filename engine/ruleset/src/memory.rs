//! Files in memory, for tests of whatever reads sources.

use std::collections::BTreeMap;

use crate::sources::{ReadError, Store};

/// A policy root that is no folder.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(BTreeMap<String, Vec<u8>>);

impl MemoryStore {
    /// With one file more, or another content of it.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.to_owned(), bytes.into());
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
}
