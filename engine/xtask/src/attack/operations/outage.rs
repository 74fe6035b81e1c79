//! A37 and F12: alice's origin fails in the middle of a flood. Everybody is told within a second,
//! hardly anybody is sent there in vain, the site is back soon after its origin is, and carol does
//! not notice.

use super::{Tried, at_least, at_most};
use crate::attack::contender::Who;
use crate::attack::judge::Finding;
use crate::attack::neighbours::ground::{ALICE, AT_ONCE, Ground};
use crate::attack::neighbours::judge::{Seen, attack, nobody_failed, p99};
use crate::attack::neighbours::load::{ATTACK_S, Attack, On, play};
use crate::attack::neighbours::servers::Told;
use crate::attack::run::Runner;
use serde_json::Value;

/// Within this everybody is told, and within this the site is back.
const TOLD_MS: f64 = 1_000.0;
const BACK_MS: f64 = 2_000.0;
/// Requests that are sent to an origin in vain: twice as many as it can have at once.
const IN_VAIN: f64 = 2.0 * AT_ONCE as f64;
/// What is sent again: of hundred requests, of each second, and what is saved up at first.
const AGAIN_PERCENT: f64 = 20.0;
const AGAIN_PER_S: f64 = 10.0;
const AGAIN_SAVED: f64 = 100.0;

/// One way of failing.
#[derive(Debug)]
pub(super) struct Outage {
    scenario: &'static str,
    /// It is found by asking for this, where it can be found by nothing else.
    alice: &'static str,
    /// It fails once, and not again and again.
    is_one: bool,
}

pub(super) const STOPPED: Outage =
    Outage { scenario: "origin-stopped", alice: "health = \"/up\"", is_one: true };
pub(super) const KILLED: Outage = Outage { scenario: "origin-killed", alice: "", is_one: true };
pub(super) const FLAPPING: Outage =
    Outage { scenario: "origin-flapping", alice: "", is_one: false };

/// What the server counted meanwhile.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// Requests that were sent to alice's origin.
    sent: Option<f64>,
    /// Requests that were sent again.
    again: Option<f64>,
}

impl Counted {
    fn of(status: &Value) -> Self {
        let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
        let origins = status.pointer("/edge/origins").and_then(Value::as_array);
        let alices = origins.and_then(|all| all.iter().find(|of| of["site"] == ALICE));
        Self {
            sent: alices.and_then(|of| number(of, "sent")),
            again: number(&status["edge"], "origin_retries"),
        }
    }

    fn since(self, before: Self) -> Self {
        let more = |now: Option<f64>, before: Option<f64>| Some(now? - before?);
        Self { sent: more(self.sent, before.sent), again: more(self.again, before.again) }
    }
}

/// Has it fail, and judges.
///
/// # Errors
/// Something does not start or end, or somebody wants all of this to end.
pub(super) fn judged(runner: &Runner<'_>, outage: &Outage) -> anyhow::Result<Tried> {
    let told = Told { alice: outage.alice, ..Told::default() };
    let mut ground = Ground::start(&runner.programs, Who::Seawall, told)?;
    let look = |ground: &Ground| anyhow::Ok(Counted::of(&ground.status(&runner.programs.seawall)?));
    let before = look(&ground)?;
    let attack = Attack { scenario: outage.scenario, words: &[], seconds: ATTACK_S };
    let reports = play(runner, &ground, attack, On::Alice)?;
    ground.is_up()?;
    let counted = look(&ground)?.since(before);
    runner.keep(&format!("operations-{}", outage.scenario), &reports.alice)?;
    Ok(Tried::Judged(judge(Seen::of(&reports), counted, outage.is_one)))
}

