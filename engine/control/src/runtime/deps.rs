//! What the control plane asks of others.

use std::sync::Arc;

use seawall_admin_api::{ProxyReport, UpgradeOutcome};
use tokio::sync::oneshot;

use crate::level_ticker::LevelInputsFn;

/// Has a successor started, and says what came of it.
pub type StartUpgradeFn = Arc<dyn Fn() -> oneshot::Receiver<UpgradeOutcome> + Send + Sync>;

/// What the control plane asks of others.
pub struct ControlDeps {
    /// The numbers of the data plane.
    pub proxy: ProxyReportFn,
    /// What levels look at besides counters.
    pub level_inputs: LevelInputsFn,
    /// Has a successor started.
    pub upgrade: StartUpgradeFn,
}

impl std::fmt::Debug for ControlDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlDeps").finish_non_exhaustive()
    }
}

/// Where the numbers of the data plane come from.
pub type ProxyReportFn = Arc<dyn Fn() -> ProxyReport + Send + Sync>;
