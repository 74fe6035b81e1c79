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

mod marked;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use marked::past_sources;
pub(crate) use marked::past_sources_with;
use seawall_ruleset::LIST_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::board::{Board, Past, Posted};
use crate::disk::{self, DiskError};
use crate::persist::aside::set_aside;
use crate::persist::medium::{Disk, Medium, put};
use crate::shelf::{digest, hexadecimal};

/// Most bytes of files that past generations keep; the oldest lose theirs first. The one in force
/// and the one before it keep theirs whatever their size.
pub const HISTORY_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of the list of generations: 50 of 2,000 files each fit.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Generations whose files are kept in any case.
const KEPT_ALWAYS: usize = 2;
const FOLDER: &str = "history";
const INDEX: &str = "index.json";
const VERSION: u32 = 1;
/// The ending of a file that is being written.
const BESIDE: &str = "new";

/// What is kept, besides the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    version: u32,
    /// The newest last.
    pub(crate) generations: Vec<Past>,
    /// What is on the disk and not in force.
    pub(crate) aside: Option<Aside>,
}

/// Files that a rollback put aside: they come into force when they change, or when somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Digest of what is on the disk.
    pub(crate) content: String,
    /// The generation that serves instead.
    pub serves: u64,
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
        let why = match disk::read(&place, INDEX_BYTES_MAX) {
            Err(DiskError::Missing) => return Index::default(),
            Err(error) => error.to_string(),
            Ok(bytes) => match serde_json::from_slice::<Index>(&bytes) {
                Ok(index) if index.version == VERSION => return index,
                Ok(index) => format!("it is of version {}", index.version),
                Err(error) => error.to_string(),
            },
        };
        let kept = match set_aside(&place) {
            Ok(aside) => format!("it is kept as {}", aside.display()),
            Err(error) => format!("it cannot be set aside either: {error}"),
        };
        log::error!("the history {} cannot be used: {why}; {kept}", place.display());
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
    pub(crate) fn keep(&self, generations: Vec<Past>, aside: Option<Aside>, new: &[Blob]) {
        let index = Index { version: VERSION, generations, aside };
        if let Err(error) = self.write(&index, new) {
            log::error!(
                "{}: {error}; what is in force now cannot be gone back to after a restart",
                self.folder.display()
            );
        }
        self.forget(&index.generations);
        let mut held = self.held();
        new.iter().for_each(|(sha256, _)| _ = held.remove(sha256));
    }

    fn write(&self, index: &Index, new: &[Blob]) -> io::Result<()> {
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
        let text = serde_json::to_vec(index)?;
        put(&*self.medium, &self.folder.join(INDEX), &[&text])
    }

    /// The content with this digest, where it is kept and whole.
    pub(crate) fn read(&self, sha256: &str) -> Option<Vec<u8>> {
        if !is_digest(sha256) {
            return None;
        }
        if let Some(bytes) = self.held().get(sha256) {
            return Some(bytes.to_vec());
        }
        let bytes = disk::read(&self.folder.join(sha256), LIST_BYTES_MAX).ok()?;
        (hexadecimal(&digest(&bytes)) == sha256).then_some(bytes)
    }

    /// Whether all files of a generation are kept.
    pub(crate) fn has(&self, past: &Past) -> bool {
        let held = self.held();
        past.files.iter().all(|file| {
            held.contains_key(&file.sha256)
                || (is_digest(&file.sha256) && self.folder.join(&file.sha256).is_file())
        })
    }

    /// Removes what no generation names, and of the oldest what is too much.
    fn forget(&self, generations: &[Past]) {
        let Ok(sizes) = self.sizes() else { return };
        let wanted = within(generations, &sizes, HISTORY_BYTES_MAX);
        for name in sizes.keys().filter(|name| !wanted.contains(name.as_str())) {
            if let Err(error) = fs::remove_file(self.folder.join(name)) {
                log::warn!("{}: {error}", self.folder.join(name).display());
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
    /// What is known of it.
    #[serde(flatten)]
    pub past: Past,
    /// Whether its files are there to go back to.
    pub files_kept: bool,
}

impl HistoryDesk {
    /// The generations, the newest last.
    pub(crate) fn list(&self) -> Vec<PastLine> {
        let history = self.board.read().history.into_iter();
        history.map(|past| PastLine { files_kept: self.archive.has(&past), past }).collect()
    }

    /// The content with this digest, where a generation is made of it.
    pub(crate) fn content(&self, sha256: &str) -> Option<Vec<u8>> {
        self.archive.read(sha256)
    }
}

fn is_digest(name: &str) -> bool {
    name.len() == 64
        && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The contents that fit into `bytes_max`, the newest generations' first, whole generations only.
fn within<'p>(
    generations: &'p [Past],
    sizes: &BTreeMap<String, u64>,
    bytes_max: u64,
) -> BTreeSet<&'p str> {
    let (mut wanted, mut total) = (BTreeSet::new(), 0_u64);
    for (nth, past) in generations.iter().rev().enumerate() {
        let names: BTreeSet<&str> = past.files.iter().map(|file| &*file.sha256).collect();
        let more: Vec<&str> = names.difference(&wanted).copied().collect();
        let bytes = more.iter().filter_map(|name| sizes.get(*name)).sum();
        total = total.saturating_add(bytes);
        if nth >= KEPT_ALWAYS && total > bytes_max {
            break;
        }
        wanted.extend(more);
    }
    wanted
}

#[cfg(test)]
mod tests;
