//! The reload status of the control plane: the last error, the last reload, the history.
//!
//! It is in memory and short: an operator rolls back to a recent generation, and older ones are in
//! version control. Their maximum is in `generations/retention.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_admin_api::{
    LastReload, Past, PolicyError, ReloadCause, ReloadCounts, ReloadOutcome, RollbackPin,
};
use seawall_model::Tick;

use crate::generations::retention::trim;

/// Content of the reload status.
#[derive(Debug, Clone, Default)]
pub struct ReloadStatusSnapshot {
    /// Why the present files are not active.
    pub last_error: Option<PolicyError>,
    /// The last reload that had an effect.
    pub last_reload: Option<LastReload>,
    /// When the active generation was published.
    pub loaded: Tick,
    /// Number of results.
    pub reloads: ReloadCounts,
    /// The rollback pin.
    pub aside: Option<RollbackPin>,
    /// The newest last.
    pub history: VecDeque<Arc<Past>>,
}

/// Shared by the reloader, which writes, and the admin socket, which reads.
#[derive(Debug, Default)]
pub struct ReloadStatus(Mutex<ReloadStatusSnapshot>);

impl ReloadStatus {
    /// Returns the present content.
    #[must_use]
    pub fn read(&self) -> ReloadStatusSnapshot {
        self.lock().clone()
    }

    /// Returns a status with the generations of an earlier process, the newest last.
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

    /// Returns the last published generation.
    pub(crate) fn newest(&self) -> Option<Arc<Past>> {
        self.lock().history.back().cloned()
    }

    /// Sets the rollback pin.
    pub(crate) fn set_rollback_pin(&self, aside: Option<RollbackPin>) {
        self.lock().aside = aside;
    }

    /// Records the result of a reload.
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
