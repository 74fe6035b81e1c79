//! A run that keeps everything, then each figure past what is allowed, and missing.

use super::*;
use serde_json::{Value, json};

/// Eight seconds, in which alice's origin can answer 12,800.
fn fine() -> Reports {
    let latency = |p99: u64| json!({ "p99": p99 });
    let report = |ok: u64| {
        json!({
            "attacked_ms": 8_000,
            "attack": {
                "opened": 100, "refused": 0, "reset_at_open": 0, "open_timed_out": 0,
                "handshake_failed": 0, "failed_here": 0, "requests": 50_000,
                "answers": { "200": 10_600, "503": 30_000 },
            },
            "legit": {
                "quiet": { "due": 350, "ok": 350, "bad": 0, "latency_us": latency(30_000) },
                "attack": {
                    "due": 400, "ok": ok, "bad": 0,
                    "latency_us": latency(45_000), "late_us": latency(1_000),
                },
                "recovery": { "due": 100, "ok": 100, "bad": 0 },
            },
        })
    };
    Reports { alice: report(400), bob: Some(report(380)) }
}

fn kept(reports: &Reports) -> bool {
    judge(Seen::of(reports), true).iter().all(|finding| finding.kept)
}

#[derive(Clone, Copy, PartialEq)]
enum In {
    Alice,
    Bob,
}

fn with(report: In, pointer: &str, value: impl Into<Value>) -> Reports {
    let mut reports = fine();
    let of = match report {
        In::Alice => &mut reports.alice,
        In::Bob => reports.bob.as_mut().unwrap(),
    };
    *of.pointer_mut(pointer).unwrap() = value.into();
    reports
}

#[test]
fn figures_at_what_is_promised_keep_it() {
    let reports = fine();
    let findings = judge(Seen::of(&reports), true);
    assert!(kept(&reports), "{findings:?}");
    let texts: Vec<_> = findings.iter().map(|finding| finding.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "100,000 attacking requests",
            "carol: 0 of 400 failed",
            "p99 1.50 × of 1.5",
            "alice's visitors: 95 of 95 % served",
            "alice's origin: 85.8 of 85 % used",
        ]
    );
    let seen = Seen::of(&reports);
    assert_eq!((seen.attacked(), seen.answered()), (Some(100_000.0), Some(21_200.0)));
}

#[test]
fn each_figure_past_it_breaks_it() {
    for (report, pointer, value) in [
        (In::Alice, "/legit/quiet/bad", 1),
        (In::Alice, "/legit/attack/bad", 1),
        (In::Alice, "/legit/recovery/bad", 1),
        (In::Alice, "/legit/attack/due", 0),
        (In::Alice, "/legit/attack/latency_us/p99", 45_100),
        (In::Bob, "/legit/attack/ok", 379),
        (In::Alice, "/attack/answers/200", 10_499),
        (In::Alice, "/attack/opened", 0),
        (In::Bob, "/attack/opened", 0),
        (In::Alice, "/attack/failed_here", 1),
        (In::Bob, "/attack/failed_here", 1),
    ] {
        assert!(!kept(&with(report, pointer, value)), "{pointer} {value}");
    }
}

#[test]
fn each_figure_that_is_missing_breaks_it() {
    for (report, pointer) in [
        (In::Alice, "/legit/quiet/bad"),
        (In::Alice, "/legit/attack/due"),
        (In::Alice, "/legit/quiet/latency_us"),
        (In::Alice, "/legit/attack/latency_us"),
        (In::Bob, "/legit/attack/ok"),
        (In::Bob, "/legit/attack/due"),
        (In::Alice, "/attack/answers"),
        (In::Alice, "/attack/requests"),
        (In::Bob, "/attack/requests"),
        (In::Bob, "/attack/failed_here"),
        (In::Alice, "/attacked_ms"),
    ] {
        assert!(!kept(&with(report, pointer, Value::Null)), "{pointer}");
    }
    assert!(!kept(&Reports { bob: None, ..fine() }));
}

#[test]
fn a_short_quiet_p99_may_become_ten_milliseconds_longer_and_says_so() {
    let mut reports = with(In::Alice, "/legit/quiet/latency_us/p99", 5_000);
    for (attack, kept, text) in [
        (7_500, true, "p99 1.50 × of 1.5"),
        (15_000, true, "p99 3.00 × over 1.5, by less than 10 ms"),
        (15_100, false, "p99 3.02 × over 1.5, and by more than 10 ms"),
    ] {
        reports.alice["legit"]["attack"]["latency_us"]["p99"] = attack.into();
        let found = p99(Results::of(&reports.alice));
        assert_eq!((found.kept, found.text.as_str()), (kept, text));
    }
}

/// An attack that a rule ends leaves the origin idle, and that is no waste.
#[test]
fn an_origin_that_is_asked_for_less_may_be_idle() {
    let reports = with(In::Alice, "/attack/answers/200", 1);
    assert!(judge(Seen::of(&reports), false).iter().all(|finding| finding.kept));
    assert!(!kept(&reports));
}
