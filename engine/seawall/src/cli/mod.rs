//! The command line: one file for each command, and how it is dispatched.

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
mod help;
mod history;
mod level;
mod reload;
mod renamed;
mod rule;
mod run;
mod status;
mod test;
mod upgrade;

use clap::{Parser, Subcommand};

use crate::cli::exit::ExitStatus;

/// Reverse proxy that protects the sites behind it with a policy.
#[derive(Debug, Parser)]
#[command(name = "seawall", version, arg_required_else_help = true, after_long_help = help::SEAWALL)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the arguments of this process. Where they are wrong, prints why and exits with 2; an
    /// argument of an earlier version is answered with the one that replaces it.
    pub(crate) fn from_args() -> Self {
        let args: Vec<_> = std::env::args_os().collect();
        Self::try_parse_from(&args).unwrap_or_else(|error| renamed::explain(error, &args).exit())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy with a configuration file
    #[command(after_long_help = help::RUN)]
    Run(run::Run),
    /// Check policies and report errors and warnings
    ///
    /// Checks each root policy with all files that it includes, and the tests in them.
    #[command(after_long_help = help::CHECK)]
    Check(check::Check),
    /// Check configuration files, or show the effective configuration
    #[command(subcommand, after_long_help = help::CONFIG)]
    Config(config::ConfigCommand),
    /// Format policy files
    #[command(after_long_help = help::FMT)]
    Fmt(fmt::Fmt),
    /// Run the tests in policy files
    #[command(after_long_help = help::TEST)]
    Test(test::Test),
    /// Show how a policy evaluates one request, rule by rule
    ///
    /// Give the request as METHOD and URL, or with `--request` or `--curl`. Counters and bans are
    /// empty.
    #[command(after_long_help = help::EXPLAIN)]
    Explain(Box<explain::Explain>),
    /// List the fields and functions of the policy language
    #[command(after_long_help = help::FIELDS)]
    Fields(fields::Fields),
    /// Create, build, test, sign and inspect WASM rules
    #[command(subcommand, after_long_help = help::RULE)]
    Rule(rule::Rule),
    /// Show the status of the running server
    #[command(after_long_help = help::STATUS)]
    Status(status::Status),
    /// Reload the policy of the running server
    ///
    /// Waits for the outcome. A saved file and SIGHUP reload the policy, too.
    #[command(after_long_help = help::RELOAD)]
    Reload(reload::Reload),
    /// Replace the running server by the installed binary without downtime
    ///
    /// Waits for the outcome. The new process takes over sockets, counters, bans and levels.
    #[command(after_long_help = help::UPGRADE)]
    Upgrade(upgrade::Upgrade),
    /// List the kept generations, or show or export one
    #[command(after_long_help = help::HISTORY)]
    History(history::History),
    /// Compare two generations
    #[command(after_long_help = help::DIFF)]
    Diff(history::Diff),
    /// Roll back to an earlier generation
    ///
    /// Restores the files of the operator; members keep theirs.
    ///
    /// The files on disk are ignored until they change or the policy is reloaded.
    #[command(after_long_help = help::ROLLBACK)]
    Rollback(history::Rollback),
    /// Set or clear a policy level manually
    #[command(subcommand, after_long_help = help::LEVEL)]
    Level(level::Level),
    /// List, add, remove and clear bans
    #[command(subcommand, after_long_help = help::BANS)]
    Bans(bans::Bans),
    /// Compile one component in a confined process; started by `seawall` itself
    #[command(hide = true, after_long_help = help::COMPILE)]
    Compile(compile::Compile),
}

impl Command {
    /// Runs the command and returns its exit code.
    pub(crate) fn run(&self) -> ExitStatus {
        match self {
            Self::Run(run) => run.run(),
            Self::Check(check) => check.run(),
            Self::Config(config) => config.run(),
            Self::Fmt(fmt) => fmt.run(),
            Self::Test(test) => test.run(),
            Self::Explain(explain) => explain.run(),
            Self::Fields(fields) => fields.run(),
            Self::Rule(rule) => rule.run(),
            Self::Status(status) => status.run(),
            Self::Reload(reload) => reload.run(),
            Self::Upgrade(upgrade) => upgrade.run(),
            Self::History(history) => history.run(),
            Self::Diff(diff) => diff.run(),
            Self::Rollback(rollback) => rollback.run(),
            Self::Level(level) => level.run(),
            Self::Bans(bans) => bans.run(),
            Self::Compile(compile) => compile.run(),
        }
    }
}

#[cfg(test)]
mod tests;
