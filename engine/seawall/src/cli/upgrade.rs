//! `seawall upgrade`: have the running server put the program that lies on the disk in its place.

use clap::Args;
use seawall_control::Upgraded;

use super::common::Server;
use crate::cli::exit::{Exit, fail, say};

/// Ask the running server to hand over to the program on the disk, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    server: Server,
}

impl Upgrade {
    pub(crate) fn obey(&self) -> Exit {
        self.server.ask(|client| {
            Ok(match client.upgrade()? {
                Upgraded::Done { pid, took_ms, shut_ms } => {
                    say(format!(
                        "process {pid} serves now, {took_ms} ms after its start; \
                         newcomers waited {shut_ms} ms"
                    ));
                    Exit::Fine
                }
                Upgraded::Refused { why } => {
                    fail(Exit::Wrong, format!("nothing has changed: {why}"))
                }
            })
        })
    }
}
