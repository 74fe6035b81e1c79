//! Good copies of list files, in the folder for what outlives the process.
//!
//! A list that loaded once stays in force when its file fails (LANGUAGE §6), over a restart too:
//! the bytes of each list that is published are put away here, and taken when the file cannot be
//! used at start. A copy is written whole or not at all and says what it must hold, so that half
//! of one is never believed.

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

/// What a copy begins with; behind it stand the digest of its content and when that came into
/// force, in milliseconds since 1970.
const HEADER: &str = "seawall list 1";
/// The most bytes of that line: the words, a digest, a number of 64 bits.
const HEADER_BYTES_MAX: u64 = 128;
/// The folder in the state folder.
const FOLDER: &str = "lists";
/// The ending of a copy's name, and of one that is being written.
const ENDINGS: [&str; 2] = ["list", "new"];

/// The copies.
pub(crate) struct ListCache {
    folder: PathBuf,
    now: Now,
    /// What is in force, by the copy's path.
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

/// A list in force.
#[derive(Debug, Clone, Copy)]
struct Known {
    digest: [u8; 32],
    since: Tick,
    /// Its copy lies on the disk.
    stored: bool,
    /// Its file gave it, as it is now.
    from_file: bool,
}

/// A list file in force, as `status` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListAge {
    /// Milliseconds since its content came into force.
    pub(crate) age_ms: u64,
    /// What gives its content.
    pub(crate) from: ListSource,
}

/// The lists of a generation, to be put away once it is published.
#[derive(Debug)]
pub(crate) struct PublishedLists {
    lists: Vec<Good>,
    /// Nothing of the policy was left out, so that what it does not name is not needed.
    whole: bool,
}

#[derive(Debug)]
struct Good {
    name: Box<str>,
    path: Box<str>,
    digest: [u8; 32],
    /// What the file holds, where that is in force.
    bytes: Option<Arc<[u8]>>,
}

impl PublishedLists {
    /// The list files of `rules`, which was made of `sources`.
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
    /// The shelf in the folder `state_dir`, which need not be there yet.
    pub(crate) fn new(state_dir: &Path, now: Now) -> Self {
        Self { folder: state_dir.join(FOLDER), now, known: Mutex::default() }
    }

    /// The copy of a list, unless it is what the file holds, whose digest is `read`.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
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

    /// Puts away what was published. What cannot be written is told, and tried again next time.
    pub(crate) fn put_away(&self, stock: &PublishedLists) {
        // Not locked while it is written: whoever asks for the status does not wait for the disk.
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
                            "no copy of the list {} is kept: {error}",
                            good.name,
                        );
                    }
                }
            }
            known.insert(place, mark);
        }
        // A list in trouble may yet need a copy that has another name now.
        if stock.whole && stock.lists.iter().all(|good| good.bytes.is_some()) {
            self.clear(&known);
        }
        *self.known() = known;
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How old a list is, and whether a copy serves.
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

    /// What is known of a list that is in force now: the same content keeps its age.
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
                    "the copy of the list {} is written anew: {error}",
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

    /// The first line of a copy.
    fn header(&self, place: &Path) -> Option<([u8; 32], Tick)> {
        let mut line = String::new();
        let (file, _) = read_file::open(place).ok()?;
        BufReader::new(file.take(HEADER_BYTES_MAX)).read_line(&mut line).ok()?;
        parse_header(line.as_bytes())
    }

    /// Writes a copy beside its place and moves it there.
    fn store(&self, place: &Path, bytes: &[u8], mark: &Known) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let new = place.with_extension(ENDINGS[1]);
        // One that was left behind goes first, so that nobody's link is followed.
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
                // One that stays costs its room on the disk and nothing else.
                let _stays = fs::remove_file(&path);
            }
        }
    }
}

/// A whole copy: its content, the digest of that, and since when it was in force.
fn load(place: &Path) -> Result<(Vec<u8>, [u8; 32], Tick), FileReadError> {
    let mut bytes = read_file::read(place, LIST_BYTES_MAX.saturating_add(HEADER_BYTES_MAX))?;
    let damaged = || FileReadError::Unreadable("it is damaged".to_owned());
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
