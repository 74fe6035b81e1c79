//! `seawall upgrade`: have the running server put the program that lies on the disk in its place.

use clap::Args;
use seawall_admin_api::UpgradeOutcome;

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Ask the running server to hand over to the program on the disk, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    server: ServerArgs,
}

impl Upgrade {
    pub(crate) fn obey(&self) -> ExitStatus {
        self.server.ask(|client| {
            Ok(match client.upgrade()? {
                UpgradeOutcome::Done { pid, duration_ms, accept_paused_ms } => {
                    print_out(format!(
                        "process {pid} serves now, {duration_ms} ms after its start; \
                         newcomers waited {accept_paused_ms} ms"
                    ));
                    ExitStatus::Success
                }
                UpgradeOutcome::Rejected { reason } => {
                    fail(ExitStatus::Failure, format!("nothing has changed: {reason}"))
                }
            })
        })
    }
}
