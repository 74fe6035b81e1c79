//! Property test of the floor: no text of a member allows a request that the floor rejects.

use proptest::prelude::*;
use seawall_model::{Reason, Tick, VerdictKind};
use seawall_state::{Seed, State};

use super::{assemble_all, get};
use crate::{MemoryStore, Purpose, RuleSet};

const CONDITIONS: [&str; 7] = [
    "true",
    "path == \"/a\"",
    "path starts_with \"/b\"",
    "client.ip in 192.0.2.0/25",
    "method == GET",
    "tagged(\"t\") or score > 5",
    "not (path == \"/a\" and client.ip in 192.0.2.0/24)",
];

const ACTIONS: [&str; 8] = [
    "allow",
    "block 410",
    "drop",
    "tag \"t\"",
    "score += 10",
    "challenge",
    "throttle to 1/1s",
    "tag \"t\", score += 3, block 404",
];

const FLOOR_ACTIONS: [&str; 5] =
    ["block 403", "drop", "challenge", "score += 7", "throttle to 2/1s"];

/// A rule or limit: its condition, its action, whether it is a limit, whether it is a shadow rule.
type Line = (usize, usize, bool, bool);

fn lines() -> impl Strategy<Value = Vec<Line>> {
    prop::collection::vec(
        (0..CONDITIONS.len(), 0..ACTIONS.len(), any::<bool>(), any::<bool>()),
        0..6,
    )
}

fn written(lines: &[Line], prefix: &str, actions: &[&str]) -> String {
    let mut text = String::new();
    for (at, (condition, action, limit, shadow)) in lines.iter().enumerate() {
        let condition = CONDITIONS[*condition];
        let action = actions[action % actions.len()];
        let shadow = if *shadow { "shadow " } else { "" };
        text.push_str(&match limit {
            true => format!(
                "  {shadow}limit {prefix}{at} {{ where {condition} per client to 2/10s then {action} hold 5s keys 64 }}\n"
            ),
            false => format!("  {shadow}rule {prefix}{at} {{ when {condition} then {action} }}\n"),
        });
    }
    text
}

fn host(floor: &[Line], defaults: &[Line]) -> String {
    format!(
        "policy 1\nmember m {{ hosts {{ \"m.example\" }} may {{ allow, block, drop, challenge, throttle, tag, score, limit }} file \"m/m.wall\" }}\n\
         guarantee {{ rule g {{ when path == \"/b/g\" then allow }} }}\nfloor {{\n{}}}\ndefaults {{\n{}}}\n",
        written(floor, "f", &FLOOR_ACTIONS),
        written(defaults, "d", &ACTIONS),
    )
}

/// Returns the rule set, if no rule of the text is unreachable.
fn rules(root: &str, member: &str) -> Option<RuleSet> {
    let store = MemoryStore::default().with("root.wall", root).with("m/m.wall", member);
    assemble_all(&store, Purpose::Check, None).rules
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_member_file_weakens_the_floor(
        floor in lines(),
        defaults in lines(),
        member in lines(),
        requests in prop::collection::vec((0..4_u8, 0..4_usize, 0..2_000_u64), 1..40),
    ) {
        let alone = rules(&host(&floor, &[]), "policy 1\n");
        let text = format!("policy 1\nsite \"m.example\" {{\n{}}}\n", written(&member, "s", &ACTIONS));
        let whole = rules(&host(&floor, &defaults), &text);
        let (Some(alone), Some(whole)) = (alone, whole) else { return Ok(()) };
        let states = [&alone, &whole].map(|rules| State::new(Seed([3; 16]), rules.counter_specs()));
        let mut now = Tick(1_000_000);
        for (client, path, gap) in requests {
            now = now.plus_ms(gap);
            let ip = format!("192.0.2.{}", u16::from(client) * 60);
            let facts = get(&ip, "m.example", ["/a", "/b", "/b/g", "/c"][path]);
            let least = alone.decide(&facts, &states[0], now);
            let got = whole.decide(&facts, &states[1], now);
            let guaranteed = whole.name(got.reason).starts_with("guarantee.");
            prop_assert!(
                guaranteed || got.verdict.kind() >= least.verdict.kind(),
                "the floor says {:?}, with the member it is {:?} by {}",
                least.verdict, got.verdict, whole.name(got.reason)
            );
            if least.verdict.kind() > VerdictKind::Allow {
                prop_assert_eq!(got.verdict, least.verdict);
                prop_assert!(matches!(got.reason, Reason::Rule(_)));
            }
        }
    }
}
