//! Promises that are kept, broken by each of their figures, and without figures.

use super::*;
use crate::attack::expectation::{ALL_KINDS, AttackTarget};
use crate::attack::expectations::PROMISES;
use serde_json::json;

fn promise(must: &'static [Assertion]) -> Expectation {
    let (scenario, vector, at) = ("x", "A0", AttackTarget::Plain);
    Expectation { scenario, vector, at, seconds: 10, arguments: &[], visitors: ALL_KINDS, must }
}

/// Returns a run in which everything went well: 100 connections of 500 at once.
fn fine() -> Value {
    let latency = |p99: u64| json!({ "p99": p99 });
    json!({
        "attacked_ms": 10_000,
        "attack": {
            "opened": 500, "open_at_most": 100, "refused": 0, "reset_at_open": 0,
            "open_timed_out": 0, "handshake_failed": 0, "failed_here": 0,
            "held_ms": { "max": 5_000 }, "left_by_us": 3, "left_ms": { "max": 4_000 },
            "answers": { "200": 40, "403": 10 },
            "events": { "answer read": 999, "no answer read": 1, "other": 7 },
        },
        "legit": {
            "visitors": 100,
            "quiet": { "due": 200, "ok": 200, "bad": 0, "latency_us": latency(4_000) },
            "attack": { "due": 1_000, "ok": 1_000, "bad": 0, "latency_us": latency(9_000), "late_us": latency(1_000) },
            "recovery": { "due": 100, "ok": 100, "bad": 0 },
        },
        "new_client": { "first_answer_ms": 2_000 },
        "server": {
            "quiet": { "samples": 9, "cpu_ms": 80, "rss_kib_last": 50_000 },
            "attack": {
                "samples": 40, "cpu_ms": 900, "rss_kib_max": 52_000,
                "watched_bytes_first": 1_024, "watched_bytes_last": 11_264,
            },
        },
        "origin": { "requests": 1_040, "visits": 1_000, "named_once": 1_040, "named_otherwise": 0, "clients": 101 },
    })
}

fn with(pointer: &str, value: impl Into<Value>) -> Value {
    let mut report = fine();
    *report.pointer_mut(pointer).unwrap() = value.into();
    report
}

fn without(pointer: &str) -> Value {
    let mut report = fine();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    report.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    report
}

fn kept(must: &'static [Assertion], report: &Value) -> bool {
    judge(&promise(must), report, Some(BaselineCost(0.5))).passed()
}

/// A check, a figure that breaks it, and figures without which it cannot be evaluated.
struct Case {
    must: &'static [Assertion],
    breaks: (&'static str, u64),
    needs: &'static [&'static str],
}

/// Each is kept by `fine`, most of them by a hair.
const CASES: &[Case] = &[
    Case {
        must: &[Assertion::ClosedWithinMs(5_000)],
        breaks: ("/attack/held_ms/max", 5_001),
        needs: &["/attack/held_ms", "/attack/left_ms", "/attack/left_by_us", "/attacked_ms"],
    },
    Case {
        must: &[Assertion::ClosedWithinMs(5_000)],
        breaks: ("/attack/left_ms/max", 5_001),
        needs: &[],
    },
    // Over before its time: nothing is shown.
    Case { must: &[Assertion::ClosedWithinMs(5_000)], breaks: ("/attacked_ms", 4_999), needs: &[] },
    Case {
        must: &[Assertion::KibEach(20)],
        breaks: ("/server/attack/rss_kib_max", 52_100),
        needs: &["/server", "/server/quiet/rss_kib_last", "/attack/open_at_most"],
    },
    Case {
        must: &[Assertion::MibInAll(2)],
        breaks: ("/server/attack/rss_kib_max", 52_100),
        needs: &["/server/attack/rss_kib_max"],
    },
    // 900 ms less 40 looks of 10 ms are 500, for 500 connections.
    Case {
        must: &[Assertion::CpuMsEach(1)],
        breaks: ("/server/attack/cpu_ms", 910),
        needs: &["/server/quiet/cpu_ms", "/attack/opened", "/server/quiet/samples"],
    },
    Case {
        must: &[Assertion::HonestEach(2)],
        breaks: ("/server/attack/cpu_ms", 910),
        needs: &["/server/attack/cpu_ms"],
    },
    Case {
        must: &[Assertion::OriginEach(1)],
        breaks: ("/origin/requests", 1_501),
        needs: &["/origin", "/origin/visits"],
    },
    Case {
        must: &[Assertion::OriginInAll(40)],
        breaks: ("/origin/requests", 1_041),
        needs: &["/origin/requests"],
    },
    // 10 KiB in 10 s.
    Case {
        must: &[Assertion::LogKibPerMinute(60)],
        breaks: ("/server/attack/watched_bytes_last", 11_300),
        needs: &["/server/attack/watched_bytes_first", "/attacked_ms"],
    },
    Case {
        must: &[Assertion::Answers(50)],
        breaks: ("/attack/answers/403", 11),
        needs: &["/attack/answers"],
    },
    Case {
        must: &[Assertion::Served(40)],
        breaks: ("/attack/answers/200", 41),
        needs: &["/attack/answers"],
    },
    Case {
        must: &[Assertion::RefusalsRead(99)],
        breaks: ("/attack/events/no answer read", 11),
        needs: &["/attack/events", "/attack/events/answer read"],
    },
    Case {
        must: &[Assertion::OneClient],
        breaks: ("/origin/named_otherwise", 1),
        needs: &["/origin", "/origin/named_once", "/origin/clients", "/legit/visitors"],
    },
    Case { must: &[Assertion::OneClient], breaks: ("/origin/clients", 102), needs: &[] },
    Case { must: &[Assertion::OneClient], breaks: ("/origin/named_once", 1_039), needs: &[] },
    // Three times 4 ms, and 1 that was our own.
    Case {
        must: &[Assertion::P99Ms(9)],
        breaks: ("/legit/attack/latency_us/p99", 13_001),
        needs: &["/legit/quiet/latency_us", "/legit/attack/latency_us", "/legit/attack/late_us"],
    },
    // Or 20 ms more.
    Case {
        must: &[Assertion::P99Times(3)],
        breaks: ("/legit/attack/latency_us/p99", 25_001),
        needs: &["/legit/quiet/latency_us"],
    },
];

