//! `seawall reload`: have the running server read its policy again, and say what came of it.

use clap::Args;
use seawall_control::{ClearedPenalties, ReloadOutcome, ReloadRequest};

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, fail, print_json, print_out, print_rendered};

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
    pub(crate) fn run(&self) -> ExitStatus {
        let order = ReloadRequest { lift: self.lift.clone() };
        let tell = if self.json { print_outcome_json } else { print_outcome };
        self.server.with_client(|client| Ok(tell(&client.reload(&order)?)))
    }
}

/// Says how a reload or a rollback ended.
pub(super) fn print_outcome(outcome: &ReloadOutcome) -> ExitStatus {
    match outcome {
        ReloadOutcome::Published { generation, took_ms, carried, warnings, restores, lifted } => {
            warnings.iter().for_each(print_out);
            let from = restores.map(|past| format!(", made of the files of generation {past}"));
            let from = from.unwrap_or_default();
            print_out(format!("generation {generation} judges now ({took_ms} ms){from}"));
            carried.lines().iter().for_each(print_out);
            print_cleared(lifted.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Unchanged { generation, lifted, members } => {
            members.lines().iter().for_each(print_out);
            print_out(format!("nothing changed: generation {generation} goes on"));
            print_cleared(lifted.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Rejected { generation, refusal } => {
            print_rendered(&refusal.rendered);
            fail(ExitStatus::Failure, format!("refused: generation {generation} goes on"))
        }
    }
}

/// The same for tools. The exit code is the same, too.
pub(super) fn print_outcome_json(outcome: &ReloadOutcome) -> ExitStatus {
    print_json(format!("{:#}", serde_json::json!(outcome)));
    match outcome {
        ReloadOutcome::Published { .. } | ReloadOutcome::Unchanged { .. } => ExitStatus::Success,
        ReloadOutcome::Rejected { .. } => ExitStatus::Failure,
    }
}

fn print_cleared(lifted: Option<&ClearedPenalties>) {
    if let Some(ClearedPenalties { bans, holds }) = lifted {
        print_out(format!("ended: {bans} bans, {holds} holds"));
    }
}
