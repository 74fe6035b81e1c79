//! The last generations with their files, for rollbacks.
//!
//! A generation is a list of files by digest, and each content is stored once. All of it lies in
//! the state folder, since the server may be restarted before a rollback. The content of a file is
//! verified against its digest when it is read. The list of generations is replaced atomically.
//!
//! Limitation: without write access to the folder, generations are kept without their files, and
//! that is reported.

pub(crate) mod contents;
pub(crate) mod index;
pub(crate) mod retention;
pub(crate) mod sources;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use index::{GenerationIndex, VERSION, Written};
use seawall_admin_api::{FileDigest, Marks, MarksOfParts, Past, RollbackPin};
use seawall_ruleset::LIST_BYTES_MAX;
use serde::Deserialize;

use crate::policy_source::read_file::{self, FileReadError};
use crate::reload::status::ReloadStatusSnapshot;
use crate::storage::atomic_write::{FileSystem, RealFileSystem, put};
use crate::storage::damaged::keep_damaged;
use crate::storage::digest::{digest, hex};

/// The content of a file with its digest in hexadecimal digits.
pub(crate) type FileBlob = (String, Arc<[u8]>);

/// Maximum bytes of the operator's files in past generations; the oldest are removed first. The
/// active files and those before them are always kept.
pub const HISTORY_BYTES_MAX: u64 = 256 << 20;
/// Maximum bytes of members' files in past generations, beside the active ones.
pub const MEMBERS_HISTORY_BYTES_MAX: u64 = 256 << 20;
/// The same for one member.
pub const MEMBER_HISTORY_BYTES_MAX: u64 = 32 << 20;
/// Maximum bytes of the list of generations: 100 of 2,000 files of the operator, and the files of
/// all members.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Rows of the operator's files that are always kept.
const KEPT_ALWAYS: usize = 2;
const FOLDER: &str = "history";
const INDEX: &str = "index.json";
/// Ending of a file that is being written.
const BESIDE: &str = "new";

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct GenerationStore {
    folder: PathBuf,
    medium: Arc<dyn FileSystem>,
    /// Contents that are not written yet.
    held: Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>,
}

impl GenerationStore {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join(FOLDER),
            medium: Arc::new(RealFileSystem),
            held: Arc::default(),
        }
    }

    /// Returns what was stored last; nothing, with a log line, if it is unusable.
    pub(crate) fn load(&self) -> GenerationIndex {
        let place = self.folder.join(INDEX);
        let why = match read_file::read(&place, INDEX_BYTES_MAX) {
            Err(FileReadError::Missing) => return GenerationIndex::default(),
            Err(error) => error.to_string(),
            Ok(bytes) => match read(&bytes) {
                Ok(index) => return index,
                Err(why) => why,
            },
        };
        let kept = match keep_damaged(&place) {
            Ok(aside) => format!("it is kept as {}", aside.display()),
            Err(error) => format!("it cannot be moved aside: {error}"),
        };
        log::error!(
            target: "seawall::state",
            "the history {} cannot be used: {why}; {kept}",
            place.display(),
        );
        GenerationIndex::default()
    }

    /// Keeps contents in memory until they are written, up to a limit.
    pub(crate) fn hold(&self, blobs: &[FileBlob]) {
        let mut held = self.held();
        let mut total: u64 = held.values().map(|bytes| bytes.len() as u64).sum();
        for (sha256, bytes) in blobs {
            total = total.saturating_add(bytes.len() as u64);
            if total <= HISTORY_BYTES_MAX && !self.folder.join(sha256).exists() {
                held.insert(sha256.clone(), Arc::clone(bytes));
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the present reload status.
    pub(crate) fn remember(&self, posted: ReloadStatusSnapshot, new: &[FileBlob]) {
        self.keep(posted.history.into(), posted.aside, new);
    }

    /// Stores generations, the newest last, and those of their files that are not stored yet.
    pub(crate) fn keep(
        &self,
        generations: Vec<Arc<Past>>,
        aside: Option<RollbackPin>,
        new: &[FileBlob],
    ) {
        if let Err(error) = self.write(&written(&generations, aside), new) {
            log::error!(
                target: "seawall::state",
                "{}: {error}; a rollback to the active generation is not possible after a restart",
                self.folder.display()
            );
        }
        self.forget(&generations);
        let mut held = self.held();
        new.iter().for_each(|(sha256, _)| _ = held.remove(sha256));
    }

    fn write(&self, index: &serde_json::Result<Vec<u8>>, new: &[FileBlob]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for (sha256, bytes) in new {
            let place = self.folder.join(sha256);
            if !place.exists() {
                // Without fsync: the digest shows whether a file is complete after a crash.
                let beside = place.with_extension(BESIDE);
                let mut file = self.medium.create(&beside)?;
                self.medium.write(&mut file, bytes)?;
                self.medium.rename(&beside, &place)?;
            }
        }
        let text = index.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        put(&*self.medium, &self.folder.join(INDEX), &[text])
    }

    /// Returns the content with this digest, if it is stored and intact.
    pub(crate) fn read(&self, sha256: &str) -> Option<Vec<u8>> {
        if !is_digest(sha256) {
            return None;
        }
        if let Some(bytes) = self.held().get(sha256) {
            return Some(bytes.to_vec());
        }
        let bytes = read_file::read(&self.folder.join(sha256), LIST_BYTES_MAX).ok()?;
        (hex(&digest(&bytes)) == sha256).then_some(bytes)
    }

    /// Returns whether all of these files are stored.
    pub(crate) fn has(&self, files: &[FileDigest]) -> bool {
        let held = self.held();
        files.iter().all(|file| {
            held.contains_key(&file.sha256)
                || (is_digest(&file.sha256) && self.folder.join(&file.sha256).is_file())
        })
    }

    /// Returns the digests of all stored contents.
    pub(crate) fn all(&self) -> HashSet<String> {
        let held: Vec<String> = self.held().keys().cloned().collect();
        self.sizes().unwrap_or_default().into_keys().chain(held).collect()
    }

    /// Removes files that no generation contains, and the oldest beyond the maximum.
    fn forget(&self, generations: &[Arc<Past>]) {
        let Ok(sizes) = self.sizes() else { return };
        let wanted = within(generations, &sizes);
        for name in sizes.keys().filter(|name| !wanted.contains(name.as_str())) {
            if let Err(error) = fs::remove_file(self.folder.join(name)) {
                log::warn!(
                    target: "seawall::state",
                    "{}: {error}",
                    self.folder.join(name).display(),
                );
            }
        }
    }

    /// Returns the sizes of the stored contents by name.
    fn sizes(&self) -> io::Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // A file that a crash left incomplete is among them; no generation contains it.
            if let Some(name) = entry.file_name().to_str()
                && is_digest(name.trim_end_matches(".new"))
            {
                sizes.insert(name.to_owned(), entry.metadata()?.len());
            }
        }
        Ok(sizes)
    }
}

