//! What several commands have in common: the configuration, the running server, counted nouns.

use std::path::{Path, PathBuf};

use clap::Args;
use seawall_config::Config;
use seawall_control::{AdminClientError, Client, load_config};

use crate::cli::exit::{ExitStatus, fail};
use crate::policy_loader::PolicyHost;

/// The configuration in the working directory.
const CONFIG_HERE: &str = "seawall.toml";

/// The configuration of the system, used where the working directory has none.
const CONFIG_SYSTEM: &str = "/etc/seawall/seawall.toml";

/// The configuration file.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// Read FILE [default: ./seawall.toml, else /etc/seawall/seawall.toml]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Loads the configuration, or prints all its errors.
    pub(crate) fn load(&self) -> Result<Config, ExitStatus> {
        load_config(config_path(self.config.as_deref()))
            .map_err(|error| fail(ExitStatus::Failure, format!("configuration\n{error}")))
    }
}

/// Returns the configuration file: the given one, that of this folder, or that of the system.
pub(crate) fn config_path(given: Option<&Path>) -> &Path {
    match given {
        Some(path) => path,
        None if !Path::new(CONFIG_HERE).exists() && Path::new(CONFIG_SYSTEM).exists() => {
            Path::new(CONFIG_SYSTEM)
        }
        None => Path::new(CONFIG_HERE),
    }
}

/// The server that policies are checked for.
#[derive(Debug, Args)]
pub(crate) struct PolicyHostArgs {
    /// Use the sites and lists of the configuration FILE [default: none]
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl PolicyHostArgs {
    /// The configuration file, with its default where a server is needed.
    pub(crate) fn config_file(&self) -> ConfigFile {
        ConfigFile { config: self.config.clone() }
    }

    /// Loads that server's settings, or prints all errors of its configuration.
    pub(crate) fn load(&self) -> Result<PolicyHost, ExitStatus> {
        let Some(path) = &self.config else { return Ok(PolicyHost::default().of_a_person()) };
        let config = ConfigFile { config: Some(path.clone()) }.load()?;
        Ok(PolicyHost::of(&config)?.of_a_person())
    }
}

/// The running server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Connect to the admin socket at PATH [default: the configured one]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

impl ServerArgs {
    pub(crate) fn client(&self) -> Result<Client, ExitStatus> {
        match &self.socket {
            Some(path) => Ok(Client::new(path)),
            None => self.config.load().map(|config| Client::new(&config.socket)),
        }
    }

    /// Runs `with` on a client of the server; prints an error where the server cannot be reached.
    pub(crate) fn with_client(
        &self,
        with: impl Fn(&Client) -> Result<ExitStatus, AdminClientError>,
    ) -> ExitStatus {
        match self.client() {
            Ok(client) => {
                with(&client).unwrap_or_else(|error| fail(ExitStatus::Unreachable, error))
            }
            Err(exit) => exit,
        }
    }
}

/// A number with its noun: `1 ban`, `2 bans`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
