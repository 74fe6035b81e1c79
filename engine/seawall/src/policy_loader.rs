//! From a policy file's name to a loader for it, the same for every command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use seawall_control::is_private_dir;
use seawall_control::{CompilerProcess, ComponentCompiler, Config, MakeBuilderFn, PolicyLoader};
use seawall_model::{Now, Prefix};
use seawall_ruleset::{
    FuelLimits, Guarded, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, SiteHosts,
};

/// The folder of compiled components, in the state folder and in a person's.
const CODE_FOLDER: &str = "code";

/// The host that policies are loaded for; the default is one without a configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct PolicyHost {
    settings: ServerSettings,
    state_dir: Option<PathBuf>,
    code: CompileMode,
}

/// Who compiles components, and where their code is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum CompileMode {
    /// This process compiles them itself.
    #[default]
    InProcess,
    /// A process of its own does; the code lies in this folder.
    Helper(Option<PathBuf>),
}

impl PolicyHost {
    /// The host of a configuration.
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

    /// The same for a command that a person types, who need not be whom the server runs as: code
    /// that the server keeps is used where it is theirs, and nothing is put into its folders else.
    pub(crate) fn of_a_person(self) -> Self {
        let servers = match &self.code {
            CompileMode::Helper(Some(folder)) => is_private_dir(folder).unwrap_or(false),
            _ => false,
        };
        if servers { self } else { Self { code: CompileMode::Helper(persons_folder()), ..self } }
    }
}

/// Whom no list should have refused: who the configuration names as the operator's own, and the
/// proxies through which everybody comes.
fn guarded(config: &Config) -> Guarded {
    let listen = config.listen.iter().chain(&config.listen_tls).map(|address| address.ip());
    let server = listen.filter(|ip| !ip.is_unspecified()).map(Prefix::host).collect();
    Guarded { proxies: config.trusted_proxies.nets.clone(), own: config.never_ban.clone(), server }
}

/// What one request may cost: what the configuration says, else the defaults.
fn fuel(limits: &seawall_control::Limits) -> FuelLimits {
    let usual = FuelLimits::default();
    FuelLimits {
        decision: limits.decision_fuel.unwrap_or(usual.decision),
        member: limits.member_fuel.unwrap_or(usual.member),
        externs: limits.extern_fuel.unwrap_or(usual.externs),
        externs_ms: limits.extern_ms.unwrap_or(usual.externs_ms),
    }
}

/// Where a person's programs keep what can be made anew (XDG Base Directory Specification).
fn persons_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let caches = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    caches.is_absolute().then(|| caches.join("seawall").join(CODE_FOLDER))
}

/// A loader for `file` on a host. All loads share one sandbox.
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
