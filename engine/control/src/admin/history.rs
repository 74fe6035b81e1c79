//! The history of generations on the admin socket.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_admin_api::{Marks, MarksOfParts, Past};
use serde::{Deserialize, Serialize};

use crate::generations::GenerationStore;
use crate::reload::status::ReloadStatus;

/// Returns generations and their files.
pub(crate) struct HistoryAdmin {
    pub(crate) board: Arc<ReloadStatus>,
    pub(crate) archive: GenerationStore,
}

/// A generation in a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationEntry {
    /// Its record; in a list of generations without the files of members' parts.
    #[serde(flatten)]
    pub past: Past,
    /// Whether the operator's files are stored, for a rollback.
    pub files_kept: bool,
    /// Number of members with an active part.
    pub members: usize,
    /// Whether the files of all these parts are stored, for a rollback.
    pub members_kept: bool,
}

impl GenerationEntry {
    /// Returns all of a generation; `kept` tells whether the files of a row are stored.
    fn of(past: &Past, kept: &mut dyn FnMut(&Marks) -> bool) -> Self {
        Self {
            files_kept: kept(&past.files),
            members: past.parts.len().saturating_add(past.parts_gone),
            members_kept: past.parts_gone == 0 && past.parts.values().all(kept),
            past: past.clone(),
        }
    }
}

impl HistoryAdmin {
    /// Returns the generations, the newest last.
    pub(crate) fn list(&self) -> Vec<GenerationEntry> {
        let there = self.archive.all();
        // Most generations share their rows.
        let mut known: HashMap<usize, bool> = HashMap::new();
        let mut kept = |marks: &Marks| {
            let all = || marks.iter().all(|file| there.contains(&file.sha256));
            *known.entry(marks.address()).or_insert_with(all)
        };
        let mut line = |past: &Arc<Past>| {
            let line = GenerationEntry::of(past, &mut kept);
            GenerationEntry { past: Past { parts: MarksOfParts::default(), ..line.past }, ..line }
        };
        self.board.read().history.iter().map(&mut line).collect()
    }

    /// Returns all of one generation.
    pub(crate) fn one(&self, generation: u64) -> Option<GenerationEntry> {
        let history = self.board.read().history;
        let past = history.iter().find(|past| past.generation == generation)?;
        Some(GenerationEntry::of(past, &mut |marks| self.archive.has(marks)))
    }

    /// Returns the file with this digest, if a generation contains it.
    pub(crate) fn content(&self, sha256: &str) -> Option<Vec<u8>> {
        self.archive.read(sha256)
    }
}
