//! `seawall rule enable`: lets a rule back out of quarantine before its time.

use anyhow::Result;
use clap::Args;

use crate::cli::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Let a rule of the running server back out of quarantine.
#[derive(Debug, Args)]
pub(crate) struct Enable {
    /// The extern, as `seawall status` calls it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: ServerArgs,
}

impl Enable {
    pub(super) fn run(&self) -> Result<ExitStatus> {
        Ok(self.server.with_client(|client| {
            if client.enable_rule(&self.name)? {
                print_out(format!("{}: is asked again", self.name));
                return Ok(ExitStatus::Success);
            }
            let name = self.name.escape_debug();
            Ok(fail(ExitStatus::Failure, format!("the running policy declares no extern `{name}`")))
        }))
    }
}
