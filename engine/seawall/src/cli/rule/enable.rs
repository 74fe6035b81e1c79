//! `seawall rule enable`: clears a quarantine early.

use anyhow::Result;
use clap::Args;

use crate::cli::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Clear the quarantine of a rule or a member in the running server.
#[derive(Debug, Args)]
pub(crate) struct Enable {
    /// Name of the `extern` or the member, as `seawall status` shows it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl Enable {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        Ok(self.server.with_client(|client| {
            if client.enable_rule(&self.name)? {
                print_out(format!("{}: quarantine cleared", self.name));
                return Ok(ExitStatus::Success);
            }
            let name = self.name.escape_debug();
            Ok(fail(
                ExitStatus::Failure,
                format!("the active policy has no extern and no member `{name}`"),
            ))
        }))
    }
}
