//! The code cache: compiled machine code, in a folder that only its owner may enter.
//!
//! A file is only used if its seal is valid. The key of the seal lies beside it. So the seal
//! protects against damage, and the permissions of the folder protect the key. A folder that other
//! users may enter is not used.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use seawall_sys::MAC_BYTES;
use seawall_wasm::{SEAL_KEY_BYTES, Seal};

use super::limits::CODE_BYTES_MAX;
use crate::util::random::random_bytes;

/// Maximum bytes of machine code: some ten rules in JavaScript or Python, or thousands in Rust. The
/// least recently used code is removed first.
pub const CODE_CACHE_BYTES_MAX: u64 = 1 << 30;
/// Maximum of code files.
pub const CODE_CACHE_FILES_MAX: usize = 1_000;

/// Maximum of notes about components whose compilation is over the limit; the oldest is removed
/// first.
pub const DEAR_FILES_MAX: usize = 1_000;
/// Seconds after which such a component is compiled once more: a week. A busy machine counts more
/// CPU time for the same work.
pub const DEAR_KEPT_S: u64 = 7 * 86_400;

const KEY: &str = "key";
const ENDING: &str = "code";
/// File ending of a note that compiling a component is over the limit.
const DEAR_ENDING: &str = "dear";
/// Maximum bytes of such a note: a digest and one line.
const DEAR_BYTES_MAX: u64 = 1 << 10;

/// The folder.
#[derive(Debug)]
pub(crate) struct CodeCache {
    folder: PathBuf,
    pub(crate) seal: Seal,
}

impl CodeCache {
    /// Opens the cache in `folder`, which is created if necessary.
    ///
    /// # Errors
    /// The folder cannot be used, or not safely.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if !seawall_sys::is_private_dir(folder)? {
            let why = format!(
                "{} must belong to this user and have mode 0700: it contains machine code",
                folder.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let seal = Seal::new(key(folder)?);
        Ok(Self { folder: folder.to_owned(), seal })
    }

    /// Returns the code under this name; its seal is not verified yet.
    pub(crate) fn take(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = File::open(self.place(name)).ok()?;
        let mut code = Vec::new();
        (&mut file).take(CODE_BYTES_MAX).read_to_end(&mut code).ok()?;
        // The time marks code as used; without it the code is only removed sooner.
        let _marked = file.set_modified(now());
        Some(code)
    }

    /// Stores code under this name, and removes the oldest beyond the maximum.
    pub(crate) fn put(&self, name: &str, code: &[u8]) -> io::Result<()> {
        self.put_file(name, ENDING, code)?;
        self.trim(ENDING, CODE_CACHE_BYTES_MAX, CODE_CACHE_FILES_MAX)
    }

    /// Records that compiling the component of this name needs more than `limits`.
    pub(crate) fn put_dear(&self, name: &str, limits: &str) -> io::Result<()> {
        let text = dear_text(name, limits);
        let note = [&self.seal.mac(text.as_bytes())[..], text.as_bytes()].concat();
        self.put_file(name, DEAR_ENDING, &note)?;
        self.trim(DEAR_ENDING, u64::MAX, DEAR_FILES_MAX)
    }

    /// Returns whether compiling this component exceeded `limits` in the last days. A note that is
    /// invalid, for other limits or too old is removed.
    pub(crate) fn is_dear(&self, name: &str, limits: &str) -> bool {
        let place = self.file(name, DEAR_ENDING);
        let Ok(file) = File::open(&place) else { return false };
        let is_known = self.is_note(file, &dear_text(name, limits)).unwrap_or(false);
        if !is_known {
            let _gone = fs::remove_file(place);
        }
        is_known
    }

    fn is_note(&self, file: File, text: &str) -> io::Result<bool> {
        let written = file.metadata()?.modified()?;
        // A time in the future counts as now.
        let age = now().duration_since(written).unwrap_or_default();
        let mut note = Vec::new();
        file.take(DEAR_BYTES_MAX).read_to_end(&mut note)?;
        let Some((mac, noted)) = note.split_first_chunk::<MAC_BYTES>() else { return Ok(false) };
        let is_ours = self.seal.is_mac(noted, mac);
        Ok(is_ours && noted == text.as_bytes() && age < Duration::from_secs(DEAR_KEPT_S))
    }

