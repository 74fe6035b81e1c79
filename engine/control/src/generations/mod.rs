//! The last generations with their files, so that there is something to go back to.
//!
//! A generation is a list of files by their digests, and each content is kept once however many
//! generations hold it. All of it lies in the folder for what outlives the process, since the
//! person who goes back to yesterday's policy may have restarted the server first. What a file
//! holds is checked against its digest when it is read, and the list of generations is written over
//! the old one in one step, so that half of either is never believed.
//!
//! Where this does not help: where the folder cannot be written to, generations are remembered
//! without their files, and that is told.

mod contents;
mod index;
mod retention;
mod sources;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use contents::{Known, Made, Occasion};
pub(crate) use index::Index;
use index::{VERSION, Written};
pub(crate) use retention::trim;
pub use retention::{
    Changed, DATA_HISTORY_MAX, HISTORY_MAX, HostChange, MEMBER_HISTORY_MAX,
    MEMBERS_HISTORY_FILES_MAX, MEMBERS_HISTORY_MAX,
};
use seawall_ruleset::LIST_BYTES_MAX;
use serde::{Deserialize, Serialize};
pub use sources::past_sources;
pub(crate) use sources::{past_host, past_members};

use crate::admin::api::FileMark;
use crate::policy_source::list_cache::{digest, hexadecimal};
use crate::policy_source::read_file::{self, DiskError};
use crate::reload::status::{Board, Past, Posted};
use crate::storage::atomic_write::{Disk, Medium, put};
use crate::storage::damaged::set_aside;

/// Most bytes of the host's files that past generations keep; the oldest lose theirs first. Those in
/// force and those before them are kept whatever their size.
pub const HISTORY_BYTES_MAX: u64 = 256 << 20;
/// Most bytes of members' files that past generations keep, beside those in force.
pub const MEMBERS_HISTORY_BYTES_MAX: u64 = 256 << 20;
/// The same of one member.
pub const MEMBER_HISTORY_BYTES_MAX: u64 = 32 << 20;
/// The most bytes of the list of generations: 100 of 2,000 files of the host, and the files of all
/// members.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Rows of the host's files that are kept in any case.
const KEPT_ALWAYS: usize = 2;
const FOLDER: &str = "history";
const INDEX: &str = "index.json";
/// The ending of a file that is being written.
const BESIDE: &str = "new";

/// Files of one owner. A copy is the same row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<FileMark>", into = "Vec<FileMark>")]
pub struct Marks(Arc<[FileMark]>);

/// The files of members' parts, by the member's name.
pub type MarksOfParts = BTreeMap<Box<str>, Marks>;

impl Marks {
    /// Equal for copies of one row.
    fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl Deref for Marks {
    type Target = [FileMark];

    fn deref(&self) -> &[FileMark] {
        &self.0
    }
}

impl From<Vec<FileMark>> for Marks {
    fn from(files: Vec<FileMark>) -> Self {
        Self(files.into())
    }
}

impl From<Marks> for Vec<FileMark> {
    fn from(marks: Marks) -> Self {
        marks.0.to_vec()
    }
}

/// Files on the disk that a rollback put aside: they come into force when they change, or when
/// somebody asks. The host's and each member's by themselves, so that what one of them saves brings
/// nothing back of another's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// The host's.
    #[serde(flatten)]
    pub host: Option<Left>,
    /// Members', by name.
    #[serde(default)]
    pub members: BTreeMap<Box<str>, Left>,
}

/// What lies on the disk and is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its digest.
    pub(crate) content: String,
    /// The generation whose files serve instead.
    pub serves: u64,
}

impl Aside {
    /// Nothing where there is none.
    pub(crate) fn or_none(self) -> Option<Self> {
        (self.host.is_some() || !self.members.is_empty()).then_some(self)
    }
}

