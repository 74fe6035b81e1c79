//! `seawall reload`: have the running server read its policy again, and say what came of it.

use clap::Args;
use seawall_admin_api::{ClearedPenalties, ReloadOutcome, ReloadRequest};

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_out, say_json, tell_drawn};

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
    server: ServerArgs,
}

impl Reload {
    pub(crate) fn obey(&self) -> ExitStatus {
        let order = ReloadRequest { lift: self.lift.clone() };
        let tell = if self.json { told_json } else { print_outcome };
        self.server.ask(|client| Ok(tell(&client.reload(&order)?)))
    }
}

/// Says how a reload or a rollback ended.
pub(super) fn print_outcome(outcome: &ReloadOutcome) -> ExitStatus {
    match outcome {
        ReloadOutcome::Published {
            generation,
            duration_ms,
            counters,
            warnings,
            restored_from,
            cleared,
        } => {
            warnings.iter().for_each(print_out);
            let from =
                restored_from.map(|past| format!(", made of the files of generation {past}"));
            let from = from.unwrap_or_default();
            print_out(format!("generation {generation} judges now ({duration_ms} ms){from}"));
            counters.lines().iter().for_each(print_out);
            print_cleared(cleared.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Unchanged { generation, cleared, members } => {
            members.lines().iter().for_each(print_out);
            print_out(format!("nothing changed: generation {generation} goes on"));
            print_cleared(cleared.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Rejected { generation, rejection } => {
            tell_drawn(&rejection.rendered);
            fail(ExitStatus::Failure, format!("refused: generation {generation} goes on"))
        }
    }
}

/// The same for tools. The exit code is the same, too.
pub(super) fn told_json(outcome: &ReloadOutcome) -> ExitStatus {
    say_json(format!("{:#}", serde_json::json!(outcome)));
    match outcome {
        ReloadOutcome::Published { .. } | ReloadOutcome::Unchanged { .. } => ExitStatus::Success,
        ReloadOutcome::Rejected { .. } => ExitStatus::Failure,
    }
}

fn print_cleared(cleared: Option<&ClearedPenalties>) {
    if let Some(ClearedPenalties { bans, holds }) = cleared {
        print_out(format!("ended: {bans} bans, {holds} holds"));
    }
}