    /// Removes unusable code.
    pub(crate) fn drop(&self, name: &str) {
        let _gone = fs::remove_file(self.place(name));
    }

    fn place(&self, name: &str) -> PathBuf {
        self.file(name, ENDING)
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }

    /// Writes a file atomically.
    fn put_file(&self, name: &str, ending: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!("{name}.{}.new", std::process::id()));
        let place = self.file(name, ending);
        let written = write(&new, bytes).and_then(|()| fs::rename(&new, place));
        if written.is_err() {
            // A partial file must not stay.
            let _gone = fs::remove_file(&new);
        }
        written
    }

    /// Removes the oldest files with this ending beyond the maximum.
    fn trim(&self, ending: &str, bytes_max: u64, files_max: usize) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == ending)
                && let Ok(seen) = fs::metadata(&path)
            {
                kept.push((seen.modified()?, seen.len(), path));
            }
        }
        kept.sort();
        let (mut bytes, mut files) = (kept.iter().map(|(_, len, _)| len).sum::<u64>(), kept.len());
        for (_, len, path) in kept {
            if bytes <= bytes_max && files <= files_max {
                break;
            }
            fs::remove_file(path)?;
            bytes = bytes.saturating_sub(len);
            files = files.saturating_sub(1);
        }
        Ok(())
    }
}

/// Returns the text of a note. It contains the limits: under other limits it is invalid.
fn dear_text(name: &str, limits: &str) -> String {
    format!("compiling {name} takes more than {limits}\n")
}

