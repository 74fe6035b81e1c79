//! A38 and A39: alice's origin sends header sections that are too large, or clients abandon
//! requests that it works on. The origin never has more requests than its limit, the server's
//! memory stays limited, and carol's visitors are not affected.

use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::{CheckResult, new_client_served};
use crate::attack::noisy_neighbour::constants::AT_ONCE;
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, attack, nobody_failed, p99};
use crate::attack::noisy_neighbour::load::{ATTACK_S, Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::results::Results;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;

const HEADS: Attack<'_> = Attack { scenario: "origin-heads", words: &[], seconds: ATTACK_S };
const GIVEN_UP: Attack<'_> = Attack { scenario: "given-up", words: &[], seconds: ATTACK_S };
/// Memory that 400 header sections of 64 KiB may take, each stored twice, with their connections.
const HEADS_MIB: f64 = 96.0;
/// Half a gigabyte, so that an attack that uses it affects the visitors after it.
const MEMORY: &str = "overload.max_memory_bytes = 536_870_912\n";
/// Requests that are given up below which it was no flood: half of those that are due.
const GIVEN_UP_LEAST: f64 = 200.0 * ATTACK_S as f64;

/// Header sections without end.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn heads(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let told = SeawallExtras { limits: MEMORY, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let before = ground.memory_kib_at_most();
    let reports = play(runner, &ground, HEADS, AttackedSites::Alice)?;
    ground.is_up()?;
    let gained = ground.memory_kib_at_most().zip(before).map(|(after, before)| after - before);
    runner.keep("operations-origin-heads", &reports.alice)?;
    Ok(CaseOutcome::Judged(judge_heads(Seen::of(&reports), gained)))
}

/// Abandoned requests.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn given_up(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let mut ground =
        Environment::start(&runner.programs, ServerKind::Seawall, SeawallExtras::default())?;
    let reports = play(runner, &ground, GIVEN_UP, AttackedSites::Alice)?;
    ground.is_up()?;
    runner.keep("operations-given-up", &reports.alice)?;
    Ok(CaseOutcome::Judged(judge_given_up(Seen::of(&reports))))
}

fn judge_heads(seen: Seen<'_>, gained_kib: Option<f64>) -> Vec<CheckResult> {
    let alice = seen.alice;
    let told = |wanted: bool| {
        let is_told = move |status: &str| ["502", "503"].contains(&status) == wanted;
        alice.sum("/attack/answers", is_told)
    };
    let broken = alice.sum("/attack/events", |name| name == "answered with something else");
    let wrong = told(false).zip(broken).map(|(other, none)| other + none);
    vec![
        attack(seen),
        at_least("told 502 or 503", told(true), 1.0),
        at_most("other answers", wrong, (0.0, "")),
        at_most("memory more", gained_kib.map(|kib| kib / 1_024.0), (HEADS_MIB, " MiB")),
        nobody_failed(alice),
        p99(alice),
        new_client_served(alice),
    ]
}

fn judge_given_up(seen: Seen<'_>) -> Vec<CheckResult> {
    let alice: Results<'_> = seen.alice;
    let at_once = alice.number("/origin/requests_at_once_max");
    vec![
        attack(seen),
        at_least("of them given up", alice.number("/attack/left_by_us"), GIVEN_UP_LEAST),
        at_least("reached alice's origin", alice.number("/origin/requests"), AT_ONCE as f64),
        at_most("at work there at once", at_once, (AT_ONCE as f64, "")),
        nobody_failed(alice),
        p99(alice),
        new_client_served(alice),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::noisy_neighbour::load::Reports;
    use serde_json::{Value, json};

    fn report(status: &str, at_once: u64, new_client_ms: u64) -> Value {
        let phase = |due: u64| {
            json!({"due": due, "ok": due, "bad": 0,
            "latency_us": {"p99": 20_000}, "late_us": {"p99": 100}})
        };
        json!({
            "attack": {
                "opened": 3_200, "refused": 0, "reset_at_open": 0, "open_timed_out": 0,
                "handshake_failed": 0, "failed_here": 0, "requests": 3_200, "left_by_us": 2_000,
                "answers": {status: 900}, "events": {},
            },
            "origin": {"requests": 40, "requests_at_once_max": at_once},
            "new_client": {"first_answer_ms": new_client_ms},
            "legit": {"quiet": phase(350), "attack": phase(400), "recovery": phase(100)},
        })
    }

    fn all_kept(judge: impl Fn(Seen<'_>) -> Vec<CheckResult>, report: Value) -> bool {
        let reports = Reports { alice: report, bob: None };
        judge(Seen::of(&reports)).iter().all(|finding| finding.kept)
    }

    #[test]
    fn one_more_at_work_than_the_origin_bears_breaks_the_promise() {
        assert!(all_kept(judge_given_up, report("200", 32, 2_000)));
        assert!(!all_kept(judge_given_up, report("200", 33, 2_000)));
        assert!(!all_kept(judge_given_up, report("200", 32, 2_001)));
    }

    #[test]
    fn a_head_that_is_passed_on_and_memory_that_is_held_break_the_promise() {
        let heads = |gained: Option<f64>| move |seen: Seen<'_>| judge_heads(seen, gained);
        assert!(all_kept(heads(Some(90_000.0)), report("502", 1, 10)));
        assert!(!all_kept(heads(Some(90_000.0)), report("200", 1, 10)));
        assert!(!all_kept(heads(Some(99_000.0)), report("502", 1, 10)));
        assert!(!all_kept(heads(None), report("502", 1, 10)));
    }
}