/// The content of a file with its digest in hexadecimal digits.
pub(crate) type Blob = (String, Arc<[u8]>);

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    folder: PathBuf,
    medium: Arc<dyn Medium>,
    /// Contents that are still to be written.
    held: Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>,
}

impl Archive {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(FOLDER), medium: Arc::new(Disk), held: Arc::default() }
    }

    /// What was kept last; nothing where it cannot be used, which is told.
    pub(crate) fn load(&self) -> Index {
        let place = self.folder.join(INDEX);
        let why = match read_file::read(&place, INDEX_BYTES_MAX) {
            Err(DiskError::Missing) => return Index::default(),
            Err(error) => error.to_string(),
            Ok(bytes) => match read(&bytes) {
                Ok(index) => return index,
                Err(why) => why,
            },
        };
        let kept = match set_aside(&place) {
            Ok(aside) => format!("it is kept as {}", aside.display()),
            Err(error) => format!("it cannot be set aside either: {error}"),
        };
        log::error!(
            target: "seawall::state",
            "the history {} cannot be used: {why}; {kept}",
            place.display(),
        );
        Index::default()
    }

    /// Has contents at hand until they are written, as far as there is room.
    pub(crate) fn hold(&self, blobs: &[Blob]) {
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

    /// Keeps what is on the board.
    pub(crate) fn remember(&self, posted: Posted, new: &[Blob]) {
        self.keep(posted.history.into(), posted.aside, new);
    }

    /// Keeps generations, the newest last, and of their files those that are not kept yet.
    pub(crate) fn keep(&self, generations: Vec<Arc<Past>>, aside: Option<Aside>, new: &[Blob]) {
        if let Err(error) = self.write(&written(&generations, aside), new) {
            log::error!(
                target: "seawall::state",
                "{}: {error}; what is in force now cannot be gone back to after a restart",
                self.folder.display()
            );
        }
        self.forget(&generations);
        let mut held = self.held();
        new.iter().for_each(|(sha256, _)| _ = held.remove(sha256));
    }

    fn write(&self, index: &serde_json::Result<Vec<u8>>, new: &[Blob]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for (sha256, bytes) in new {
            let place = self.folder.join(sha256);
            if !place.exists() {
                // Not waited for: what a crash leaves of it is told from the whole by its digest.
                let beside = place.with_extension(BESIDE);
                let mut file = self.medium.create(&beside)?;
                self.medium.write(&mut file, bytes)?;
                self.medium.rename(&beside, &place)?;
            }
        }
        let text = index.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        put(&*self.medium, &self.folder.join(INDEX), &[text])
    }

    /// The content with this digest, where it is kept and whole.
    pub(crate) fn read(&self, sha256: &str) -> Option<Vec<u8>> {
        if !is_digest(sha256) {
            return None;
        }
        if let Some(bytes) = self.held().get(sha256) {
            return Some(bytes.to_vec());
        }
        let bytes = read_file::read(&self.folder.join(sha256), LIST_BYTES_MAX).ok()?;
        (hexadecimal(&digest(&bytes)) == sha256).then_some(bytes)
    }

    /// Whether all of these files are kept.
    pub(crate) fn has(&self, files: &[FileMark]) -> bool {
        let held = self.held();
        files.iter().all(|file| {
            held.contains_key(&file.sha256)
                || (is_digest(&file.sha256) && self.folder.join(&file.sha256).is_file())
        })
    }

    /// The digests of all contents that are kept.
    fn all(&self) -> HashSet<String> {
        let held: Vec<String> = self.held().keys().cloned().collect();
        self.sizes().unwrap_or_default().into_keys().chain(held).collect()
    }

    /// Removes what no generation names, and of the oldest what is too much.
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

    /// The kept contents by name with their bytes.
    fn sizes(&self) -> io::Result<BTreeMap<String, u64>> {
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // What a crash left half written is among them, and no generation names it.
            if let Some(name) = entry.file_name().to_str()
                && is_digest(name.trim_end_matches(".new"))
            {
                sizes.insert(name.to_owned(), entry.metadata()?.len());
            }
        }
        Ok(sizes)
    }
}

