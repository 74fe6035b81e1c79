//! Since when each member's files are rejected, over restarts too. An operator sees after a restart
//! how long a member has been without the newest rules.
//!
//! Limitation: without access to the file the time starts again at a restart, and that is reported.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_model::Tick;
use serde::{Deserialize, Serialize};

use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::atomic_write::{RealFileSystem, put};

/// Maximum bytes of the file: 10,000 members with long names.
const BYTES_MAX: u64 = 4 << 20;
const FILE: &str = "members-refused.json";
const VERSION: u32 = 1;

/// Times by the member's name.
pub(super) type Moments = BTreeMap<Box<str>, Tick>;

#[derive(Serialize, Deserialize)]
struct Written {
    version: u32,
    /// Milliseconds since 1970.
    since: BTreeMap<Box<str>, u64>,
}

/// The file, and its new content.
#[derive(Debug)]
pub(super) struct RefusedSince {
    place: PathBuf,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    moments: Moments,
    /// The content differs from the file.
    is_new: bool,
}

impl RefusedSince {
    /// Reads the file in the folder `state_dir`.
    pub(super) fn open(state_dir: &Path) -> Self {
        let place = state_dir.join(FILE);
        let why = match read_file::read(&place, BYTES_MAX) {
            Err(FileReadError::Missing) => None,
            Err(error) => Some(error.to_string()),
            Ok(bytes) => match serde_json::from_slice::<Written>(&bytes) {
                Ok(Written { version: VERSION, since }) => {
                    let moments = since.into_iter().map(|(name, ms)| (name, Tick(ms))).collect();
                    return Self { place, book: Mutex::new(Book { moments, is_new: false }) };
                }
                Ok(other) => Some(format!("unknown version {}", other.version)),
                Err(error) => Some(error.to_string()),
            },
        };
        if let Some(why) = why {
            log::warn!(
                target: "seawall::server",
                "{}: {why}; the times since which members' files are rejected start again",
                place.display()
            );
        }
        Self { place, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns since when this member's files are rejected, if that is known.
    pub(super) fn of(&self, name: &str) -> Option<Tick> {
        self.book().moments.get(name).copied()
    }

    /// Records whose files are rejected now.
    pub(super) fn note(&self, moments: Moments) {
        let mut book = self.book();
        book.is_new |= book.moments != moments;
        book.moments = moments;
    }

    /// Writes changes.
    pub(super) fn write(&self) {
        let mut book = self.book();
        if !std::mem::take(&mut book.is_new) {
            return;
        }
        let since = book.moments.iter().map(|(name, at)| (name.clone(), at.0)).collect();
        drop(book);
        if let Err(error) = self.put(&Written { version: VERSION, since }) {
            log::warn!(target: "seawall::server", "{}: {error}", self.place.display());
            self.book().is_new = true;
        }
    }

    fn put(&self, what: &Written) -> io::Result<()> {
        if let Some(folder) = self.place.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        put(&RealFileSystem, &self.place, &[&serde_json::to_vec(what)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(of: &[(&str, u64)]) -> Moments {
        of.iter().map(|(name, at)| (Box::from(*name), Tick(*at))).collect()
    }

    #[test]
    fn what_was_noted_is_known_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("members");
        let since = RefusedSince::open(&folder);
        assert_eq!(since.of("ann"), None);
        since.note(moments(&[("ann", 5), ("bob", 7)]));
        since.write();
        let again = RefusedSince::open(&folder);
        assert_eq!((again.of("ann"), again.of("bob")), (Some(Tick(5)), Some(Tick(7))));
        again.note(moments(&[("bob", 7)]));
        again.write();
        assert_eq!(RefusedSince::open(&folder).of("ann"), None, "her files are right again");
    }

    #[test]
    fn a_file_that_cannot_be_used_begins_anew_and_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        for text in
            ["", "{", "{\"version\":2,\"since\":{}}", "{\"version\":1,\"since\":{\"a\":-1}}"]
        {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let since = RefusedSince::open(dir.path());
            assert_eq!(since.of("a"), None, "{text}");
            since.note(moments(&[("a", 3)]));
            since.write();
            assert_eq!(RefusedSince::open(dir.path()).of("a"), Some(Tick(3)), "{text}");
        }
    }
}
