//! What the control plane asks of others.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::admin::api::Upgraded;
use crate::level_ticker::LevelInputs;
use crate::observe::metrics::EdgeMetric;

/// Has a successor started, and says what came of it.
pub type Upgrade = Arc<dyn Fn() -> oneshot::Receiver<Upgraded> + Send + Sync>;

/// What the control plane asks of others.
pub struct Outside {
    /// The numbers of the data plane.
    pub edge: EdgeReport,
    /// What levels look at besides counters.
    pub level_inputs: LevelInputs,
    /// Which of them are metrics, with what each says.
    pub described: Vec<EdgeMetric>,
    /// Has a successor started.
    pub upgrade: Upgrade,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// Where the numbers of the data plane come from.
pub type EdgeReport = Arc<dyn Fn() -> Value + Send + Sync>;