#[test]
fn a_promise_is_kept_at_its_figure_and_broken_past_it() {
    for Case { must, breaks: (pointer, value), .. } in CASES {
        assert!(kept(must, &fine()), "{must:?}: {:?}", judge(&promise(must), &fine(), None));
        assert!(!kept(must, &with(pointer, *value)), "{must:?} with {pointer} {value}");
    }
}

#[test]
fn a_figure_that_is_missing_breaks_the_promise() {
    for Case { must, needs, .. } in CASES {
        for pointer in *needs {
            assert!(!kept(must, &without(pointer)), "{must:?} without {pointer}");
            assert!(!kept(must, &with(pointer, Value::Null)), "{must:?} with null {pointer}");
        }
    }
    let must = &[Assertion::HonestEach(2)];
    let verdict = judge(&promise(must), &fine(), None);
    assert_eq!(verdict.findings[0].text, "processor each: no figure");
    assert!(!verdict.passed());
}

/// If the attacker left no connection open, there is no age of those, and that is correct.
#[test]
fn nobody_left_behind_needs_no_age() {
    let mut report = with("/attack/left_by_us", 0);
    report["attack"]["left_ms"] = Value::Null;
    assert!(kept(&[Assertion::ClosedWithinMs(5_000)], &report));
}

#[test]
fn an_event_that_must_not_be_is_found_by_its_beginning() {
    assert!(kept(&[Assertion::Never("LEAK")], &fine()));
    let mut report = fine();
    report["attack"]["events"]["LEAK not found: 127.0.0.1"] = 1.into();
    assert!(!kept(&[Assertion::Never("LEAK")], &report));
    assert!(!kept(&[Assertion::Never("LEAK")], &without("/attack/events")));
}

#[test]
fn no_visitor_fails_in_any_run_and_somebody_comes() {
    assert!(kept(&[], &fine()));
    for phase in ["quiet", "attack", "recovery"] {
        let pointer = format!("/legit/{phase}/bad");
        assert!(!kept(&[], &with(&pointer, 1)), "{pointer}");
        assert!(!kept(&[], &without(&pointer)), "{pointer}");
    }
    let verdict = judge(&promise(&[]), &with("/legit/attack/due", 0), None);
    assert_eq!(verdict.broken, ["no visitors"]);
    assert!(!kept(&[], &with("/legit", Value::Null)));
    let verdict = judge(&promise(&[]), &with("/legit/attack/bad", 1), None);
    assert_eq!(verdict.broken, ["visitors failed"]);
}

#[test]
fn a_new_client_is_served_two_seconds_after_the_attack_or_the_promise_is_broken() {
    let first = "/new_client/first_answer_ms";
    assert!(kept(&[], &with(first, 2_000)) && !kept(&[], &with(first, 2_001)));
    let verdict = judge(&promise(&[]), &with(first, 2_001), None);
    assert_eq!(verdict.broken, ["a new client was served after 2,001 of 2,000 ms"]);
    for report in [with(first, Value::Null), without("/new_client")] {
        let verdict = judge(&promise(&[]), &report, None);
        assert_eq!(verdict.broken, ["no new client was served"]);
        assert!(!new_client_served(Results::of(&report)).kept);
    }
    assert!(new_client_served(Results::of(&fine())).kept);
}

#[test]
fn without_an_attack_nothing_is_kept() {
    for report in [with("/attack", Value::Null), with("/attack/opened", 0), json!({})] {
        assert!(judge(&promise(&[]), &report, None).broken.contains(&"no attack".to_owned()));
    }
    // Rejected ones are an attack too.
    let mut report = with("/attack/opened", 0);
    report["attack"]["reset_at_open"] = 500.into();
    assert!(kept(&[], &report));
    assert!(!kept(&[], &with("/attack/failed_here", 1)));
}

#[test]
fn an_empty_result_keeps_no_promise_at_all() {
    for promise in PROMISES {
        let verdict = judge(promise, &json!({}), Some(BaselineCost(1.0)));
        assert!(!verdict.passed(), "{}", promise.scenario);
        assert!(verdict.findings.iter().all(|finding| !finding.kept), "{}", promise.scenario);
    }
}

#[test]
fn an_honest_connection_is_one_that_was_answered() {
    let mut report = json!({
        "attack": { "opened": 1_000, "answers": { "200": 995 } },
        "server": { "attack": { "cpu_ms": 398 } },
    });
    assert_eq!(BaselineCost::of(&report).unwrap().0, 0.4);
    report["attack"]["answers"]["200"] = 899.into();
    assert!(BaselineCost::of(&report).is_none());
    assert!(BaselineCost::of(&json!({})).is_none());
}

#[test]
fn figures_are_short() {
    let texts = [0.0, 0.004, 0.5, 2.0, 12.34, 123.4, 1_234.5, 9_876_543.2].map(shown);
    assert_eq!(texts, ["0", "0.00", "0.50", "2", "12.3", "123", "1,235", "9,876,543"]);
}
