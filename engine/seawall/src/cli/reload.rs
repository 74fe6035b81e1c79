//! `seawall reload`: reloads the policy of the running server and prints the outcome.

use clap::Args;
use seawall_admin_api::{ClearedPenalties, ReloadOutcome, ReloadRequest};

use super::common::{ServerArgs, count};
use crate::cli::exit::{ExitStatus, fail, print_json, print_out, print_rendered};

/// Reload the policy of the running server, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    /// Clear the bans and holds that RULE has set
    #[arg(long, value_name = "RULE")]
    clear_penalties: Option<String>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Reload {
    pub(crate) fn run(&self) -> ExitStatus {
        let request = ReloadRequest { lift: self.clear_penalties.clone() };
        let print = if self.json { print_outcome_json } else { print_outcome };
        self.server.with_client(|client| Ok(print(&client.reload(&request)?)))
    }
}

/// Prints the outcome of a reload or a rollback.
pub(super) fn print_outcome(outcome: &ReloadOutcome) -> ExitStatus {
    match outcome {
        ReloadOutcome::Published { counters, warnings, cleared, .. } => {
            warnings.iter().for_each(print_out);
            print_out(outcome.summary());
            counters.lines().iter().for_each(print_out);
            print_cleared(cleared.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Unchanged { cleared, members, .. } => {
            members.lines().iter().for_each(print_out);
            print_out(outcome.summary());
            print_cleared(cleared.as_ref());
            ExitStatus::Success
        }
        ReloadOutcome::Rejected { rejection, .. } => {
            print_rendered(&rejection.rendered);
            fail(ExitStatus::Failure, outcome.summary())
        }
    }
}

/// Prints the outcome as JSON, and returns the same exit code.
pub(super) fn print_outcome_json(outcome: &ReloadOutcome) -> ExitStatus {
    print_json(format!("{:#}", serde_json::json!(outcome)));
    match outcome {
        ReloadOutcome::Published { .. } | ReloadOutcome::Unchanged { .. } => ExitStatus::Success,
        ReloadOutcome::Rejected { .. } => ExitStatus::Failure,
    }
}

fn print_cleared(cleared: Option<&ClearedPenalties>) {
    if let Some(ClearedPenalties { bans, holds }) = cleared {
        print_out(format!("cleared {} and {}", count(*bans, "ban"), count(*holds, "hold")));
    }
}
