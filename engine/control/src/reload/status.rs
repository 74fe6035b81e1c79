//! The reload status of the control plane: the last error, the last reload, the history.
//!
//! It is in memory and short: an operator rolls back to a recent generation, and older ones are in
//! version control. Their maximum is in `generations/retention.rs`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use seawall_model::Tick;
use serde::Serialize;

use crate::admin::api::{PolicyError, ReloadCause, ReloadOutcome};
use crate::generations::record::{Past, RollbackPin};
use crate::generations::retention::trim;
use crate::reload::counter_report::CounterReport;

/// The last reload that changed something or was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastReload {
    /// Duration in milliseconds, from the first read of the files.
    pub took_ms: u64,
    /// The cause.
    pub cause: ReloadCause,
    /// What happened to the counters; absent after a rejection.
    pub report: Option<CounterReport>,
}

/// Number of reloads by result, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReloadCounts {
    /// A new generation was published.
    pub published: u64,
    /// Nothing changed.
    pub unchanged: u64,
    /// The policy was rejected.
    pub refused: u64,
}

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
    pub(crate) fn record_outcome(&self, cause: ReloadCause, took_ms: u64, outcome: &ReloadOutcome) {
        let mut posted = self.lock();
        match outcome {
            ReloadOutcome::Published { carried, .. } => {
                posted.reloads.published = posted.reloads.published.saturating_add(1);
                let report = Some(carried.clone());
                posted.last_reload = Some(LastReload { took_ms, cause, report });
            }
            ReloadOutcome::Unchanged { .. } => {
                posted.reloads.unchanged = posted.reloads.unchanged.saturating_add(1);
                posted.last_error = None;
            }
            ReloadOutcome::Rejected { refusal, .. } => {
                posted.reloads.refused = posted.reloads.refused.saturating_add(1);
                posted.last_error = refusal.errors.first().cloned();
                posted.last_reload = Some(LastReload { took_ms, cause, report: None });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReloadStatusSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
