//! `seawall upgrade`: replaces the running server by the installed binary.

use clap::Args;
use seawall_control::UpgradeOutcome;

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
                UpgradeOutcome::Done { pid, took_ms, accept_paused_ms } => {
                    print_out(format!(
                        "upgraded: process {pid} is serving ({took_ms} ms, accepting paused \
                         {accept_paused_ms} ms)"
                    ));
                    ExitStatus::Success
                }
                UpgradeOutcome::Rejected { why } => fail(
                    ExitStatus::Failure,
                    format!("upgrade failed: {why}; the running process keeps serving"),
                ),
            })
        })
    }
}
