//! What a person may type.

mod bans;
mod check;
mod compile;
mod diff;
mod duration;
pub(crate) mod exit;
mod explain;
mod fields;
mod fmt;
mod history;
mod level;
mod reload;
mod rule;
mod status;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use seawall_control::{Client, ClientError, Config, load_config};

use crate::cli::exit::{Exit, fail};
use crate::policy_loader::Host;

/// The configuration of this folder.
const CONFIG_HERE: &str = "seawall.toml";
/// The system's, where this folder has none.
const CONFIG_SYSTEM: &str = "/etc/seawall/seawall.toml";

/// Stands in front of your sites and refuses what is hostile.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true)]
pub(crate) struct Line {
    #[command(subcommand)]
    pub(crate) word: Word,
}

/// The words.
#[derive(Debug, Subcommand)]
pub(crate) enum Word {
    /// Defend the sites of a configuration
    Run(crate::server::Run),
    /// Say what is wrong with policies
    Check(check::Check),
    /// Write policies in the one way of writing them
    Fmt(fmt::Fmt),
    /// Run the tests that stand in policies
    Test(test::Test),
    /// Say for one request what every rule did, and why
    Explain(Box<explain::Explain>),
    /// List what a policy may look at
    Fields(fields::Fields),
    /// Begin, build, try and look at rules in WebAssembly
    #[command(subcommand)]
    Rule(rule::Rule),
    /// Say what the running server does
    Status(status::Status),
    /// Have the running server read its policy again
    Reload(reload::Reload),
    /// Have the running server hand over to the program on the disk
    Upgrade(crate::server::upgrade::Upgrade),
    /// List the last generations, or show one
    History(history::History),
    /// Say what two generations say differently
    Diff(history::Diff),
    /// Put the host's files of an earlier generation in force again
    Rollback(history::Rollback),
    /// Put a level in force by hand, for a while
    Level(level::Level),
    /// List, set and end bans of the running server
    #[command(subcommand)]
    Bans(bans::Bans),
    /// What `seawall` starts by itself: compiles a component, confined
    #[command(hide = true)]
    Compile(compile::Compile),
}

impl Word {
    /// Does it.
    pub(crate) fn obey(&self) -> Exit {
        match self {
            Self::Run(run) => run.obey(),
            Self::Check(check) => check.obey(),
            Self::Fmt(fmt) => fmt.obey(),
            Self::Test(test) => test.obey(),
            Self::Explain(explain) => explain.obey(),
            Self::Fields(fields) => fields.obey(),
            Self::Rule(rule) => rule.obey(),
            Self::Status(status) => status.obey(),
            Self::Reload(reload) => reload.obey(),
            Self::Upgrade(upgrade) => upgrade.obey(),
            Self::History(history) => history.obey(),
            Self::Diff(diff) => diff.obey(),
            Self::Rollback(rollback) => rollback.obey(),
            Self::Level(level) => level.obey(),
            Self::Bans(bans) => bans.obey(),
            Self::Compile(compile) => compile.obey(),
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
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
    pub(crate) fn load(&self) -> Result<Config, Exit> {
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if !Path::new(CONFIG_HERE).exists() && Path::new(CONFIG_SYSTEM).exists() => {
                Path::new(CONFIG_SYSTEM)
            }
            None => Path::new(CONFIG_HERE),
        };
        load_config(path).map_err(|error| fail(Exit::Wrong, format!("configuration\n{error}")))
    }
}

/// For which host policies are looked at.
#[derive(Debug, Args)]
pub(crate) struct ForHost {
    /// The configuration of the host they are for: its sites, units and kept lists [default: none]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ForHost {
    /// The configuration that is meant where one must be.
    fn config_file(&self) -> ConfigFile {
        ConfigFile { config: self.config.clone() }
    }

    /// That host, or everything that is wrong with its configuration.
    fn load(&self) -> Result<Host, Exit> {
        let Some(path) = &self.config else { return Ok(Host::default().of_a_person()) };
        let config = ConfigFile { config: Some(path.clone()) }.load()?;
        Ok(Host::of(&config).of_a_person())
    }
}

/// Which running server.
#[derive(Debug, Args)]
pub(crate) struct Server {
    #[command(flatten)]
    config: ConfigFile,
    /// The admin socket [default: the configuration's]
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

impl Server {
    fn client(&self) -> Result<Client, Exit> {
        match &self.socket {
            Some(path) => Ok(Client::new(path)),
            None => self.config.load().map(|config| Client::new(&config.socket)),
        }
    }

    /// Asks it, where it can be reached.
    pub(crate) fn ask(&self, with: impl Fn(&Client) -> Result<Exit, ClientError>) -> Exit {
        match self.client() {
            Ok(client) => with(&client).unwrap_or_else(|error| fail(Exit::Unreachable, error)),
            Err(exit) => exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Line::command().debug_assert();
    }

    #[test]
    fn a_missing_word_or_file_is_a_usage_error() {
        for line in [
            &["seawall", "sail"][..],
            &["seawall", "check"],
            &["seawall", "fmt"],
            &["seawall", "test"],
            &["seawall", "explain"],
            &["seawall", "rule"],
            &["seawall", "level"],
            &["seawall", "diff"],
            &["seawall", "rollback", "yesterday"],
            &["seawall", "history", "--write", "there"],
            &["seawall", "level", "attack"],
            &["seawall", "level", "attack", "--end"],
            &["seawall", "bans", "add", "192.0.2.7"],
            &["seawall", "rule", "new", "--lang", "cobol", "hello"],
            &["seawall", "rule", "inspect"],
        ] {
            assert_eq!(Line::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
