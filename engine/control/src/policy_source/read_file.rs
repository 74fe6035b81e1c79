//! Reads one file that another program may be writing.
//!
//! A read never blocks and never returns a partial write. A FIFO or a device is rejected before it
//! is opened, and every file is opened without blocking in case it was replaced since. A file whose
//! size or time changed during the read is `Changing`, and the caller retries.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Seconds for which a file must be unchanged before its times are trusted: clocks of file systems
/// are coarse, and a network file system's may be behind ours.
const QUIET_S: i64 = 2;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FileReadError {
    #[error("there is no such file")]
    Missing,
    #[error("{0}")]
    Unreadable(String),
    #[error("it is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: u64 },
    #[error("it is no regular file")]
    NotAFile,
    #[error("it changed while it was read")]
    Changing,
}

impl From<io::Error> for FileReadError {
    fn from(error: io::Error) -> Self {
        match (error.kind(), error.raw_os_error()) {
            (io::ErrorKind::NotFound, _) => Self::Missing,
            // With O_NOFOLLOW: a file was replaced by a link a moment ago.
            (_, Some(libc::ELOOP)) => Self::Changing,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Whether a last link in a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SymlinkPolicy {
    Follow,
    Refuse,
}

/// Returns the bytes of the file at `path`, at most `bytes_max`.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileReadError> {
    read_as(path, bytes_max, SymlinkPolicy::Follow)
}

/// Does the same for a path whose links are resolved already.
pub(crate) fn read_resolved(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileReadError> {
    read_as(path, bytes_max, SymlinkPolicy::Refuse)
}

fn read_as(path: &Path, bytes_max: u64, links: SymlinkPolicy) -> Result<Vec<u8>, FileReadError> {
    match read_marked(path, bytes_max, links, None)? {
        Read::New(bytes, _) => Ok(bytes),
        Read::Same => Ok(Vec::new()),
    }
}

/// Result of reading a file again.
#[derive(Debug)]
pub(crate) enum Read {
    /// It is unchanged.
    Same,
    /// Its bytes, and the mark for later changes; no mark if it was written so recently that its
    /// times may not show a change.
    New(Vec<u8>, Option<Mark>),
}

/// Does the same as [`read_resolved`], for a file with the mark `before`.
pub(crate) fn read_since(
    path: &Path,
    bytes_max: u64,
    before: Option<Mark>,
) -> Result<Read, FileReadError> {
    read_marked(path, bytes_max, SymlinkPolicy::Refuse, before)
}

/// Opens the file at `path` and returns its metadata, for callers that read only its beginning.
pub(crate) fn open(path: &Path) -> Result<(File, Metadata), FileReadError> {
    open_as(path, SymlinkPolicy::Follow)
}

fn open_as(path: &Path, links: SymlinkPolicy) -> Result<(File, Metadata), FileReadError> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(FileReadError::NotAFile);
    }
    let no_follow = if links == SymlinkPolicy::Refuse { libc::O_NOFOLLOW } else { 0 };
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | no_follow).open(path)?;
    let known = file.metadata()?;
    if known.is_file() { Ok((file, known)) } else { Err(FileReadError::NotAFile) }
}

fn read_marked(
    path: &Path,
    bytes_max: u64,
    links: SymlinkPolicy,
    known: Option<Mark>,
) -> Result<Read, FileReadError> {
    let (mut file, before) = open_as(path, links)?;
    if before.len() > bytes_max {
        return Err(FileReadError::TooLarge { bytes_max });
    }
    if known.is_some_and(|known| known == mark(&before)) {
        return Ok(Read::Same);
    }
    let began = wall();
    let bytes = read_up_to(&mut file, bytes_max, before.len())?;
    let after = file.metadata()?;
    let held = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if mark(&before) != mark(&after) || held != after.len() {
        return Err(FileReadError::Changing);
    }
    Ok(Read::New(bytes, is_old(&after, began).then(|| mark(&after))))
}

#[expect(clippy::disallowed_methods, reason = "held against the dates of a file")]
pub(crate) fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// Returns whether a file was unchanged for long enough before `now` that another write gives it
/// another time.
fn is_old(of: &Metadata, now: std::time::SystemTime) -> bool {
    let now = now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    now.saturating_sub(of.ctime().max(of.mtime())) > QUIET_S
}

fn read_up_to(file: &mut File, bytes_max: u64, expected: u64) -> Result<Vec<u8>, FileReadError> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    // One byte more than permitted, so that a file that grew beyond the limit is noticed.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Differs once a file was written to, or was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
    place: (u64, u64),
}

fn mark(of: &Metadata) -> Mark {
    Mark {
        bytes: of.len(),
        written: (of.mtime(), of.mtime_nsec()),
        changed: (of.ctime(), of.ctime_nsec()),
        place: (of.dev(), of.ino()),
    }
}

/// Returns the mark of a file, as it would be taken at another time.
#[cfg(test)]
pub(crate) fn mark_at(path: &Path, now: std::time::SystemTime) -> Option<Mark> {
    let data = std::fs::metadata(path).ok()?;
    is_old(&data, now).then(|| mark(&data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_at_and_past_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap().len(), 10);
        assert!(matches!(read(&path, 9), Err(FileReadError::TooLarge { bytes_max: 9 })));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(read(&fifo, 10), Err(FileReadError::NotAFile)));
        assert!(matches!(read(dir.path(), 10), Err(FileReadError::NotAFile)));
        assert!(matches!(read(Path::new("/dev/zero"), 10), Err(FileReadError::NotAFile)));
        assert!(matches!(read(&dir.path().join("none"), 10), Err(FileReadError::Missing)));
    }

    #[test]
    fn a_resolved_path_that_became_a_link_is_changing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
        assert!(matches!(read_resolved(&dir.path().join("b"), 9), Err(FileReadError::Changing)));
        assert_eq!(read(&dir.path().join("b"), 9).unwrap(), b"x");
    }
}
