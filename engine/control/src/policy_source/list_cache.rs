//! Last good copies of list files, in the state folder.
//!
//! A list that was loaded once stays active when its file fails, over a restart too. The bytes of
//! each published list are stored here, and used if the file is unusable at start. A copy is
//! written atomically and contains its digest, so a partial one is never used.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_admin_api::ListSource;
use seawall_model::{Now, Tick};
use seawall_ruleset::{CachedList, LIST_BYTES_MAX, RuleSet, Sources};
use sha2::{Digest, Sha256};

use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::digest::{digest, hex};

/// Start of a copy; the digest of its content and the time of its activation follow, in
/// milliseconds since 1970.
const HEADER: &str = "seawall list 1";
/// Maximum bytes of that line: the words, a digest, a number of 64 bits.
const HEADER_BYTES_MAX: u64 = 128;
/// The folder in the state folder.
const FOLDER: &str = "lists";
/// The ending of a copy's name, and of one that is being written.
const ENDINGS: [&str; 2] = ["list", "new"];

/// The copies.
pub(crate) struct ListCache {
    folder: PathBuf,
    now: Now,
    /// The active lists, by the copy's path.
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

/// An active list.
#[derive(Debug, Clone, Copy)]
struct Known {
    digest: [u8; 32],
    since: Tick,
    /// Its copy is on the disk.
    stored: bool,
    /// Its content is that of its file now.
    from_file: bool,
}

/// An active list file in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListAge {
    /// Milliseconds since its content became active.
    pub(crate) age_ms: u64,
    /// The source of its content.
    pub(crate) from: ListSource,
}

/// The lists of a generation, to be stored once it is published.
#[derive(Debug)]
pub(crate) struct PublishedLists {
    lists: Vec<Good>,
    /// The policy was built completely, so copies that it does not name are not needed.
    whole: bool,
}

#[derive(Debug)]
struct Good {
    name: Box<str>,
    path: Box<str>,
    digest: [u8; 32],
    /// The content of the file, if that is active.
    bytes: Option<Arc<[u8]>>,
}

impl PublishedLists {
    /// Returns the list files of `rules`, which was built from `sources`.
    pub(crate) fn of(rules: &RuleSet, sources: &Sources, whole: bool) -> Self {
        let good = |list: seawall_ruleset::ListSummary| {
            let file = list.file?;
            let bytes = sources.held(&file.path);
            let bytes = bytes.filter(|bytes| digest(bytes) == file.digest);
            Some(Good { name: list.name, path: file.path, digest: file.digest, bytes })
        };
        Self { lists: rules.summary().lists.into_iter().filter_map(good).collect(), whole }
    }
}

impl std::fmt::Debug for ListCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListCache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ListCache {
    /// Returns the cache in the folder `state_dir`, which need not exist yet.
    pub(crate) fn new(state_dir: &Path, now: Now) -> Self {
        Self { folder: state_dir.join(FOLDER), now, known: Mutex::default() }
    }

    /// Returns the copy of a list, unless it equals the file, whose digest is `read`.
    ///
    /// # Errors
    /// A copy exists, and it cannot be used.
    pub(crate) fn take(
        &self,
        name: &str,
        path: &str,
        read: Option<[u8; 32]>,
    ) -> Result<Option<CachedList>, String> {
        let place = self.place(name, path);
        if read.is_some() && self.header(&place).map(|(digest, _)| digest) == read {
            return Ok(None);
        }
        match load(&place) {
            Ok((bytes, _, since)) => {
                Ok(Some(CachedList { bytes: bytes.into(), age_ms: (self.now)().since_ms(since) }))
            }
            Err(FileReadError::Missing) => Ok(None),
            Err(error) => Err(format!("{}: {error}", place.display())),
        }
    }

