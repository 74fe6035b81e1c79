//! Counters continue over edits: saving the policy does not reset them.
//!
//! The window is a week, so that no test reaches its end.

use seawall_admin_api::CounterReport;
use seawall_tests::{Origin, ROOT, Server, Setup, Visitor, overwrite, wait_for};

fn policy(requests: u32, other: &str) -> String {
    format!(
        "policy 1\nfloor {{\n  rule other {{ when path == \"/{other}\" then block 410 }}\n  \
         limit api {{ where path == \"/api\" per client to {requests}/7d then block 429 hold 1h }}\n}}\n"
    )
}

/// Asks so many times; gives back the statuses.
fn ask(visitor: &mut Visitor, times: usize) -> Vec<u16> {
    (0..times).map(|_| visitor.status("/api")).collect()
}

/// Saves this as the next generation, and hands back what became of the counters.
fn saved(server: &Server, generation: u64, text: &str) -> CounterReport {
    overwrite(&server.setup.policy(ROOT), text);
    server.wait_generation(generation);
    // A reload is told a moment after its generation judges.
    let status = wait_for("the reload is told", || {
        Some(server.status()).filter(|status| status.policy.reloads.published == generation - 1)
    });
    status.policy.last_reload.unwrap().counters.unwrap()
}

fn save(server: &Server, generation: u64, text: String) {
    let report = saved(server, generation, &text);
    assert_eq!(report.kept, ["floor.api"], "{report:?}");
}

#[test]
fn counts_and_holds_go_on_over_an_edit_of_another_rule() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy(5, "x")).start();
    let (mut over, mut under) = (server.visitor("127.4.0.1"), server.visitor("127.4.0.2"));
    assert_eq!(ask(&mut over, 6), [200, 200, 200, 200, 200, 429]);
    assert_eq!(ask(&mut under, 3), [200, 200, 200]);
    save(&server, 2, policy(5, "y"));
    assert_eq!(ask(&mut over, 2), [429, 429]);
    assert_eq!(ask(&mut under, 3), [200, 200, 429]);
    assert_eq!(origin.requests(), 10);
}

#[test]
fn a_threshold_holds_at_once_and_running_holds_run_on() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy(5, "x")).start();
    let (mut over, mut under) = (server.visitor("127.4.0.1"), server.visitor("127.4.0.2"));
    assert_eq!(ask(&mut over, 6).last(), Some(&429));
    assert_eq!(ask(&mut under, 4), [200; 4]);
    save(&server, 2, policy(500, "x"));
    assert_eq!(ask(&mut over, 2), [429, 429], "who was over stays over");
    assert_eq!(ask(&mut under, 4), [200; 4]);
    save(&server, 3, policy(8, "x"));
    assert_eq!(ask(&mut under, 1), [429], "8 of 8 were counted before");
    assert_eq!(ask(&mut server.visitor("127.4.0.3"), 9).last(), Some(&429));
}

#[test]
fn a_limit_that_is_taken_out_ends_with_its_holds() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy(2, "x")).start();
    let mut over = server.visitor("127.4.0.1");
    assert_eq!(ask(&mut over, 3), [200, 200, 429]);
    assert_eq!(saved(&server, 2, "policy 1\n").removed, ["floor.api"]);
    assert_eq!(ask(&mut over, 3), [200, 200, 200]);
}

#[test]
fn a_refusal_says_when_to_come_back_and_nothing_about_the_rule() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, &policy(1, "x")).start();
    let mut visitor = server.visitor("127.4.0.1");
    assert_eq!(visitor.status("/api"), 200);
    let answer = visitor.get("/api").unwrap();
    assert_eq!(answer.status, 429);
    let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    // A week's count is gone when the week after it has ended.
    assert!((1..=14 * 86_400).contains(&after), "{answer:?}");
    let text = answer.text();
    assert!(text.starts_with("w-") && text.len() == 11, "{text}");
    assert!(!answer.head.to_ascii_lowercase().contains("floor"), "{answer:?}");
}
