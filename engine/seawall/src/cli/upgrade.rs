//! `seawall upgrade`: have the running server put the program that lies on the disk in its place.

use clap::Args;
use seawall_control::UpgradeOutcome;

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out};

/// Ask the running server to hand over to the program on the disk, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    server: ServerArgs,
}

impl Upgrade {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            Ok(match client.upgrade()? {
                UpgradeOutcome::Done { pid, took_ms, accept_paused_ms: shut_ms } => {
                    print_out(format!(
                        "process {pid} serves now, {took_ms} ms after its start; \
                         newcomers waited {shut_ms} ms"
                    ));
                    ExitStatus::Success
                }
                UpgradeOutcome::Rejected { why } => {
                    fail(ExitStatus::Failure, format!("nothing has changed: {why}"))
                }
            })
        })
    }
}
