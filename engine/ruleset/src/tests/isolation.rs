//! For any text in one member's files, the host's and every other member's outline and verdicts are
//! what they are without her.
//!
//! Her files are made of what attackers of a shared policy would write: true policies with words
//! changed, paths to others' files, names of others' things, and plain nonsense. `ISOLATION_TEXTS`
//! sets how many are tried.

use seawall_model::{Reason, Tick};
use seawall_state::{Seed, State};

use super::storm::draft::Dice;
use super::{get, workshop};
use crate::{
    Assembly, Effort, MemoryStore, Purpose, RuleSet, Severity, Sources, TestOutcome, Workshop,
};

/// Texts that are tried where nobody says how many.
const TEXTS: u64 = 1_500;

const ROOT: &str = r#"policy 1 "the host"
include "floor.wall"
list drop: cidr = file "lists/drop.txt" max 100
let slow = 5/1m
track seen { where path starts_with "/x" count requests per client over 10s keys 1k }
track sites { count requests per site.name over 10s keys 100 }
track all { count requests over 10s }
level attack { enter when count(all) > 100000 leave after 1m }
tenant mallory {
  hosts { "mallory.example", "*.mallory.example" }
  may { allow, block, drop, ban, throttle, tag, score, log, limit, track, list, test, extern, rule }
  rules 20 keys 2k file "members/mallory/m.wall"
}
tenant bob {
  hosts { "bob.example" } may { block, tag, limit, track, list, test, rule }
  file "members/bob/b.wall"
}
tenant carol { hosts { "carol.example" } may { block, rule } file "members/carol/c.wall" }
site "host.example" { rule own { when path == "/own" then block 410 } }
defaults {
  rule xmlrpc { when path == "/xmlrpc.php" then block 403 }
  limit few { where path == "/few" per client to slow then block 429 keys 1k }
  rule seen { when count(seen) > 3 then score += 50 }
  rule tagged { when tagged("odd") then score += 50 }
  decide { when score >= 50 then block 404 otherwise allow }
}
test "the floor holds" {
  request GET "http://host.example/.env"
  expect drop by floor.env
  request GET "http://host.example/own"
  expect block 410 by own
}
"#;

const FLOOR: &str = r#"policy 1
floor {
  rule env { when path == "/.env" then drop }
  rule bad { when client.ip in @drop then drop }
  rule trap { when path == "/trap" then ban 1m }
  limit flood { per client to 40/1m burst 5 then block 429 hold 10s keys 1k }
}
"#;

const BOB: &str = r#"policy 1
list mine: ip = file "mine.txt" max 10
track own { count requests per client over 1m keys 100 }
site "bob.example" {
  rule own { when path == "/own" then block 451 }
  rule mine { when client.ip in @mine then block 402 }
  rule many { when count(own) > 4 then block 420 }
  limit few { where path == "/mine" per client to 2/1m then block 429 keys 100 }
  adjust xmlrpc { then block 410 }
}
test "his own" {
  request GET "http://bob.example/own"
  expect block 451 by own
}
"#;

const CAROL: &str =
    "policy 1\nsite \"carol.example\" { rule own { when path == \"/own\" then block 452 } }\n";

