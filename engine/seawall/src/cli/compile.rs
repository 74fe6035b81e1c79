//! `seawall compile`: what the server starts to compile a component, and nobody types.

use std::io::Write;

use clap::Args;
use seawall_control::compile_confined;
use seawall_ruleset::LoadError;

use crate::cli::exit::ExitStatus;

/// Compile what comes on standard input, within limits.
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// Seconds of processor time
    cpu_s: u64,
    /// Bytes of address space
    address_space_bytes: u64,
}

impl Compile {
    pub(crate) fn run(&self) -> ExitStatus {
        match compile_confined(self.cpu_s, self.address_space_bytes) {
            Ok(()) => ExitStatus::Success,
            Err(why) => {
                // For the server's ears: bare, on one line.
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