/// Returns the folder's key. The first process creates it; a link appears atomically.
fn key(folder: &Path) -> io::Result<[u8; SEAL_KEY_BYTES]> {
    let place = folder.join(KEY);
    if !place.exists() {
        let new = folder.join(format!("{KEY}.{}.new", std::process::id()));
        // A process with the same id may have left it.
        let _gone = fs::remove_file(&new);
        write(&new, &random_bytes::<SEAL_KEY_BYTES>()?)?;
        let linked = fs::hard_link(&new, &place);
        fs::remove_file(&new)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut key = [0; SEAL_KEY_BYTES];
    File::open(&place)?.read_exact(&mut key)?;
    Ok(key)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the date of a file, which says when it was used")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_put_is_taken_and_nothing_else_lies_about() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("a/b");
        let cache = CodeCache::open(&folder).unwrap();
        assert_eq!(cache.take("one"), None);
        cache.put("one", b"code").unwrap();
        cache.put("one", b"again").unwrap();
        assert_eq!(cache.take("one").unwrap(), b"again");
        assert_eq!(names(&folder), ["key", "one.code"]);
        cache.drop("one");
        assert_eq!(cache.take("one"), None);
        let mode = fs::metadata(folder.join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_key_stays_and_differs_from_folder_to_folder() {
        let around = tempfile::tempdir().unwrap();
        let seal = |name: &str| *CodeCache::open(&around.path().join(name)).unwrap().seal.key();
        assert_eq!(seal("a"), seal("a"));
        assert_ne!(seal("a"), seal("b"));
        fs::write(around.path().join("a/key"), b"short").unwrap();
        assert!(CodeCache::open(&around.path().join("a")).is_err(), "half a key");
    }

    #[test]
    fn a_folder_that_others_may_enter_is_not_used() {
        let around = tempfile::tempdir().unwrap();
        fs::set_permissions(around.path(), Permissions::from_mode(0o755)).unwrap();
        let error = CodeCache::open(around.path()).unwrap_err();
        assert!(error.to_string().contains("0700"), "{error}");
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("cache");
        let cache = CodeCache::open(&folder).unwrap();
        for (name, age_s) in [("old", 300), ("older", 500), ("new", 100)] {
            cache.put(name, b"12345").unwrap();
            let file = File::options().write(true).open(cache.place(name)).unwrap();
            file.set_modified(now() - Duration::from_secs(age_s)).unwrap();
        }
        assert!(cache.take("older").is_some(), "used just now");
        cache.trim(ENDING, 15, 3).unwrap();
        assert_eq!(names(&folder).len(), 4, "at the limit nothing goes");
        cache.trim(ENDING, 14, 3).unwrap();
        assert_eq!(names(&folder), ["key", "new.code", "older.code"]);
        cache.trim(ENDING, 15, 1).unwrap();
        assert_eq!(names(&folder), ["key", "older.code"]);
    }

    #[test]
    fn what_is_too_dear_is_known_again_for_the_same_limits_and_for_a_while() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("cache");
        let cache = CodeCache::open(&folder).unwrap();
        assert!(!cache.is_dear("a", "10 s"));
        cache.put_dear("a", "10 s").unwrap();
        let again = CodeCache::open(&folder).unwrap();
        assert!(again.is_dear("a", "10 s") && !again.is_dear("b", "10 s"));
        // One for each reason for which a note is invalid: each removes it.
        assert!(!again.is_dear("a", "20 s"), "other limits");
        assert_eq!(names(&folder), ["key"]);
        let aged = |age_s| {
            cache.put_dear("a", "10 s").unwrap();
            let file = File::options().write(true).open(folder.join("a.dear")).unwrap();
            file.set_modified(now() - Duration::from_secs(age_s)).unwrap();
        };
        aged(DEAR_KEPT_S - 60);
        assert!(cache.is_dear("a", "10 s"));
        aged(DEAR_KEPT_S);
        assert!(!cache.is_dear("a", "10 s"), "too old");
        assert_eq!(names(&folder), ["key"]);
    }

    #[test]
    fn a_note_that_is_not_ours_is_removed() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("cache");
        let cache = CodeCache::open(&folder).unwrap();
        let place = folder.join("a.dear");
        cache.put_dear("a", "10 s").unwrap();
        let good = fs::read(&place).unwrap();
        let mut forged = good.clone();
        forged[0] ^= 1;
        let elsewhere = Seal::new([9; SEAL_KEY_BYTES]);
        let others = [&elsewhere.mac(&good[MAC_BYTES..])[..], &good[MAC_BYTES..]].concat();
        let longer = [&good[..], &[b' '; 2_000][..]].concat();
        for bytes in [&forged[..], &others, &longer, &good[..MAC_BYTES], &good[..9], b""] {
            fs::write(&place, bytes).unwrap();
            assert!(!cache.is_dear("a", "10 s"), "{bytes:?}");
            assert!(!place.exists());
        }
        // A valid note of another component.
        fs::write(folder.join("b.dear"), &good).unwrap();
        assert!(!cache.is_dear("b", "10 s"));
        assert_eq!(names(&folder), ["key"]);
    }

    #[test]
    fn so_many_are_noted_as_too_dear_and_no_more() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("cache");
        let cache = CodeCache::open(&folder).unwrap();
        for n in 0..DEAR_FILES_MAX {
            fs::write(folder.join(format!("n{n}.dear")), b"").unwrap();
        }
        let file = File::options().write(true).open(folder.join("n7.dear")).unwrap();
        file.set_modified(now() - Duration::from_secs(60)).unwrap();
        cache.trim(DEAR_ENDING, u64::MAX, DEAR_FILES_MAX).unwrap();
        assert!(folder.join("n7.dear").exists(), "at the limit nothing goes");
        cache.put("code", b"12").unwrap();
        cache.put_dear("a", "10 s").unwrap();
        assert!(!folder.join("n7.dear").exists(), "the oldest went");
        assert_eq!(names(&folder).len(), DEAR_FILES_MAX + 2, "with the key and the code");
        assert!(cache.is_dear("a", "10 s") && cache.take("code").is_some());
    }
}
