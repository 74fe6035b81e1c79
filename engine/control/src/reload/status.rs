//! What the control plane knows about its own doings: the last error, the last reload, history.
//!
//! In memory and short: the last generations are what an operator goes back to tonight; what is
//! older is in version control. How many of them there are is in `generations/retention.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_admin_api::{
    LastReload, Past, PolicyError, ReloadCause, ReloadCounts, ReloadOutcome, RollbackPin,
};
use seawall_model::Tick;

use crate::generations::retention::trim;

/// What is on the board.
#[derive(Debug, Clone, Default)]
pub struct ReloadStatusSnapshot {
    /// Why the files as they stand are not what is running.
    pub last_error: Option<PolicyError>,
    /// The last reload that did something.
    pub last_reload: Option<LastReload>,
    /// When the running generation was published.
    pub loaded: Tick,
    /// Counts of outcomes.
    pub reloads: ReloadCounts,
    /// What is on the disk and not in force, since somebody went back.
    pub aside: Option<RollbackPin>,
    /// The newest last.
    pub history: VecDeque<Arc<Past>>,
}

/// Shared by the reloader, which writes, and the admin socket, which reads.
#[derive(Debug, Default)]
pub struct ReloadStatus(Mutex<ReloadStatusSnapshot>);

impl ReloadStatus {
    /// What is on it now.
    #[must_use]
    pub fn read(&self) -> ReloadStatusSnapshot {
        self.lock().clone()
    }

    /// With the generations of an earlier process, the newest last.
    pub(crate) fn remembering(history: Vec<Arc<Past>>) -> Self {
        Self(Mutex::new(ReloadStatusSnapshot {
            history: history.into(),
            ..ReloadStatusSnapshot::default()
        }))
    }

    pub(crate) fn published(&self, what: Past) {
        let mut posted = self.lock();
        posted.loaded = Tick(what.loaded_ms);
        posted.last_error = None;
        posted.history.push_back(Arc::new(what));
        trim(&mut posted.history);
    }

    /// The generation that was published last.
    pub(crate) fn newest(&self) -> Option<Arc<Past>> {
        self.lock().history.back().cloned()
    }

    /// Notes which files are on the disk and not in force.
    pub(crate) fn set_rollback_pin(&self, aside: Option<RollbackPin>) {
        self.lock().aside = aside;
    }

    /// Notes how a reload ended.
    pub(crate) fn record_outcome(
        &self,
        cause: ReloadCause,
        duration_ms: u64,
        outcome: &ReloadOutcome,
    ) {
        let mut posted = self.lock();
        match outcome {
            ReloadOutcome::Published { counters, .. } => {
                posted.reloads.published = posted.reloads.published.saturating_add(1);
                let counters = Some(counters.clone());
                posted.last_reload = Some(LastReload { duration_ms, cause, counters });
            }
            ReloadOutcome::Unchanged { .. } => {
                posted.reloads.unchanged = posted.reloads.unchanged.saturating_add(1);
                posted.last_error = None;
            }
            ReloadOutcome::Rejected { rejection, .. } => {
                posted.reloads.rejected = posted.reloads.rejected.saturating_add(1);
                posted.last_error = rejection.errors.first().cloned();
                posted.last_reload = Some(LastReload { duration_ms, cause, counters: None });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReloadStatusSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
