//! What a person may type.

mod bans;
mod check;
pub(crate) mod common;
mod compile;
mod config;
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
mod run;
mod status;
mod test;
mod upgrade;

use clap::{Parser, Subcommand};

use crate::cli::exit::ExitStatus;

/// Stands in front of your sites and refuses what is hostile.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) word: Command,
}

/// The words.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Defend the sites of a configuration
    Run(run::Run),
    /// Say what is wrong with policies
    Check(check::Check),
    /// Check configuration files, or show the effective configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
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
    Upgrade(upgrade::Upgrade),
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

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> ExitStatus {
        match self {
            Self::Run(run) => run.obey(),
            Self::Check(check) => check.obey(),
            Self::Config(config) => config.obey(),
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_missing_word_or_file_is_a_usage_error() {
        for line in [
            &["seawall", "sail"][..],
            &["seawall", "check"],
            &["seawall", "config"],
            &["seawall", "config", "check"],
            &["seawall", "config", "show", "a.toml", "b.toml"],
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
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{line:?}");
        }
    }
}