/// History as an operator asks for it.
pub(crate) struct HistoryDesk {
    pub(crate) board: Arc<Board>,
    pub(crate) archive: Archive,
}

/// A generation, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastLine {
    /// What is known of it; in a list of generations without what members' parts were made of.
    #[serde(flatten)]
    pub past: Past,
    /// Whether the host's files are there to go back to.
    pub files_kept: bool,
    /// Members with a part in force.
    pub members: usize,
    /// Whether the files of all these parts are there to go back to.
    pub members_kept: bool,
}

impl PastLine {
    /// All of a generation, where `kept` says whether the files of a row are there.
    fn of(past: &Past, kept: &mut dyn FnMut(&Marks) -> bool) -> Self {
        Self {
            files_kept: kept(&past.files),
            members: past.parts.len().saturating_add(past.parts_gone),
            members_kept: past.parts_gone == 0 && past.parts.values().all(kept),
            past: past.clone(),
        }
    }
}

impl HistoryDesk {
    /// The generations, the newest last.
    pub(crate) fn list(&self) -> Vec<PastLine> {
        let there = self.archive.all();
        // Most generations are made of the same rows.
        let mut known: HashMap<usize, bool> = HashMap::new();
        let mut kept = |marks: &Marks| {
            let all = || marks.iter().all(|file| there.contains(&file.sha256));
            *known.entry(marks.address()).or_insert_with(all)
        };
        let mut line = |past: &Arc<Past>| {
            let line = PastLine::of(past, &mut kept);
            PastLine { past: Past { parts: MarksOfParts::default(), ..line.past }, ..line }
        };
        self.board.read().history.iter().map(&mut line).collect()
    }

    /// All of one generation.
    pub(crate) fn one(&self, generation: u64) -> Option<PastLine> {
        let history = self.board.read().history;
        let past = history.iter().find(|past| past.generation == generation)?;
        Some(PastLine::of(past, &mut |marks| self.archive.has(marks)))
    }

    /// The content with this digest, where a generation is made of it.
    pub(crate) fn content(&self, sha256: &str) -> Option<Vec<u8>> {
        self.archive.read(sha256)
    }
}

/// The list as it is written: without members' parts where it would be too large to be read again,
/// since their paths are as long as they want them.
fn written(generations: &[Arc<Past>], aside: Option<Aside>) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_vec(&Written::of(generations, aside.clone()))?;
    if text.len() as u64 <= INDEX_BYTES_MAX {
        return Ok(text);
    }
    log::warn!(
        target: "seawall::state",
        "the list of generations is too large: it is kept without members' files",
    );
    let without = |past: &Arc<Past>| {
        let parts_gone = past.parts_gone.saturating_add(past.parts.len());
        Arc::new(Past { parts: MarksOfParts::default(), parts_gone, ..Past::clone(past) })
    };
    let generations: Vec<Arc<Past>> = generations.iter().map(without).collect();
    serde_json::to_vec(&Written::of(&generations, aside))
}

fn read(bytes: &[u8]) -> Result<Index, String> {
    /// Read first: another version has other fields.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let told = |error: serde_json::Error| error.to_string();
    let Versioned { version } = serde_json::from_slice(bytes).map_err(told)?;
    if version != VERSION {
        return Err(format!("it is of version {version}"));
    }
    let written: Written = serde_json::from_slice(bytes).map_err(told)?;
    written.read().ok_or_else(|| "it names files that it does not list".to_owned())
}

fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The contents that may be kept: of the host's files the newest rows first, and then members' parts
/// in the order of their [versions](retention::versions), each with a room of its own in that of all.
/// Whole rows only.
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

/// What is not wanted yet of a row, with its bytes.
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

#[cfg(test)]
mod tests;
