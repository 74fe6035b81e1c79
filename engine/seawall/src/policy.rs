//! From a policy file's name to a loader for it, the same for every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_control::{Config, Loader, MakeWorkshop};
use seawall_model::Now;
use seawall_ruleset::{HostSettings, Sandbox, SandboxLimits, SiteHosts, Workshop};

/// The host that policies are loaded for; the default is one without a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host {
    settings: HostSettings,
    state_dir: Option<PathBuf>,
}

impl Host {
    /// The host of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let site = |site: &seawall_control::SiteConfig| SiteHosts {
            name: site.name.clone(),
            hosts: site.hosts.clone(),
            member: site.member.clone(),
        };
        let sites = config.sites.iter().map(site).collect();
        Self {
            settings: HostSettings { units: config.units, sites, today: 0 },
            state_dir: Some(config.state_dir.clone()),
        }
    }
}

/// A loader for `file` on a host. All loads share one sandbox.
pub(crate) fn loader(
    file: &Path,
    host: &Host,
    now: Now,
) -> Result<Loader, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let shared = sandbox.clone();
    let settings = host.settings.clone();
    let make: MakeWorkshop = Arc::new(move |today| {
        Workshop::new(HostSettings { today, ..settings.clone() }, sandbox.clone())
    });
    Ok(Loader::new(file, make, shared, now, host.state_dir.as_deref())?)
}
