//! One scene, so many times: what `cargo xtask test` counts the instructions of.
//!
//! Run twice with different numbers of rounds, the difference is what the rounds cost, and what
//! comes before them falls away. Instructions repeat where times do not.

use std::hint::black_box;

use seawall_benches::{Browser, policy, regex_policy, request, rules, shipped};
use seawall_model::Tick;
use seawall_ruleset::RuleSet;
use seawall_state::{Seed, State};

/// What one round is.
struct Scene {
    rules: RuleSet,
    path: &'static str,
    /// One agent all the time, or another one each time.
    agents: Vec<Browser>,
    /// One client all the time, or many in turn.
    clients: u32,
}

fn scene(name: &str) -> Option<Scene> {
    let one = || vec![Browser::new(1)];
    let many = || (0..2_048).map(Browser::never_seen).collect();
    let of = |rules, agents| Scene { rules, path: "/blog/2026/a-post", agents, clients: 1 };
    Some(match name {
        "no-rules" => of(rules("policy 1\n"), one()),
        "benign-100" => of(rules(&policy(100)), one()),
        "benign-1000" => of(rules(&policy(1_000)), one()),
        "new-agent-100" => of(rules(&policy(100)), many()),
        "new-agent-1000" => of(rules(&policy(1_000)), many()),
        "text-1" => of(rules(&listed(1)), many()),
        "texts-600" => of(rules(&listed(600)), many()),
        "regex-1000" => of(rules(&regex_policy(1_000)), one()),
        "hit-last-1000" => Scene { path: "/old/995.php", ..of(rules(&policy(1_000)), one()) },
        "baseline" => Scene { clients: 64, ..of(shipped(false)?, one()) },
        _ => return None,
    })
}

/// Returns a list of so many agents to search for in the visitor's own.
fn listed(count: u32) -> String {
    let agents: Vec<String> = (0..count)
        .map(|n| format!("\"agent{}bot\"", n.wrapping_mul(2_654_435_761) % 9_973))
        .collect();
    format!(
        "policy 1\nlist agents: string = {{ {} }}\n\
         defaults {{ rule listed {{ when ua contains nocase @agents then block }} }}\n",
        agents.join(", ")
    )
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (name, rounds) = match &*arguments {
        [name, rounds] => (name, rounds.parse().unwrap_or(0)),
        _ => return,
    };
    let Some(scene) = scene(name) else { return };
    let state = State::new(Seed([7; 16]), scene.rules.counter_specs());
    for (n, browser) in (0..rounds).zip(scene.agents.iter().cycle()) {
        let n: u32 = n;
        let facts = request(browser, scene.path, n % scene.clients);
        black_box(scene.rules.decide(black_box(&facts), &state, Tick(u64::from(n))));
    }
}
