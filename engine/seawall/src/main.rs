//! The binary: words in, exit codes out.
//!
//! `cli/` is what a person types, one file for each word; `server/` is what `seawall run` does.

mod cli;
mod logger;
mod policy_loader;
mod server;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use cli::exit::ExitStatus;

/// Frees and takes memory faster than the system's, above all across threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // Never the payload: it may hold a piece of somebody's request.
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line()));
        let place = place.unwrap_or_default();
        let _unwritten = writeln!(std::io::stderr(), "seawall: internal failure{place}");
    }));
    let cli = cli::Cli::parse();
    std::panic::catch_unwind(|| cli.command.run()).unwrap_or(ExitStatus::InternalError).into()
}
