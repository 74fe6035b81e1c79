//! `seawall rule enable`: lets a rule back out of quarantine before its time.

use anyhow::Result;
use clap::Args;

use crate::cli::common::Server;
use crate::cli::exit::{Exit, fail, say};

/// Let a rule of the running server back out of quarantine.
#[derive(Debug, Args)]
pub(crate) struct Enable {
    /// The extern, as `seawall status` calls it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: Server,
}

impl Enable {
    pub(super) fn run(&self) -> Result<Exit> {
        Ok(self.server.ask(|client| {
            if client.enable_rule(&self.name)? {
                say(format!("{}: is asked again", self.name));
                return Ok(Exit::Fine);
            }
            let name = self.name.escape_debug();
            Ok(fail(Exit::Wrong, format!("the running policy declares no extern `{name}`")))
        }))
    }
}