/// Lines that her files are put together of.
const LINES: [&str; 48] = [
    "include \"../../root.wall\"",
    "include \"../../floor.wall\"",
    "include \"../*/*.wall\"",
    "include \"../bob/b.wall\"",
    "include \"more.wall\"",
    "include \"m.wall\"",
    "include \"*.wall\"",
    "list x: cidr = file \"../../floor.wall\" max 10",
    "list drop: cidr = file \"../../lists/drop.txt\" max 10",
    "list drop: cidr = { 0.0.0.0/0 }",
    "list mine: ip = file \"../bob/mine.txt\" max 10",
    "list mine: ip = { 192.0.2.1 }",
    "extern f(ua: string) -> int { module \"../../floor.wall\" fuel 1k memory 1MiB on_failure return 0 }",
    "extern f(ua: string) -> int { module \"none.wasm\" fuel 1k memory 1MiB on_failure return 0 }",
    "let slow = 100000/1s",
    "track seen { count requests per client over 1h keys 10k }",
    "track own { count requests per client over 1s keys 1k }",
    "track big { count requests per client.ip over 1h keys 190k }",
    "track other { where share(sites) > 10 count distinct path per client over 10s keys 100 }",
    "level attack { enter when true leave after 1s }",
    "tenant eve { hosts { \"bob.example\" } may { drop } file \"e.wall\" }",
    "tenant bob { hosts { \"bob.example\" } may { drop } file \"e.wall\" }",
    "floor { rule env { when true then allow } }",
    "guarantee { rule all { when true then allow } }",
    "defaults { rule all { when true then drop } decide { otherwise drop } }",
    "site \"bob.example\" { rule own { when true then drop } }",
    "site \"host.example\" { rule own { when true then drop } }",
    "site \"*.example\" { rule own { when true then drop } }",
    "site \"mallory.example\" { rule own { when path == \"/own\" then block 499 } }",
    "site \"mallory.example\" { rule a { when count(seen) > 1 then ban 1h } rule b { when top(seen, 3) then ban 1h } }",
    "site \"a.mallory.example\" { rule b { when share(sites) > 1 then tag \"odd\" } }",
    "site \"b.mallory.example\" { limit flood { per client to 1/1h then ban 1d keys 1k } disable few }",
    "site \"c.mallory.example\" { adjust few { to 1/1h then ban 1d } adjust flood { to 1/1h } }",
    "site \"d.mallory.example\" { limit big { per client to 1/1h then drop keys 190k } }",
    "site \"e.mallory.example\" { rule t { when tagged(\"odd\") or score > 1 then throttle to 1/1m } }",
    "site \"f.mallory.example\" { under attack { rule u { when true then drop } } }",
    "test \"his\" { request GET \"http://bob.example/own\" expect block 451 by own }",
    "test \"his own\" { request GET \"http://bob.example/own\" expect pass }",
    "test \"the floor holds\" { request GET \"http://host.example/.env\" expect pass }",
    "test \"all\" { request GET \"http://mallory.example/\" times 900000 expect pass }",
    "test \"hers\" { given list @drop = { 0.0.0.0/0 } request GET \"http://mallory.example/own\" expect block 499 }",
    "test \"hers\" { given level attack request GET \"http://mallory.example/x\" expect drop by floor.bad }",
    "policy 1",
    "policy 2",
    "}",
    "{ { {",
    "\"",
    "# \u{202e}\u{1b}[2J",
];

fn base() -> MemoryStore {
    MemoryStore::default()
        .with("root.wall", ROOT)
        .with("floor.wall", FLOOR)
        .with("lists/drop.txt", "198.51.100.0/24\n")
        .with("members/bob/b.wall", BOB)
        .with("members/bob/mine.txt", "203.0.113.5\n")
        .with("members/carol/c.wall", CAROL)
}

