//! `seawall reload`: have the running server read its policy again, and say what came of it.

use clap::Args;
use seawall_control::{Lifted, Outcome, ReloadOrder};

use super::common::Server;
use crate::cli::exit::{Exit, fail, say, say_json, tell_drawn};

/// Ask the running server to reload, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// End the bans and holds that this rule set, too
    #[arg(long, value_name = "RULE")]
    lift: Option<String>,
    /// Print what came of it for tools, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Reload {
    pub(crate) fn obey(&self) -> Exit {
        let order = ReloadOrder { lift: self.lift.clone() };
        let tell = if self.json { told_json } else { told };
        self.server.ask(|client| Ok(tell(&client.reload(&order)?)))
    }
}

/// Says how a reload or a rollback ended.
pub(super) fn told(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Published { generation, took_ms, carried, warnings, restores, lifted } => {
            warnings.iter().for_each(say);
            let from = restores.map(|past| format!(", made of the files of generation {past}"));
            let from = from.unwrap_or_default();
            say(format!("generation {generation} judges now ({took_ms} ms){from}"));
            carried.lines().iter().for_each(say);
            ended(lifted.as_ref());
            Exit::Fine
        }
        Outcome::Unchanged { generation, lifted, members } => {
            members.lines().iter().for_each(say);
            say(format!("nothing changed: generation {generation} goes on"));
            ended(lifted.as_ref());
            Exit::Fine
        }
        Outcome::Refused { generation, refusal } => {
            tell_drawn(&refusal.rendered);
            fail(Exit::Wrong, format!("refused: generation {generation} goes on"))
        }
    }
}

/// The same for tools. The exit code is the same, too.
pub(super) fn told_json(outcome: &Outcome) -> Exit {
    say_json(format!("{:#}", serde_json::json!(outcome)));
    match outcome {
        Outcome::Published { .. } | Outcome::Unchanged { .. } => Exit::Fine,
        Outcome::Refused { .. } => Exit::Wrong,
    }
}

fn ended(lifted: Option<&Lifted>) {
    if let Some(Lifted { bans, holds }) = lifted {
        say(format!("ended: {bans} bans, {holds} holds"));
    }
}
