//! `seawall reload`: have the running server read its policy again, and say what came of it.

use std::io::Write;

use clap::Args;
use seawall_control::{Carried, Outcome};

use super::Server;
use crate::exit::{Exit, fail, say};

/// Ask the running server to reload, and wait for the outcome.
#[derive(Debug, Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    server: Server,
}

impl Reload {
    pub(crate) fn obey(&self) -> Exit {
        self.server.ask(|client| {
            Ok(match client.reload()? {
                Outcome::Published { generation, took_ms, carried, warnings } => {
                    warnings.iter().for_each(say);
                    say(format!("generation {generation} judges now ({took_ms} ms)"));
                    report(&carried).iter().for_each(say);
                    Exit::Fine
                }
                Outcome::Unchanged { generation } => {
                    say(format!("nothing changed: generation {generation} goes on"));
                    Exit::Fine
                }
                Outcome::Refused { generation, refusal } => {
                    let _unwritten = write!(std::io::stderr(), "{}", refusal.rendered);
                    fail(Exit::Wrong, format!("refused: generation {generation} goes on"))
                }
            })
        })
    }
}

/// What became of the counters, one line for each fate that befell any.
fn report(carried: &Carried) -> Vec<String> {
    [
        ("kept", &carried.kept),
        ("rescaled", &carried.rescaled),
        ("new", &carried.new),
        ("gone", &carried.gone),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(fate, names)| format!("{fate}: {}", names.join(", ")))
    .collect()
}
