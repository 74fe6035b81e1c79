//! The binary: arguments in, exit status out.
//!
//! `cli/` contains the commands, one file each; `server/` contains `seawall run`.

mod cli;
mod logger;
mod policy_loader;
mod server;

use std::io::Write;
use std::process::ExitCode;

use cli::exit::ExitStatus;

/// Faster than the system's allocator, above all across threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        // Never the payload: it may contain a part of a request.
        let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line()));
        let place = place.unwrap_or_default();
        let _unwritten = writeln!(std::io::stderr(), "seawall: internal failure{place}");
    }));
    let cli = cli::Cli::from_args();
    std::panic::catch_unwind(|| cli.command.run()).unwrap_or(ExitStatus::InternalError).into()
}
