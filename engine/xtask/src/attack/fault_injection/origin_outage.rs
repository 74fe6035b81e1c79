//! A37 and F12: alice's origin fails during a flood. Clients get an error within a second, few
//! requests are sent to the origin, the site is back soon after the origin, and carol's visitors
//! are not affected.

use super::admin_client;
use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::CheckResult;
use crate::attack::noisy_neighbour::constants::{ALICE, AT_ONCE};
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, attack, nobody_failed, p99};
use crate::attack::noisy_neighbour::load::{ATTACK_S, Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;
use seawall_admin_api::StatusReport;

/// Time within which all clients get an error, and within which the site is back.
const TOLD_MS: f64 = 1_000.0;
const BACK_MS: f64 = 2_000.0;
/// Requests that are sent to a failed origin: twice its concurrent requests.
const IN_VAIN: f64 = 2.0 * AT_ONCE as f64;
/// Times that an origin which flaps is gone: every 400 ms of 4 s.
const FLAPS: f64 = 10.0;
/// Requests that may be under way when the attack ends: as many as its origin can have.
const UNDER_WAY: f64 = AT_ONCE as f64;

/// One way of failing.
#[derive(Debug)]
pub(super) struct Outage {
    scenario: &'static str,
    /// The path that finds the failure, if no other request does.
    alice: &'static str,
    /// It fails once, and not again and again.
    is_one: bool,
}

pub(super) const STOPPED: Outage =
    Outage { scenario: "origin-stopped", alice: "health_check_path = \"/up\"", is_one: true };
pub(super) const KILLED: Outage = Outage { scenario: "origin-killed", alice: "", is_one: true };
pub(super) const FLAPPING: Outage =
    Outage { scenario: "origin-flapping", alice: "", is_one: false };

/// Returns the requests that the server has sent to alice's origin.
fn sent(status: &StatusReport) -> Option<f64> {
    let alice = status.origins.iter().find(|of| of.site == ALICE)?;
    Some(alice.requests as f64)
}

/// Makes it fail and evaluates the result.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn judged(runner: &Runner<'_>, outage: &Outage) -> anyhow::Result<CaseOutcome> {
    let told = SeawallExtras { alice: outage.alice, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let look = |ground: &Environment| anyhow::Ok(sent(&admin_client::status(&ground.socket())?));
    let before = look(&ground)?;
    let attack = Attack { scenario: outage.scenario, words: &[], seconds: ATTACK_S };
    let reports = play(runner, &ground, attack, AttackedSites::Alice)?;
    ground.is_up()?;
    let sent = look(&ground)?.zip(before).map(|(after, before)| after - before);
    runner.keep(&format!("operations-{}", outage.scenario), &reports.alice)?;
    Ok(CaseOutcome::Judged(judge(Seen::of(&reports), sent, outage.is_one)))
}

fn judge(seen: Seen<'_>, sent: Option<f64>, is_one: bool) -> Vec<CheckResult> {
    let alice = seen.alice;
    let told = ["502", "503"].map(|status| {
        let answers = alice.sum("/attack/outage/answers", |name| name == status);
        answers.unwrap_or_default()
    });
    let told: f64 = told.iter().sum();
    let wrong = alice.sum("/attack/outage/answers", |name| !["200", "502", "503"].contains(&name));
    // Closed before a response, or with another status.
    let cut = alice.sum("/attack/events", |_| true);
    let asked = alice.number("/attack/requests");
    let answers = alice.sum("/attack/answers", |_| true);
    let untold = asked.zip(answers).zip(cut).map(|((asked, told), cut)| asked - told - cut);
    let unopened = alice.tried().zip(alice.opened()).map(|(tried, opened)| tried - opened);
    let answered = alice.sum("/attack/answers", |name| name == "200");
    let in_vain = sent.zip(answered).map(|(sent, answered)| sent - answered);
    let times = if is_one { 1.0 } else { FLAPS };
    let mut found = vec![
        attack(seen),
        nobody_failed(alice),
        p99(alice),
        at_least("told 502 or 503", Some(told), 1.0),
        at_most("other answers, or none", wrong.zip(cut).map(|(a, b)| a + b), (0.0, "")),
        at_most("told nothing at the end", untold, (UNDER_WAY, "")),
        at_most("connections that were not made", unopened, (0.0, "")),
        at_most("slowest answer", alice.number("/attack/answer_ms/max"), (TOLD_MS, " ms")),
        at_most("sent in vain", in_vain, (IN_VAIN * times, "")),
    ];
    if is_one {
        found.push(at_most("back after", alice.number("/attack/outage/back_ms"), (BACK_MS, " ms")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::noisy_neighbour::load::Reports;
    use seawall_admin_api::{OriginState, OriginStatus};
    use serde_json::{Value, json};

    fn report() -> Value {
        let phase = |due: u64| {
            json!({"due": due, "ok": due, "bad": 0,
            "latency_us": {"p99": 20_000}, "late_us": {"p99": 100}})
        };
        json!({
            "attacked_ms": 8_000,
            "attack": {
                "opened": 200, "refused": 0, "reset_at_open": 0, "open_timed_out": 0,
                "handshake_failed": 0, "failed_here": 0, "requests": 6_010,
                "answers": {"200": 3_000, "503": 3_000}, "answer_ms": {"max": 900},
                "events": {},
                "outage": {"fault_ms": 4_000, "back_ms": 700, "answers": {"503": 3_000}},
            },
            "legit": {"quiet": phase(350), "attack": phase(400), "recovery": phase(100)},
        })
    }

    fn kept(report: Value, sent: f64, is_one: bool) -> bool {
        let reports = Reports { alice: report, bob: None };
        judge(Seen::of(&reports), Some(sent), is_one).iter().all(|finding| finding.kept)
    }

    #[test]
    fn an_outage_that_nobody_suffers_from_is_kept() {
        assert!(kept(report(), 3_064.0, true));
        assert!(kept(report(), 3_640.0, false));
    }

    #[test]
    fn each_thing_that_is_promised_can_be_broken() {
        assert!(!kept(report(), 3_065.0, true), "sent in vain");
        assert!(!kept(report(), 3_641.0, false), "sent in vain, ten times");
        for (pointer, value) in [
            ("/attack/answer_ms/max", json!(1_001)),
            ("/attack/outage/back_ms", json!(null)),
            ("/attack/outage/back_ms", json!(2_001)),
            ("/attack/outage/answers", json!({"200": 3_000})),
            ("/attack/outage/answers", json!({"503": 2_999, "504": 1})),
            ("/attack/events", json!({"ended before the answer": 1})),
            ("/attack/requests", json!(6_033)),
            ("/attack/refused", json!(1)),
            ("/legit/attack/bad", json!(1)),
            ("/legit/attack/latency_us/p99", json!(40_000)),
        ] {
            let mut report = report();
            *report.pointer_mut(pointer).unwrap() = value;
            assert!(!kept(report, 3_000.0, true), "{pointer}");
        }
        assert!(!kept(json!({}), 0.0, true) && !kept(json!({}), 0.0, false));
    }

    #[test]
    fn what_was_sent_is_what_went_to_alices_origin() {
        let origin = |site: &str, requests: u64| OriginStatus {
            site: site.to_owned(),
            address: ([127, 0, 0, 1], 1).into(),
            state: OriginState::Up,
            since_ms: None,
            requests_active: 0,
            requests,
            failures: 0,
            down_transitions: 0,
            up_transitions: 0,
        };
        let origins = vec![origin("bob.example", 9), origin(ALICE, 5)];
        let status = StatusReport { origins, ..StatusReport::default() };
        assert_eq!((sent(&status), sent(&StatusReport::default())), (Some(5.0), None));
    }
}
