//! What the control plane knows about its own doings: the last error, the last reload, history.
//!
//! In memory and short: the last [`HISTORY_MAX`] generations are what an operator goes back to
//! tonight; what is older is in version control.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_model::Tick;
use serde::Serialize;

use crate::clock::rfc3339;
use crate::outcome::{Carried, Cause, Complaint, FileMark, Outcome};

/// Generations that are remembered: DESIGN §2's figure.
pub const HISTORY_MAX: usize = 50;

/// One generation that was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Past {
    /// Its number.
    pub generation: u64,
    /// When it was published, as RFC 3339.
    pub loaded_at: String,
    /// What led to it.
    pub cause: Cause,
    /// What it was made of.
    pub files: Vec<FileMark>,
}

/// The last reload that changed something or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastReload {
    /// Milliseconds from the first look at the files to the end.
    pub took_ms: u64,
    /// What led to it.
    pub cause: Cause,
    /// What became of the counters; absent where it was refused.
    pub report: Option<Carried>,
}

/// How often reloads ended how, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Reloads {
    /// With a new generation.
    pub published: u64,
    /// With what is running already.
    pub unchanged: u64,
    /// With a refusal.
    pub refused: u64,
}

/// What is on the board.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Posted {
    /// Why the files as they stand are not what is running.
    pub last_error: Option<Complaint>,
    /// The last reload that did something.
    pub last_reload: Option<LastReload>,
    /// When the running generation was published.
    #[serde(skip)]
    pub loaded: Tick,
    /// Counts of outcomes.
    pub reloads: Reloads,
    /// The newest last.
    pub history: VecDeque<Past>,
}

/// Shared by the reloader, which writes, and the admin socket, which reads.
#[derive(Debug, Default)]
pub struct Board(Mutex<Posted>);

/// A generation to be remembered.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) generation: u64,
    pub(crate) cause: Cause,
    pub(crate) at: Tick,
    pub(crate) files: Vec<FileMark>,
}

impl Board {
    /// What is on it now.
    #[must_use]
    pub fn read(&self) -> Posted {
        self.lock().clone()
    }

    pub(crate) fn published(&self, what: Publication) {
        let mut posted = self.lock();
        posted.loaded = what.at;
        posted.last_error = None;
        if posted.history.len() >= HISTORY_MAX {
            posted.history.pop_front();
        }
        posted.history.push_back(Past {
            generation: what.generation,
            loaded_at: rfc3339(what.at),
            cause: what.cause,
            files: what.files,
        });
    }

    /// Notes how a reload ended.
    pub(crate) fn ended(&self, cause: Cause, took_ms: u64, outcome: &Outcome) {
        let mut posted = self.lock();
        match outcome {
            Outcome::Published { carried, .. } => {
                posted.reloads.published = posted.reloads.published.saturating_add(1);
                let report = Some(carried.clone());
                posted.last_reload = Some(LastReload { took_ms, cause, report });
            }
            Outcome::Unchanged { .. } => {
                posted.reloads.unchanged = posted.reloads.unchanged.saturating_add(1);
                posted.last_error = None;
            }
            Outcome::Refused { refusal, .. } => {
                posted.reloads.refused = posted.reloads.refused.saturating_add(1);
                posted.last_error = refusal.complaints.first().cloned();
                posted.last_reload = Some(LastReload { took_ms, cause, report: None });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_holds_the_newest_and_no_more_than_its_limit() {
        let board = Board::default();
        for generation in 1..=51 {
            let files = Vec::new();
            let at = Tick::TEST_START;
            board.published(Publication { generation, cause: Cause::Change, at, files });
            let held = board.read().history;
            assert_eq!(held.len() as u64, generation.min(50));
            assert_eq!(held.back().unwrap().generation, generation);
        }
        assert_eq!(board.read().history.front().unwrap().generation, 2);
    }
}