/// Returns the list in its stored form. Members' parts are omitted if the list would be too large
/// to read again, since members choose the length of their paths.
fn written(generations: &[Arc<Past>], aside: Option<RollbackPin>) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_vec(&Written::of(generations, aside.clone()))?;
    if text.len() as u64 <= INDEX_BYTES_MAX {
        return Ok(text);
    }
    log::warn!(
        target: "seawall::state",
        "the list of generations is too large: it is stored without members' files",
    );
    let without = |past: &Arc<Past>| {
        let parts_gone = past.parts_gone.saturating_add(past.parts.len());
        Arc::new(Past { parts: MarksOfParts::default(), parts_gone, ..Past::clone(past) })
    };
    let generations: Vec<Arc<Past>> = generations.iter().map(without).collect();
    serde_json::to_vec(&Written::of(&generations, aside))
}

fn read(bytes: &[u8]) -> Result<GenerationIndex, String> {
    /// Read first: another version has other fields.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let told = |error: serde_json::Error| error.to_string();
    let Versioned { version } = serde_json::from_slice(bytes).map_err(told)?;
    if version != VERSION {
        return Err(format!("unknown version {version}"));
    }
    let written: Written = serde_json::from_slice(bytes).map_err(told)?;
    written.read().ok_or_else(|| "it names files that it does not list".to_owned())
}

fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Returns the contents that may be kept: the newest rows of the operator's files, then members'
/// parts in the order of their [versions](retention::versions). Each kind has its own maximum
/// within that of all, and only whole rows are kept.
fn within<'p>(generations: &'p [Arc<Past>], sizes: &BTreeMap<String, u64>) -> BTreeSet<&'p str> {
    let (mut wanted, mut left) = (BTreeSet::new(), HISTORY_BYTES_MAX);
    let mut rows = 0_usize;
    let mut seen = HashSet::new();
    for past in generations.iter().rev() {
        if !seen.insert(past.files.address()) {
            continue;
        }
        let (more, bytes) = more(&past.files, &wanted, sizes);
        rows = rows.saturating_add(usize::from(!more.is_empty()));
        left = match left.checked_sub(bytes) {
            Some(left) => left,
            None if rows <= KEPT_ALWAYS => 0,
            None => break,
        };
        wanted.extend(more);
    }
    let mut left = MEMBERS_HISTORY_BYTES_MAX;
    let mut hers: HashMap<&str, u64> = HashMap::new();
    for version in retention::versions(generations.iter().map(|past| &**past)) {
        let (more, bytes) = more(version.marks, &wanted, sizes);
        if !version.in_force {
            let own = hers.entry(version.member).or_insert(MEMBER_HISTORY_BYTES_MAX);
            let (Some(all), Some(one)) = (left.checked_sub(bytes), own.checked_sub(bytes)) else {
                continue;
            };
            (left, *own) = (all, one);
        }
        wanted.extend(more);
    }
    wanted
}

/// Returns the files of a row that are not kept yet, with their bytes.
fn more<'p>(
    marks: &'p Marks,
    wanted: &BTreeSet<&'p str>,
    sizes: &BTreeMap<String, u64>,
) -> (BTreeSet<&'p str>, u64) {
    let names = marks.iter().map(|file| &*file.sha256);
    let more: BTreeSet<&str> = names.filter(|name| !wanted.contains(name)).collect();
    let bytes = more.iter().filter_map(|name| sizes.get(*name)).sum();
    (more, bytes)
}

/// A generation of no files.
#[cfg(test)]
pub(crate) fn test_past(generation: u64, cause: seawall_admin_api::ReloadCause) -> Past {
    let start = seawall_model::Tick::TEST_START;
    Past {
        generation,
        loaded_at: crate::util::clock::rfc3339(start),
        loaded_ms: start.0,
        duration_ms: 1,
        cause,
        by_uid: None,
        restored_from: None,
        root: "root.wall".into(),
        files: Marks::default(),
        parts: MarksOfParts::default(),
        parts_gone: 0,
        changed: seawall_admin_api::Changed::default(),
        content: String::new(),
        host: String::new(),
        policies: String::new(),
        host_since: generation,
        counters: seawall_admin_api::CounterReport::default(),
        tests: seawall_admin_api::TestCounts::default(),
        warnings: 0,
    }
}

#[cfg(test)]
mod tests;
