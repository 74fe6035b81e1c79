//! Makes the policy loader for a file, the same for every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_control::is_private_dir;
use seawall_control::{CompilerProcess, ComponentCompiler, Config, MakeBuilderFn, PolicyLoader};
use seawall_model::{Now, Prefix};
use seawall_ruleset::{
    FuelLimits, Guarded, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, SiteHosts,
};

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
    /// Returns the server of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let site = |site: &seawall_control::SiteConfig| SiteHosts {
            name: site.name.clone(),
            hosts: site.hosts.clone(),
            member: site.member.clone(),
        };
        let sites = config.sites.iter().map(site).collect();
        Self {
            settings: ServerSettings {
                units: config.units,
                sites,
                trusted_keys: config.trusted_keys.clone(),
                guarded: guarded(config),
                fuel: fuel(&config.limits),
                today: 0,
            },
            state_dir: Some(config.state_dir.clone()),
            code: CompileMode::Helper(Some(config.state_dir.join(CODE_FOLDER))),
        }
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

/// Returns the clients that no list should reject: those that the configuration names as the
/// operator's own, and the trusted proxies.
fn guarded(config: &Config) -> Guarded {
    let listen = config.listen.iter().chain(&config.listen_tls).map(|address| address.ip());
    let server = listen.filter(|ip| !ip.is_unspecified()).map(Prefix::host).collect();
    Guarded { proxies: config.trusted_proxies.nets.clone(), own: config.never_ban.clone(), server }
}

/// Returns the fuel of one request: that of the configuration, or the default.
fn fuel(limits: &seawall_control::Limits) -> FuelLimits {
    let usual = FuelLimits::default();
    FuelLimits {
        decision: limits.decision_fuel.unwrap_or(usual.decision),
        member: limits.member_fuel.unwrap_or(usual.member),
        externs: limits.extern_fuel.unwrap_or(usual.externs),
        externs_ms: limits.extern_ms.unwrap_or(usual.externs_ms),
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
