//! The `seawall` binary.
//!
//! `cli/` has one file for each command; `server/` is what `seawall run` does.

mod cli;
mod logger;
mod policy_loader;
mod server;

use std::io::Write;
use std::process::ExitCode;

use cli::exit::ExitStatus;

/// Faster than the allocator of the system, mostly across threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // Never the payload: it may contain a piece of a request.
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line()));
        let place = place.unwrap_or_default();
        let _unwritten = writeln!(std::io::stderr(), "seawall: internal failure{place}");
    }));
    let cli = cli::Cli::from_args();
    std::panic::catch_unwind(|| cli.command.run()).unwrap_or(ExitStatus::InternalError).into()
}
