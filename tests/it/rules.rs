//! Rules that burn are ended, and cost nobody else anything.
//!
//! After 20 failures in 10 seconds a rule is in quarantine, where its answer is the same and costs
//! nothing; so the counts of a hammered rule are failures of two kinds that add up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_tests::{Origin, Server, Setup, StopAtEnd, guest, wait_until};
use serde_json::Value;

/// Hammering clients.
const HAMMERS: u8 = 4;

/// A server whose rule burns at `/burn`, and is answered for with 9.
fn burning(origin: &Origin, name: &str, limits: &str) -> Server {
    let policy = format!(
        "policy 1\nextern f() -> int {{ module \"f.wasm\" {limits} on_failure return 9 }}\n\
         floor {{ rule burns {{ when path == \"/burn\" and f() == 9 then block 410 }} }}\n"
    );
    let setup = Setup::new(origin.address, &policy);
    setup.write("f.wasm", guest(name));
    setup.start()
}

fn failures(server: &Server, kind: &str) -> u64 {
    let status = server.status();
    status["externs"][0]["failures"][kind].as_u64().unwrap_or(0)
}

/// One call ends with `kind`, and with the value that stands for failure.
#[track_caller]
fn ends_with(name: &str, limits: &str, kind: &str) {
    let origin = Origin::start();
    let server = burning(&origin, name, limits);
    assert_eq!(server.answers("/burn"), 410);
    assert_eq!(failures(&server, kind), 1, "{:#}", server.status()["externs"]);
    assert_eq!(server.status()["externs"][0]["calls"], 1);
    assert_eq!(server.answers("/else"), 200);
}

#[test]
fn a_rule_that_loops_for_ever_ends_on_its_fuel() {
    ends_with("endless-loop", "fuel 50k memory 1MiB time 100ms", "fuel");
}

#[test]
fn a_rule_that_fills_memory_for_ever_ends_on_its_time() {
    ends_with("bulk-fill", "fuel 1000M memory 16MiB time 5ms", "time");
}

/// Asks for `/burn` until told to stop; gives back how often.
fn hammer(server: &Server, source: &str, stop: &AtomicBool, done: &AtomicU64) {
    let mut visitor = server.visitor(source);
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(visitor.status("/burn"), 410);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Another client is served while four hammer the rule.
#[track_caller]
fn others_go_on(name: &str, limits: &str, kind: &str) {
    let origin = Origin::start();
    let server = burning(&origin, name, limits);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for n in 1..=HAMMERS {
            let (server, stop, done) = (&server, &stop, &done);
            scope.spawn(move || hammer(server, &format!("127.5.0.{n}"), stop, done));
        }
        let mut visitor = server.visitor("127.5.1.1");
        for round in 0..50 {
            let before = done.load(Ordering::Relaxed);
            assert_eq!(visitor.status("/page"), 200, "round {round}");
            wait_until("the hammering goes on", || done.load(Ordering::Relaxed) > before);
        }
    });
    assert_eq!(origin.requests(), 50);
    let status = server.status();
    let counts = status["externs"][0]["failures"].as_object().unwrap();
    let sum: u64 = counts.values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, done.into_inner(), "every call failed: {counts:?}");
    assert!(counts[kind].as_u64().unwrap() >= 1, "{counts:?}");
    assert!(counts["quarantined"].as_u64().unwrap() >= 1, "{counts:?}");
    assert!(status["externs"][0]["quarantines"].as_u64().unwrap() >= 1, "{status:#}");
}

#[test]
fn others_are_served_while_four_clients_hammer_an_endless_rule() {
    others_go_on("endless-loop", "fuel 50k memory 1MiB", "fuel");
}

#[test]
fn others_are_served_while_four_clients_hammer_a_rule_that_fills_memory() {
    others_go_on("bulk-fill", "fuel 1000M memory 16MiB time 5ms", "time");
}

#[test]
fn a_rule_that_traps_is_answered_for() {
    let origin = Origin::start();
    let policy = "policy 1\nextern f(x: bool) -> int { module \"f.wasm\" fuel 50k time 100ms memory 1MiB \
                  on_failure return 9 }\nfloor {\n  rule traps { when path == \"/burn\" and f(true) == 9 \
                  then block 410 }\n  rule works { when path == \"/fine\" and f(false) == 7 then block 418 }\n}\n";
    let setup = Setup::new(origin.address, policy);
    setup.write("f.wasm", guest("trap-on-demand"));
    let server = setup.start();
    for _ in 0..3 {
        assert_eq!((server.answers("/burn"), server.answers("/fine")), (410, 418));
    }
    assert_eq!(failures(&server, "trap"), 3);
}
