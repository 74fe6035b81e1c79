//! A40: the most expensive member policy that a search has found, with the most expensive request
//! for it. Carol's visitors are not affected.
//!
//! The search is `benches/micro/worst_decision.rs`, which writes its result into a folder.

use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::{CheckResult, new_client_served};
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, attack, nobody_failed, p99};
use crate::attack::noisy_neighbour::load::{ATTACK_S, Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;
use anyhow::Context;
use std::path::Path;

/// Folder of the result, beside the programs.
const FOUND: &str = "worst-decision";
/// What it is called by.
const SEARCH: &str = "cargo run --release -p seawall-benches --example worst_decision -- \
    --minutes 60 --write target/worst-decision";
/// The policy may reject every request; carol's visitors must be served.
const SPARED: &str = "guarantee { rule visits { when path == \"/__visit\" then allow } }\n";
/// So many a second; at the worst a fifth of a core.
const RATE: &str = "100";
/// Answers below which it was no attack: half of those that are due.
const ANSWERED: f64 = 50.0 * ATTACK_S as f64;

/// Tries what was found.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn judged(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let built = runner.programs.seawall.parent().and_then(Path::parent);
    let found = built.context("the programs are in no folder")?.join(FOUND);
    let request = found.join("request");
    if !request.exists() {
        return Ok(CaseOutcome::Skipped(format!("nothing was searched for yet: `{SEARCH}`")));
    }
    let read = |name: &str| {
        let path = found.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (root, hers) = (read("root.wall")?, read("members/alice.wall")?);
    // The policy before it has this line already.
    let root = root.trim_start_matches("policy 1");
    let members = [("members/alice.wall".to_owned(), hers)];
    let policy = format!("{SPARED}{root}");
    let told = SeawallExtras { policy: &policy, members: &members, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let request = request.display().to_string();
    let words = ["--request", &request, "--rate", RATE];
    let attack = Attack { scenario: "request-file", words: &words, seconds: ATTACK_S };
    let reports = play(runner, &ground, attack, AttackedSites::Alice)?;
    ground.is_up()?;
    runner.keep("operations-worst-decision", &reports.alice)?;
    Ok(CaseOutcome::Judged(judge(Seen::of(&reports))))
}

fn judge(seen: Seen<'_>) -> Vec<CheckResult> {
    let alice = seen.alice;
    let answers = alice.sum("/attack/answers", |_| true);
    // A request that is rejected before its evaluation shows nothing.
    let unjudged = ["400", "413", "414", "431"];
    let refused = alice.sum("/attack/answers", |status| unjudged.contains(&status));
    let slowest = alice.number("/attack/answer_ms/p99");
    let slowest = slowest.map_or_else(String::new, |ms| format!("; each in {ms:.0} ms at p99"));
    vec![
        attack(seen),
        at_least(&format!("of them answered{slowest}"), answers, ANSWERED),
        at_most("rejected before their evaluation", refused, (0.0, "")),
        nobody_failed(alice),
        p99(alice),
        new_client_served(alice),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::noisy_neighbour::load::Reports;
    use serde_json::json;

    #[test]
    fn a_request_that_nobody_judged_shows_nothing() {
        let phase = |due: u64| {
            json!({"due": due, "ok": due, "bad": 0,
            "latency_us": {"p99": 20_000}, "late_us": {"p99": 100}})
        };
        let kept = |status: &str| {
            let alice = json!({
                "attack": {
                    "opened": 40, "refused": 0, "reset_at_open": 0, "open_timed_out": 0,
                    "handshake_failed": 0, "failed_here": 0, "requests": 800,
                    "answers": {status: 800}, "answer_ms": {"p99": 4},
                },
                "new_client": {"first_answer_ms": 12},
                "legit": {"quiet": phase(350), "attack": phase(400), "recovery": phase(100)},
            });
            let reports = Reports { alice, bob: None };
            judge(Seen::of(&reports)).iter().all(|finding| finding.kept)
        };
        assert!(kept("404") && kept("503") && !kept("431"));
    }
}
