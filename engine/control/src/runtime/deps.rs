//! Dependencies of the control plane.

use std::sync::Arc;

use seawall_admin_api::{ProxyReport, UpgradeOutcome};
use tokio::sync::oneshot;

use crate::level_ticker::LevelInputsFn;

/// Starts an upgrade, and returns the receiver of its result.
pub type StartUpgradeFn = Arc<dyn Fn() -> oneshot::Receiver<UpgradeOutcome> + Send + Sync>;

/// Dependencies of the control plane.
pub struct ControlDeps {
    /// Report of the data plane.
    pub proxy: ProxyReportFn,
    /// Inputs of levels besides counters.
    pub level_inputs: LevelInputsFn,
    /// Starts an upgrade.
    pub upgrade: StartUpgradeFn,
}

impl std::fmt::Debug for ControlDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlDeps").finish_non_exhaustive()
    }
}

/// Returns the report of the data plane.
pub type ProxyReportFn = Arc<dyn Fn() -> ProxyReport + Send + Sync>;