fn judge(seen: Seen<'_>, counted: Counted, is_one: bool) -> Vec<Finding> {
    let alice = seen.alice;
    let told = ["502", "503"].map(|status| {
        let answers = alice.sum("/attack/outage/answers", |name| name == status);
        answers.unwrap_or_default()
    });
    let told: f64 = told.iter().sum();
    let wrong = alice.sum("/attack/outage/answers", |name| !["200", "502", "503"].contains(&name));
    let cut = alice.sum("/attack/events", |name| name == "ended before the answer");
    let mut found = vec![
        attack(seen),
        nobody_failed(alice),
        p99(alice),
        at_least("told 502 or 503", Some(told), 1.0),
        at_most("other answers, or none", wrong.zip(cut).map(|(a, b)| a + b), (0.0, "")),
        at_most("slowest answer", alice.number("/attack/answer_ms/max"), (TOLD_MS, " ms")),
    ];
    let asked = alice.number("/attack/requests");
    if is_one {
        let answered = alice.sum("/attack/answers", |name| name == "200");
        let in_vain = counted.sent.zip(answered).map(|(sent, answered)| sent - answered);
        found.push(at_most("sent in vain", in_vain, (IN_VAIN, "")));
        found.push(at_most("back after", alice.number("/attack/outage/back_ms"), (BACK_MS, " ms")));
    } else {
        let seconds = alice.number("/attacked_ms").map(|ms| ms / 1_000.0);
        let earned = asked.zip(seconds).map(|(asked, seconds)| {
            AGAIN_SAVED + asked * AGAIN_PERCENT / 100.0 + seconds * AGAIN_PER_S
        });
        found.push(at_most("sent again", counted.again, (earned.unwrap_or_default(), "")));
        let most = asked.zip(counted.again).map(|(asked, again)| asked + again);
        found.push(at_most("sent in all", counted.sent, (most.unwrap_or_default(), "")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::neighbours::load::Reports;
    use serde_json::json;

    fn report() -> Value {
        let phase = |due: u64| {
            json!({"due": due, "ok": due, "bad": 0,
            "latency_us": {"p99": 20_000}, "late_us": {"p99": 100}})
        };
        json!({
            "attacked_ms": 8_000,
            "attack": {
                "opened": 200, "refused": 0, "reset_at_open": 0, "open_timed_out": 0,
                "handshake_failed": 0, "failed_here": 0, "requests": 6_000,
                "answers": {"200": 3_000, "503": 3_000}, "answer_ms": {"max": 900},
                "events": {},
                "outage": {"fault_ms": 4_000, "back_ms": 700, "answers": {"503": 3_000}},
            },
            "legit": {"quiet": phase(350), "attack": phase(400), "recovery": phase(100)},
        })
    }

    fn kept(report: Value, (sent, again): (f64, f64), is_one: bool) -> bool {
        let reports = Reports { alice: report, bob: None };
        let counted = Counted { sent: Some(sent), again: Some(again) };
        judge(Seen::of(&reports), counted, is_one).iter().all(|finding| finding.kept)
    }

    #[test]
    fn an_outage_that_nobody_suffers_from_is_kept() {
        assert!(kept(report(), (3_064.0, 0.0), true));
        assert!(kept(report(), (7_300.0, 1_300.0), false));
    }

    #[test]
    fn each_thing_that_is_promised_can_be_broken() {
        assert!(!kept(report(), (3_065.0, 0.0), true), "sent in vain");
        assert!(!kept(report(), (7_000.0, 1_381.0), false), "sent again");
        assert!(!kept(report(), (7_301.0, 1_300.0), false), "sent without being asked for");
        for (pointer, value) in [
            ("/attack/answer_ms/max", json!(1_001)),
            ("/attack/outage/back_ms", json!(null)),
            ("/attack/outage/back_ms", json!(2_001)),
            ("/attack/outage/answers", json!({"200": 3_000})),
            ("/attack/outage/answers", json!({"503": 2_999, "504": 1})),
            ("/attack/events", json!({"ended before the answer": 1})),
            ("/legit/attack/bad", json!(1)),
            ("/legit/attack/latency_us/p99", json!(40_000)),
        ] {
            let mut report = report();
            *report.pointer_mut(pointer).unwrap() = value;
            assert!(!kept(report, (3_000.0, 0.0), true), "{pointer}");
        }
        assert!(!kept(json!({}), (0.0, 0.0), true) && !kept(json!({}), (0.0, 0.0), false));
    }

    #[test]
    fn what_the_server_counted_is_of_alices_origin() {
        let status = json!({"edge": {"origin_retries": 3, "origins": [
            {"site": "bob.example", "sent": 9}, {"site": "alice.example", "sent": 5}]}});
        let counted = Counted::of(&status);
        assert_eq!((counted.sent, counted.again), (Some(5.0), Some(3.0)));
        assert_eq!(Counted::of(&json!({})).sent, None);
    }
}
