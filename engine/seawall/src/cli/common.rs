//! Words that several commands have in common: which configuration, which server, how to print.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use seawall_config::Config;
use seawall_control::{AdminClientError, Client, load_config};

use crate::cli::exit::{ExitStatus, fail};
use crate::policy_loader::PolicyHost;

/// The configuration of this folder.
const CONFIG_HERE: &str = "seawall.toml";

/// The system's, where this folder has none.
const CONFIG_SYSTEM: &str = "/etc/seawall/seawall.toml";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Human,
    /// For tools.
    Json,
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigFile {
    /// The configuration [default: seawall.toml here, else in /etc/seawall]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// Reads it, or tells everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Config, ExitStatus> {
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if !Path::new(CONFIG_HERE).exists() && Path::new(CONFIG_SYSTEM).exists() => {
                Path::new(CONFIG_SYSTEM)
            }
            None => Path::new(CONFIG_HERE),
        };
        load_config(path)
            .map_err(|error| fail(ExitStatus::Failure, format!("configuration\n{error}")))
    }
}

/// For which host policies are looked at.
#[derive(Debug, Args)]
pub(crate) struct PolicyHostArgs {
    /// The configuration of the host they are for: its sites, units and kept lists [default: none]
    #[arg(short, long = "config", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl PolicyHostArgs {
    /// The configuration that is meant where one must be.
    pub(crate) fn config_file(&self) -> ConfigFile {
        ConfigFile { config: self.config.clone() }
    }

    /// That host, or everything that is wrong with its configuration.
    pub(crate) fn load(&self) -> Result<PolicyHost, ExitStatus> {
        let Some(path) = &self.config else { return Ok(PolicyHost::default().of_a_person()) };
        let config = ConfigFile { config: Some(path.clone()) }.load()?;
        Ok(PolicyHost::of(&config)?.of_a_person())
    }
}

/// Which running server.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The admin socket [default: the configuration's]
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

    /// Asks it, where it can be reached.
    pub(crate) fn ask(
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
