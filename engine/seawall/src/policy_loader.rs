//! Makes the policy loader for a file, the same for every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_config::{Config, Limits};
use seawall_control::is_private_dir;
use seawall_control::{CompilerProcess, ComponentCompiler, MakeBuilderFn, PolicyLoader};
use seawall_model::{Now, Prefix};
use seawall_ruleset::{
    FuelLimits, Guarded, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, SiteHosts,
    TrustedKey,
};

use crate::cli::exit::{ExitStatus, fail};

/// Name of the code cache's folder, in the state folder and in a user's cache folder.
const CODE_FOLDER: &str = "code";

/// The server that policies are loaded for; the default is one without a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyHost {
    settings: ServerSettings,
    state_dir: Option<PathBuf>,
    code: CompileMode,
}

/// How components are compiled, and where their code is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum CompileMode {
    /// This process compiles them itself.
    #[default]
    InProcess,
    /// A compiler process does; the code cache is in this folder.
    Helper(Option<PathBuf>),
}

impl PolicyHost {
    /// The host of a configuration.
    ///
    /// # Errors
    /// A key that the signatures' library does not take, which is said.
    pub(crate) fn of(config: &Config) -> Result<Self, ExitStatus> {
        let site = |site: &seawall_config::SiteConfig| SiteHosts {
            name: site.name.clone(),
            hosts: site.hosts.clone(),
            member: site.member.clone(),
        };
        let sites = config.sites.iter().map(site).collect();
        Ok(Self {
            settings: ServerSettings {
                units: config.limits.client_prefixes(),
                sites,
                trusted_keys: trusted_keys(config)?,
                guarded: guarded(config),
                fuel: fuel(&config.limits),
                today: 0,
            },
            state_dir: Some(config.state_dir.clone()),
            code: CompileMode::Helper(Some(config.state_dir.join(CODE_FOLDER))),
        })
    }

    /// Adapts it to a command, which may run under another user than the server. The server's code
    /// cache is only used by its owner; otherwise nothing is written into its folders.
    pub(crate) fn of_a_person(self) -> Self {
        let servers = match &self.code {
            CompileMode::Helper(Some(folder)) => is_private_dir(folder).unwrap_or(false),
            _ => false,
        };
        if servers { self } else { Self { code: CompileMode::Helper(persons_folder()), ..self } }
    }
}

/// The keys of the configuration, which has checked them. One that is lost would let unsigned
/// components in, so it ends the command.
pub(crate) fn trusted_keys(config: &Config) -> Result<Vec<TrustedKey>, ExitStatus> {
    let key = |text: &str| {
        let wrong = || fail(ExitStatus::InternalError, format!("`{text}` cannot be read as a key"));
        TrustedKey::parse(text).ok_or_else(wrong)
    };
    config.trusted_keys.iter().map(|text| key(text)).collect()
}

/// Returns the clients that no list should reject: those that the configuration names as the
/// operator's own, and the trusted proxies.
fn guarded(config: &Config) -> Guarded {
    let listen = config.listen.iter().chain(&config.listen_tls).map(|address| address.ip());
    let server = listen.filter(|ip| !ip.is_unspecified()).map(Prefix::host).collect();
    Guarded {
        proxies: config.trusted_proxies.networks.clone(),
        own: config.ban_exempt.clone(),
        server,
    }
}

/// What the evaluation of one request may cost.
fn fuel(limits: &Limits) -> FuelLimits {
    FuelLimits {
        decision: limits.evaluation.max_fuel,
        member: limits.evaluation.max_member_fuel,
        externs: limits.evaluation.max_extern_fuel,
        externs_ms: u64::try_from(limits.evaluation.max_extern_time.as_millis())
            .unwrap_or(u64::MAX),
    }
}

/// Returns the user's cache folder (XDG Base Directory Specification).
fn persons_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    caches.is_absolute().then(|| caches.join("seawall").join(CODE_FOLDER))
}

/// Returns a loader for `file` on a server. All loads share one sandbox.
pub(crate) fn loader(
    file: &Path,
    host: &PolicyHost,
    now: Now,
) -> Result<PolicyLoader, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let shared = sandbox.clone();
    let settings = host.settings.clone();
    let make: MakeBuilderFn = Arc::new(move |today| {
        RuleSetBuilder::new(ServerSettings { today, ..settings.clone() }, sandbox.clone())
    });
    let loader = PolicyLoader::new(file, make, shared, now.clone(), host.state_dir.as_deref())?;
    match &host.code {
        CompileMode::InProcess => Ok(loader),
        CompileMode::Helper(folder) => {
            let compiler = ComponentCompiler::new(folder.clone(), CompilerProcess::default(), now);
            Ok(loader.with_foundry(Arc::new(compiler)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_without_a_configuration_has_the_same_fuel() {
        assert_eq!(fuel(&Limits::default()), FuelLimits::default());
    }
}
