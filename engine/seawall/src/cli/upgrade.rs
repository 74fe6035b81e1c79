//! `seawall upgrade`: replaces the running server by the installed binary.

use clap::Args;
use seawall_admin_api::UpgradeOutcome;

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Replace the running server by the installed binary, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    server: ServerArgs,
}

impl Upgrade {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            Ok(match client.upgrade()? {
                UpgradeOutcome::Done { pid, duration_ms, accept_paused_ms } => {
                    print_out(format!(
                        "upgraded: process {pid} is serving ({duration_ms} ms, accepting paused \
                         {accept_paused_ms} ms)"
                    ));
                    ExitStatus::Success
                }
                UpgradeOutcome::Rejected { reason } => fail(
                    ExitStatus::Failure,
                    format!("upgrade failed: {reason}; the running process keeps serving"),
                ),
            })
        })
    }
}
