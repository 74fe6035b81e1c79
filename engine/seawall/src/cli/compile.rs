//! `seawall compile`: the compiler process, which the server starts for each component.

use std::io::Write;

use clap::Args;
use seawall_control::compile_confined;
use seawall_ruleset::LoadError;

use crate::cli::exit::ExitStatus;

/// Compile the component on standard input within limits.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// Limit of CPU time, in seconds
    cpu_s: u64,
    /// Limit of address space, in bytes
    address_space_bytes: u64,
}

impl Compile {
    pub(crate) fn run(&self) -> ExitStatus {
        match compile_confined(self.cpu_s, self.address_space_bytes) {
            Ok(()) => ExitStatus::Success,
            Err(why) => {
                // The server reads this line as it is.
                let _unwritten = writeln!(std::io::stderr(), "{why}");
                if matches!(why, LoadError::Engine(_)) {
                    ExitStatus::InternalError
                } else {
                    ExitStatus::Failure
                }
            }
        }
    }
}