/// One of her files: lines of the list, some with a piece changed, or bytes by chance.
fn text(dice: &mut Dice) -> Vec<u8> {
    if dice.odds(20) {
        let bytes = dice.at(200);
        return (0..bytes).map(|_| dice.roll(256) as u8).collect();
    }
    let mut text = String::from(if dice.odds(8) { "" } else { "policy 1\n" });
    let lines = 1 + dice.at(8);
    for _ in 0..lines {
        text.push_str(dice.one(&LINES));
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    for _ in 0..dice.at(3) {
        let at = dice.at(bytes.len());
        match dice.roll(4) {
            0 => bytes.truncate(at),
            1 => bytes[at] = dice.roll(256) as u8,
            2 => drop(bytes.splice(at..at, LINES[dice.at(LINES.len())].bytes())),
            _ => drop(bytes.drain(at..(at + dice.at(30)).min(bytes.len()))),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn hostile(dice: &mut Dice) -> MemoryStore {
    let mut store = base().with("members/mallory/m.wall", text(dice));
    for name in ["more", "e"] {
        if dice.odds(3) {
            store = store.with(&format!("members/mallory/{name}.wall"), text(dice));
        }
    }
    store
}

fn made(workshop: &Workshop, store: &MemoryStore, previous: Option<&RuleSet>) -> Assembly {
    let sources = Sources::gather("root.wall", store);
    workshop.assemble_within(&sources, Purpose::Run, crate::Terms::new(previous, Effort::Reload))
}

/// What is decided about requests to hosts that are not hers, with her own visitors in between.
fn verdicts(rules: &RuleSet) -> Vec<String> {
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let hosts = ["host.example", "bob.example", "carol.example", "nobody.example"];
    let paths = ["/", "/own", "/.env", "/xmlrpc.php", "/few", "/x1", "/mine", "/trap", "/few"];
    let clients = ["192.0.2.1", "192.0.2.99", "198.51.100.7", "203.0.113.5"];
    let mut all = Vec::new();
    let mut now = Tick(1_000_000);
    for (n, path) in paths.iter().chain(&paths).enumerate() {
        for host in hosts {
            for client in clients {
                now = now.plus_ms(7);
                // Other clients than theirs: a client is one client on all sites of the host.
                for hers in ["mallory.example", "a.mallory.example", "d.mallory.example"] {
                    let facts = get("192.0.2.201", hers, path);
                    let _hers = rules.decide(&facts, &state, now);
                }
                let decision = rules.decide(&get(client, host, path), &state, now);
                let by = rules.name(decision.reason);
                let banned = decision.reason == Reason::Banned;
                all.push(format!("{n} {host} {client} {:?} {by} {banned}", decision.verdict));
            }
        }
    }
    all
}

/// What a ruleset says, hers left out.
fn says(rules: &RuleSet) -> Vec<String> {
    let hers = |name: &str| name == "mallory" || name.starts_with("mallory.");
    let entries = rules.outline().entries();
    let entries = entries.filter(|entry| entry.kind == "tenant" || !hers(&entry.name));
    let mut all: Vec<String> = entries
        // A test says whose it is by its file alone, which its outcome tells.
        .filter(|entry| entry.kind != "test")
        .map(|entry| format!("{} {} {}", entry.kind, entry.name, entry.text()))
        .collect();
    let specs = rules.counter_specs().iter().filter(|spec| !hers(&spec.name));
    all.extend(specs.map(|spec| format!("{spec:?}")));
    all.extend(rules.rule_names().iter().filter(|name| !hers(name)).map(ToString::to_string));
    for member in rules.members().filter(|member| member.name() != "mallory") {
        all.push(format!("{} {:?}", member.name(), member.digest()));
    }
    all
}

fn tests(assembly: &Assembly) -> Vec<TestOutcome> {
    let theirs = assembly.tests.iter().filter(|test| !test.file.contains("mallory"));
    theirs.cloned().collect()
}

/// Complains about what is on one side only.
fn same(seed: u64, here: &[String], there: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let (more, less) = (only(here, there), only(there, here));
    assert!(here == there, "{seed}: with her {more:#?}, without her {less:#?}");
}

fn texts() -> u64 {
    std::env::var("ISOLATION_TEXTS").ok().and_then(|n| n.parse().ok()).unwrap_or(TEXTS)
}

#[test]
fn nothing_that_a_member_writes_changes_what_is_not_hers() {
    let workshop = workshop();
    let plain = made(&workshop, &base().with("members/mallory/m.wall", "policy 1\n"), None);
    assert!(plain.members.is_empty() && plain.rules.is_some(), "{:#?}", plain.everything());
    let outcomes = tests(&plain);
    let (host, bob) = (outcomes.iter().any(|t| &*t.file == "root.wall"), outcomes.len());
    assert!(host && bob == 2 && outcomes.iter().all(|test| test.passed), "{outcomes:?}");
    let plain = plain.rules.unwrap();
    let (right, said) = (verdicts(&plain), says(&plain));
    let mut running: Option<RuleSet> = None;
    let mut joined = 0_u32;
    for seed in 0..texts() {
        let mut dice = Dice(seed);
        let store = hostile(&mut dice);
        // Half of them follow the text before, whose part may be kept.
        let previous = running.as_ref().filter(|_| seed % 2 == 1);
        let assembly = made(&workshop, &store, previous);
        let errors = assembly.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let wrong: Vec<_> = errors.collect();
        assert!(wrong.is_empty(), "{seed}: {wrong:#?}");
        assert!(assembly.members.iter().all(|state| &*state.name == "mallory"), "{seed}");
        if previous.is_none() {
            assert_eq!(tests(&assembly), outcomes, "{seed}");
        }
        let rules = assembly.rules.unwrap_or_else(|| panic!("{seed}: the host is refused"));
        same(seed, &says(&rules), &said);
        same(seed, &verdicts(&rules), &right);
        joined += u32::from(rules.member("mallory").is_some());
        running = Some(rules);
    }
    assert!(joined > 0, "no text of hers was ever right, so that little was tried");
}
