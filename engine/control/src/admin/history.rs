//! History as an operator asks for it.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_admin_api::{Marks, MarksOfParts, Past};
use serde::{Deserialize, Serialize};

use crate::generations::GenerationStore;
use crate::reload::status::ReloadStatus;

/// History as an operator asks for it.
pub(crate) struct HistoryAdmin {
    pub(crate) board: Arc<ReloadStatus>,
    pub(crate) archive: GenerationStore,
}

/// A generation, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationEntry {
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

impl GenerationEntry {
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

impl HistoryAdmin {
    /// The generations, the newest last.
    pub(crate) fn list(&self) -> Vec<GenerationEntry> {
        let there = self.archive.all();
        // Most generations are made of the same rows.
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

    /// All of one generation.
    pub(crate) fn one(&self, generation: u64) -> Option<GenerationEntry> {
        let history = self.board.read().history;
        let past = history.iter().find(|past| past.generation == generation)?;
        Some(GenerationEntry::of(past, &mut |marks| self.archive.has(marks)))
    }

    /// The content with this digest, where a generation is made of it.
    pub(crate) fn content(&self, sha256: &str) -> Option<Vec<u8>> {
        self.archive.read(sha256)
    }
}
