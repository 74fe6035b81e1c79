//! A source store in memory, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::build::sources::{CachedList, Entry, ReadError, SourceStore, entries_of};

/// A policy root in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    files: BTreeMap<String, Arc<[u8]>>,
    kept: BTreeMap<String, Result<CachedList, String>>,
    /// Targets of links, relative to the root; `None` for a link that leads outside.
    links: BTreeMap<String, Option<String>>,
}

impl MemoryStore {
    /// Adds or replaces a file.
    #[must_use]
    pub fn with(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), bytes.into().into());
        self
    }

    /// Adds a stored copy of the list `name`.
    #[must_use]
    pub fn keeping(mut self, name: &str, kept: Result<CachedList, String>) -> Self {
        self.kept.insert(name.to_owned(), kept);
        self
    }

    /// Adds a link at `path` to the file `to`, or to outside of the root.
    #[must_use]
    pub fn linking(mut self, path: &str, to: Option<&str>) -> Self {
        self.links.insert(path.to_owned(), to.map(str::to_owned));
        self
    }

    fn place(&self, path: &str, within: &str) -> Result<String, ReadError> {
        let place = self.links.get(path).cloned().unwrap_or_else(|| Some(path.to_owned()));
        let is_inside = |place: &String| {
            within.is_empty()
                || place.strip_prefix(within).is_some_and(|rest| rest.starts_with('/'))
        };
        place.filter(is_inside).ok_or(ReadError::Outside)
    }
}

impl SourceStore for MemoryStore {
    fn read(&self, path: &str, bytes_max: u64, within: &str) -> Result<Arc<[u8]>, ReadError> {
        let place = self.place(path, within)?;
        let bytes = self.files.get(&place).ok_or(ReadError::Missing)?;
        if bytes.len() as u64 > bytes_max {
            return Err(ReadError::TooLarge { bytes_max });
        }
        Ok(Arc::clone(bytes))
    }

    fn list(&self, folder: &str, _: &str, _: usize) -> Result<Vec<Entry>, ReadError> {
        let paths = self.files.keys().chain(self.links.keys());
        Ok(entries_of(paths.map(|path| &**path), folder))
    }

    fn is_file(&self, path: &str, within: &str) -> bool {
        self.place(path, within).is_ok_and(|place| self.files.contains_key(&place))
    }

    fn real(&self, path: &str, within: &str) -> Result<String, ReadError> {
        self.place(path, within)
    }

    fn kept_list(&self, name: &str, _path: &str) -> Result<Option<CachedList>, String> {
        self.kept.get(name).cloned().transpose()
    }
}
