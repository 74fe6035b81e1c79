//! From a policy file's name to a loader for it, the same for every command.

use std::path::Path;
use std::sync::Arc;

use seawall_control::{Loader, MakeWorkshop};
use seawall_model::Now;
use seawall_ruleset::{HostSettings, Sandbox, SandboxLimits, Workshop};

/// A loader for `file` under the settings of a host. All loads share one sandbox.
pub(crate) fn loader(
    file: &Path,
    settings: HostSettings,
    now: Now,
) -> Result<Loader, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(SandboxLimits::default())?;
    let shared = sandbox.clone();
    let make: MakeWorkshop = Arc::new(move |today| {
        Workshop::new(HostSettings { today, ..settings.clone() }, sandbox.clone())
    });
    Ok(Loader::new(file, make, shared, now)?)
}
