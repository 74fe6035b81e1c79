//! `cargo xtask TASK`: the tasks of this repository, one file under `command/` per task.
//!
//! Rust instead of a makefile or shell, so that a new contributor only needs cargo, and so that the
//! demo's visitors and attackers are threads that can be counted. It stays fast to compile (no
//! async runtime, no pingora, no wasmtime): it is the first build of a new contributor.
#![expect(clippy::print_stdout, reason = "telling the person at the terminal is what it is for")]
#![expect(clippy::print_stderr, reason = "errors belong on standard error")]

mod attack;
mod command;
mod demo;
mod pacing;
mod repo;
mod rules;
mod shell;
mod wrk;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The tasks of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    word: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the build and the benches need and this machine lacks.
    Setup,
    /// Build everything, then run Seawall in front of the demo sites.
    Run {
        /// Run the demo (visitors, an attack, edits) once; fail if a promise is broken.
        #[arg(long)]
        once: bool,
    },
    /// Run everything that must pass.
    Test,
    /// Build the rules in `rules/` to components in `policies/wasm/`.
    Rules {
        /// Also build those in JavaScript and Python, and run the same tests with all. Fetches packages.
        #[arg(long)]
        all: bool,
    },
    /// Write the table of settings in docs/limits.md, and the JSON schema of the configuration.
    Reference,
    /// Run the benches.
    Bench(command::bench::Options),
    /// Run all known attacks against a new Seawall, and evaluate its promises.
    Attack(command::attack::Options),
    /// Fuzz each target for a while.
    Fuzz {
        /// Seconds for each target.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
        seconds: u32,
        /// Only targets whose name contains this.
        filter: Option<String>,
    },
    /// What continuous integration runs: the same as `test`.
    Ci,
}

fn main() -> ExitCode {
    match obey(Arguments::parse().word) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(word: Task) -> anyhow::Result<()> {
    let repo = repo::Repo::find()?;
    match word {
        Task::Setup => command::setup::all(),
        Task::Run { once: false } => command::run::stay(&repo),
        Task::Run { once: true } => command::run::once(&repo),
        Task::Test | Task::Ci => command::test::run(&repo),
        Task::Rules { all: false } => command::rules::run(&repo),
        Task::Rules { all: true } => command::rules::all(&repo),
        Task::Reference => command::reference::run(&repo),
        Task::Bench(options) => command::bench::run(&repo, &options),
        Task::Attack(options) => command::attack::run(&repo, &options),
        Task::Fuzz { seconds, filter } => command::fuzz::run(&repo, seconds, filter.as_deref()),
    }
}