    /// Stores what was published. A failed write is logged, and retried next time.
    pub(crate) fn put_away(&self, stock: &PublishedLists) {
        // Not locked during the write: a request for the status does not wait for the disk.
        let before = self.known().clone();
        let mut known = BTreeMap::new();
        for good in &stock.lists {
            let place = self.place(&good.name, &good.path);
            let mut mark = self.mark(good, &place, before.get(&place));
            if let (Some(bytes), false) = (&good.bytes, mark.stored) {
                match self.store(&place, bytes, &mark) {
                    Ok(()) => mark.stored = true,
                    Err(error) => {
                        log::warn!(
                            target: "seawall::policy",
                            "no copy of the list {} is stored: {error}",
                            good.name,
                        );
                    }
                }
            }
            known.insert(place, mark);
        }
        // A list with an error may need a copy that has another name now.
        if stock.whole && stock.lists.iter().all(|good| good.bytes.is_some()) {
            self.clear(&known);
        }
        *self.known() = known;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the age of a list, and whether a copy is active.
    pub(crate) fn age(&self, name: &str, path: &str) -> Option<ListAge> {
        let known = self.known();
        let known = known.get(&self.place(name, path))?;
        let from = match (known.from_file, known.digest == [0; 32]) {
            (true, _) => ListSource::File,
            (false, false) => ListSource::Cached,
            (false, true) => ListSource::Empty,
        };
        Some(ListAge { age_ms: (self.now)().since_ms(known.since), from })
    }

    /// Returns the entry of an active list: the same content keeps its age.
    fn mark(&self, good: &Good, place: &Path, before: Option<&Known>) -> Known {
        let from_file = good.bytes.is_some();
        if let Some(before) = before.filter(|before| before.digest == good.digest) {
            return Known { from_file, ..*before };
        }
        let fresh = Known { digest: good.digest, since: (self.now)(), stored: false, from_file };
        match load(place) {
            Ok((_, digest, since)) if digest == good.digest => {
                Known { since, stored: true, ..fresh }
            }
            Ok(_) | Err(FileReadError::Missing) => fresh,
            Err(error) => {
                log::warn!(
                    target: "seawall::policy",
                    "the copy of the list {} is written again: {error}",
                    good.name,
                );
                fresh
            }
        }
    }

    fn place(&self, name: &str, path: &str) -> PathBuf {
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([0]);
        hasher.update(path);
        self.folder.join(format!("{}.{}", hex(&hasher.finalize()), ENDINGS[0]))
    }

    /// Returns the first line of a copy.
    fn header(&self, place: &Path) -> Option<([u8; 32], Tick)> {
        let mut line = String::new();
        let (file, _) = read_file::open(place).ok()?;
        BufReader::new(file.take(HEADER_BYTES_MAX)).read_line(&mut line).ok()?;
        parse_header(line.as_bytes())
    }

    /// Writes a copy to a temporary file and moves it to its path.
    fn store(&self, place: &Path, bytes: &[u8], mark: &Known) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let new = place.with_extension(ENDINGS[1]);
        // A leftover file is removed first, so that no link is followed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        writeln!(file, "{HEADER} {} {}", hex(&mark.digest), mark.since.0)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, place)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes the copies of lists that are no longer named.
    fn clear(&self, known: &BTreeMap<PathBuf, Known>) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_ours = path.extension().is_some_and(|end| ENDINGS.iter().any(|our| end == *our));
            if is_ours && !known.contains_key(&path) {
                // A file that stays only costs its space on the disk.
                let _stays = fs::remove_file(&path);
            }
        }
    }
}

/// Returns an intact copy: its content, the digest of that, and since when it was active.
fn load(place: &Path) -> Result<(Vec<u8>, [u8; 32], Tick), FileReadError> {
    let mut bytes = read_file::read(place, LIST_BYTES_MAX.saturating_add(HEADER_BYTES_MAX))?;
    let damaged = || FileReadError::Unreadable("the copy is damaged".to_owned());
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
    let (wanted, since) = bytes.get(..end).and_then(parse_header).ok_or_else(damaged)?;
    bytes.drain(..=end);
    if digest(&bytes) == wanted { Ok((bytes, wanted, since)) } else { Err(damaged()) }
}

fn parse_header(line: &[u8]) -> Option<([u8; 32], Tick)> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let (hex, since) = line.strip_prefix(HEADER)?.strip_prefix(' ')?.split_once(' ')?;
    if hex.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in (0_usize..).step_by(2).zip(&mut digest) {
        *byte = u8::from_str_radix(hex.get(at..at.checked_add(2)?)?, 16).ok()?;
    }
    Some((digest, Tick(since.parse().ok()?)))
}

#[cfg(test)]
mod tests;
