//! Property test of isolation: no text in one member's files changes the outline or the verdicts of
//! the operator and of the other members, and the member's diagnostics do not depend on their
//! files.
//!
//! The files of the member mallory contain what an attacker would write: valid policies with
//! changed words, paths to files of others, names of others, too many files, too much work, and
//! random bytes. `ISOLATION_TEXTS` sets the number of texts. Members precede and follow mallory.
//! Fuel is low, so that a text can exhaust the member's. Each text is evaluated twice: with clients
//! that send requests to all hosts, against a policy without the text; and with clients of
//! mallory's hosts only, against a policy without the text and without these clients. Decisions of
//! the floor on mallory's hosts are compared too.
//!
//! # Planted faults
//!
//! On 2026-11-30 each of these faults was planted separately in the tested code, and the test found
//! all of them. The number in brackets is that of the text; 0 means that the worlds without a text
//! already differ.
//!
//! * The use of a member is not reset, so that its counters count against the next member's quota
//!   (4).
//! * A member's own rules run before the floor (0; in an evaluation without the flood's limit 3).
//! * `defaults` of a member's file is accepted and linked (198).
//! * The owner of a host is not checked for wildcards in `site` (295), or for the first of several
//!   (59).
//! * The owner of a host is not checked in tests (1,432); tests see the operator's address lists
//!   (344).
//! * Linking shifts the numbers of rules, counters, operands, conditions or atoms by one too many
//!   (0 each), or those of lists (61).
//! * A member's lists are put before those of earlier members (61).
//! * A name is looked up among the operator's first (0); a member's list is declared among the
//!   operator's names (0).
//! * All members' files share one budget (123).
//! * A member leaves its counters (1), the names of its rules (1), the index of its rules (3), its
//!   lists (61), its hosts (111), the kinds of its keys (159), or the account of its fuel (3) after
//!   its tests.
//! * A ban of a `site` applies to all sites (0); a client banned by one member is banned by all
//!   (3).
//! * A request to any member's host feeds every member's tracks (0).
//! * A member's rules use the operator's fuel (at the end: no text exhausts the member's); if the
//!   member's fuel is exhausted, the response is 503 (9).
//! * All members share one quarantine (9); after a reload one continues with another's (99).
//! * A member can read all files below the policy root (34).
//! * The first file that names a file owns it, and a rejection for one owner applies to all (18).
//! * A failing test of a member rejects the operator's edit (111).

use std::collections::BTreeSet;

use seawall_model::{Reason, Tick};
use seawall_state::{Seed, State};

use super::edit_storm::draft::Dice;
use super::get;
use crate::{
    BuildOutput, Effort, FuelLimits, MemoryStore, PolicyTestResult, Purpose, RuleSet,
    RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings, Severity, Sources,
};

/// Default number of texts.
const TEXTS: u64 = 1_500;

/// The cost limits of one request. The operator's rules use about 3,000, and a member's rules can
/// use more than the limit.
const FUEL: FuelLimits =
    FuelLimits { decision: 20_000, member: 3_000, externs: 10_000, externs_ms: 10 };

const ROOT: &str = r#"policy 1 "the host"
include "floor.wall"
list drop: cidr = file "lists/drop.txt" max 100
let slow = 1/1m
track seen { where path starts_with "/x" count requests per client over 10s keys 1k }
track sites { count requests per site.name over 10s keys 100 }
track all { count requests over 10s }
level attack { enter when count(all) > 100000 leave after 1m }
member carol {
  hosts { "carol.example" } may { block, throttle, limit, track }
  file "members/carol/c.wall"
}
member mallory {
  hosts { "mallory.example", "*.mallory.example" }
  may { allow, block, drop, ban, throttle, tag, score, log, limit, track, list, test, extern }
  rules 20 keys 2k file "members/mallory/m.wall"
}
member bob {
  hosts { "bob.example" } may { block, ban, tag, limit, track, list, test }
  keys 5k file "members/bob/b.wall"
}
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
guarantee { rule up { when path == "/up" then allow } }
floor {
  rule env { when path == "/.env" then drop }
  rule bad { when client.ip in @drop then drop }
  rule trap { when path == "/trap" then ban 1m }
  limit flood { per client to 250/1m burst 5 then block 429 hold 10s keys 1k }
}
"#;

const BOB: &str = r#"policy 1
list mine: ip = file "mine.txt" max 10
list drop: cidr = { 192.0.2.0/30 }
track own { count requests per client over 1m keys 100 }
track two { where path != "/own" count requests over 1m }
site "bob.example" {
  rule own { when path == "/own" then block 451 }
  rule mine { when client.ip in @mine then block 402 }
  rule near { when client.ip in @drop and path == "/x1" then block 403 }
  rule many { when path starts_with "/x" and count(own) > 4 then block 420 }
  rule all { when path == "/few" and count(two) > 10 then block 421 }
  limit few { where path in { "/", "/mine" } per client to 1/1m then block 429 }
  rule out { when path == "/out" then ban 1s }
  adjust xmlrpc { then block 410 }
}
test "his own" {
  given @mine = { 203.0.113.9 }
  request GET "http://bob.example/own"
  expect block 451 by own
  request GET "http://bob.example/" from 203.0.113.9
  expect block 402 by mine
}
"#;

const CAROL: &str = r#"policy 1
track own { count requests per client over 1m keys 100 }
site "carol.example" {
  rule own { when path == "/own" then block 452 }
  limit few { where path in { "/", "/mine" } per client to 1/1m then block 429 keys 100 }
  rule many { when path == "/x1" and count(own) > 5 then block 422 }
  disable few
}
"#;

/// Lines of the generated files.
const LINES: [&str; 63] = [
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
    "member eve { hosts { \"bob.example\" } may { drop } file \"e.wall\" }",
    "member bob { hosts { \"bob.example\" } may { drop } file \"e.wall\" }",
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
    "test \"hers\" { given @drop = { 0.0.0.0/0 } request GET \"http://mallory.example/own\" expect block 499 }",
    "test \"hers\" { given level attack request GET \"http://mallory.example/x\" expect drop by floor.bad }",
    "site \"mallory.example\" { rule all { when true then allow } }",
    "site \"a.mallory.example\" { rule all { when path != \"/x\" then ban 1d } }",
    "site \"bob.example\", \"g.mallory.example\" { rule own { when true then drop } }",
    "site \"mallory.example\" { rule l { when client.ip in @drop or client.ip in @mine then drop } }",
    "site \"d.mallory.example\" { limit few { where path == \"/mine\" per client to 1/1h then block } disable xmlrpc }",
    "list empty: ip = file \"none.txt\" max 10 on_error empty",
    "list mine: ip = file \"mine.txt\" max 10 on_error keep",
    "include \"f*.wall\"",
    "list drop: cidr = file \"drop.txt\" max 10",
    "test \"its\" { request GET \"http://host.example/own\" expect block 410 }",
    "test \"listed\" { request GET \"http://mallory.example/\" from 198.51.100.7 expect drop }",
    "test \"unlisted\" { request GET \"http://mallory.example/\" from 198.51.100.7 expect pass }",
    "test \"so many\" { request GET \"http://mallory.example/few\" times 6 expect block 429 by defaults.few }",
    "test \"by name\" { request GET \"http://mallory.example/own\" expect block 499 by own }",
    "test \"of carol\" { request GET \"http://carol.example/own\" expect block 452 }",
    "policy 1",
    "policy 2",
    "}",
    "{ { {",
    "\"",
    "# \u{202e}\u{1b}[2J",
];

/// Returns a rule that needs more fuel than the member has.
fn costly() -> String {
    let reads: Vec<String> = (0..40).map(|n| format!("count(seen) > {}", 900 + n)).collect();
    format!("site \"mallory.example\" {{ rule dear {{ when {} then drop }} }}", reads.join(" or "))
}

/// Returns an exception from a default of the operator that needs as much.
fn costly_exception() -> String {
    let reads: Vec<String> = (0..40).map(|n| format!("count(seen) > {}", 900 + n)).collect();
    format!("site \"d.mallory.example\" {{ adjust xmlrpc {{ unless {} }} }}", reads.join(" or "))
}

fn base() -> MemoryStore {
    MemoryStore::default()
        .with("root.wall", ROOT)
        .with("floor.wall", FLOOR)
        .with("lists/drop.txt", "198.51.100.0/24\n")
        .with("members/bob/b.wall", BOB)
        .with("members/bob/mine.txt", "203.0.113.5\n")
        .with("members/carol/c.wall", CAROL)
}

/// Returns the same files of mallory in another world: others have other texts, and the operator
/// has changed a foreign host and an address list.
fn elsewhere(store: MemoryStore) -> MemoryStore {
    store
        .with("root.wall", ROOT.replace("410", "411"))
        .with("lists/drop.txt", "198.51.101.0/24\n")
        .with("members/bob/b.wall", BOB.replace("451", "453").replace("own {", "ours {"))
        .with("members/bob/mine.txt", "203.0.113.77\n")
        .with("members/carol/c.wall", CAROL.replace("452", "454"))
}

/// Returns one file of mallory: lines of the list, some of them changed, or random bytes.
fn text(dice: &mut Dice) -> Vec<u8> {
    if dice.odds(20) {
        let bytes = dice.at(200);
        return (0..bytes).map(|_| dice.roll(256) as u8).collect();
    }
    let mut text = String::from(if dice.odds(8) { "" } else { "policy 1\n" });
    // Most are short and unchanged; otherwise hardly any would be valid.
    let most = dice.one(&[1, 2, 3, 8]);
    for _ in 0..=dice.at(most) {
        match dice.roll(20) {
            0 => text.push_str(&costly()),
            1 => text.push_str(&costly_exception()),
            _ => text.push_str(dice.one(&LINES)),
        }
        text.push('\n');
    }
    let mut bytes = text.into_bytes();
    let changes = if dice.odds(2) { dice.at(3) } else { 0 };
    for _ in 0..changes {
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

/// Returns mallory's files among those of the others.
fn hostile(dice: &mut Dice) -> MemoryStore {
    let mut store = base().with("members/mallory/m.wall", text(dice));
    for name in ["more", "e"] {
        if dice.odds(3) {
            store = store.with(&format!("members/mallory/{name}.wall"), text(dice));
        }
    }
    for list in ["mine", "drop"] {
        if dice.odds(3) {
            let lines = dice.one(&["192.0.2.1\n", "", "nonsense\n", "198.51.100.0/24\n"]);
            store = store.with(&format!("members/mallory/{list}.txt"), lines);
        }
    }
    if dice.odds(60) {
        // More than a member can name.
        for n in 0..120 {
            store = store.with(&format!("members/mallory/f{n}.wall"), "policy 1\n");
        }
        store = store.with("members/mallory/m.wall", "policy 1\ninclude \"f*.wall\"\n");
    }
    store
}

fn workshop() -> RuleSetBuilder {
    let settings = ServerSettings { today: 20_700, fuel: FUEL, ..ServerSettings::default() };
    RuleSetBuilder::new(settings, Sandbox::new(SandboxLimits::default()))
}

fn made(workshop: &RuleSetBuilder, store: &MemoryStore, previous: Option<&RuleSet>) -> BuildOutput {
    let sources = Sources::gather("root.wall", store);
    workshop.assemble_within(&sources, Purpose::Run, crate::Terms::new(previous, Effort::Reload))
}

/// The clients of mallory's hosts while clients send requests to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hers {
    Nobody,
    /// The clients of the others, which are the same client on all sites.
    Theirs,
    /// Clients that no other site has.
    Own,
}

/// The decisions, as text.
#[derive(Debug, Default, PartialEq)]
struct Verdicts {
    /// On hosts of others, with the fuel used.
    theirs: Vec<String>,
    /// On mallory's hosts.
    hers: Vec<String>,
}

impl Verdicts {
    fn of(rules: &RuleSet, visits: Hers) -> Self {
        let state = State::new(Seed([7; 16]), rules.counter_specs());
        let hosts = ["host.example", "bob.example", "carol.example", "nobody.example"];
        let paths =
            ["/", "/own", "/.env", "/xmlrpc.php", "/few", "/x1", "/mine", "/out", "/few", "/up"];
        let clients = ["192.0.2.1", "192.0.2.99", "198.51.100.7", "203.0.113.5"];
        let mut all = Self::default();
        let mut now = Tick(1_000_000);
        for (n, path) in paths.iter().chain(&paths).chain(&["/trap", "/"]).enumerate() {
            for host in hosts {
                for client in clients {
                    now = now.plus_ms(7);
                    let hers = match visits {
                        Hers::Nobody => None,
                        Hers::Theirs => Some(client),
                        Hers::Own => Some("192.0.2.201"),
                    };
                    for (client, host) in hers.iter().flat_map(|client| {
                        let hosts = ["mallory.example", "a.mallory.example", "d.mallory.example"];
                        hosts.map(|host| (client, host))
                    }) {
                        let decision = rules.decide(&get(client, host, path), &state, now);
                        let by = rules.name(decision.reason);
                        all.hers.push(format!("{n} {host} {client} {:?} {by}", decision.verdict));
                    }
                    let facts = get(client, host, path);
                    let (decision, spent) = rules.decide_metered(&facts, &state, now);
                    let by = rules.name(decision.reason);
                    let banned = decision.reason == Reason::Banned;
                    let said = format!("{:?} {by} {banned} {spent:?}", decision.verdict);
                    all.theirs.push(format!("{n} {host} {client} {said}"));
                }
            }
        }
        all
    }

    /// Checks that the operator's layers decide on mallory's hosts: `self` is without the text.
    fn holds_above(&self, seed: u64, there: &Self) {
        let above = |line: &str| line.contains(" floor.") || line.contains(" guarantee.");
        for (right, is) in self.hers.iter().zip(&there.hers) {
            let is_hosts = above(right) || above(is) || right.ends_with(" ban");
            assert!(
                !is_hosts || right == is,
                "{seed}: on her hosts {is}, without her text {right}"
            );
            let of_hers = is.rsplit(' ').next().unwrap_or_default();
            let others = ["bob", "carol", "host.example", "out-of-fuel"];
            let wrong = others.iter().any(|name| of_hers.starts_with(name));
            assert!(!wrong, "{seed}: on her hosts {is}");
        }
        assert_eq!(self.hers.len(), there.hers.len(), "{seed}");
    }
}

fn is_hers(name: &str) -> bool {
    name == "mallory" || name.starts_with("mallory.")
}

/// Returns the content of a rule set, without mallory's.
fn says(rules: &RuleSet) -> Vec<String> {
    let entries = rules.outline().entries();
    let entries = entries.filter(|entry| entry.kind == "member" || !is_hers(&entry.name));
    let mut all: Vec<String> = entries
        // The owner of a test is known only from its file, which its result contains.
        .filter(|entry| entry.kind != "test")
        .map(|entry| format!("{} {} {}", entry.kind, entry.name, entry.text()))
        .collect();
    let specs = rules.counter_specs().iter().filter(|spec| !is_hers(&spec.name));
    all.extend(specs.map(|spec| format!("{spec:?}")));
    let names = rules.rule_names().iter().filter(|name| !is_hers(name));
    all.extend(names.map(ToString::to_string));
    let summary = rules.summary();
    let lists = summary.lists.iter().filter(|list| !is_hers(&list.name));
    all.extend(lists.map(|list| format!("{list:?}")));
    // The owners of fuel and quarantines.
    let parts = rules.part_summaries();
    all.extend(parts.iter().filter(|part| !is_hers(&part.name)).map(|part| part.name.to_string()));
    for member in rules.members().filter(|member| member.name() != "mallory") {
        all.push(format!("{} {:?}", member.name(), member.digest()));
    }
    all
}

/// Returns the owners of skipped or rejected requests without fuel, without mallory.
fn starved(rules: &RuleSet) -> (u64, Vec<String>) {
    let parts = rules.part_summaries();
    let others = parts.into_iter().filter(|part| !is_hers(&part.name));
    let starved = others.filter(|part| part.passed_over > 0 || part.quarantines > 0);
    (rules.out_of_fuel(), starved.map(|part| format!("{part:?}")).collect())
}

/// Returns all diagnostics for mallory.
fn told(assembly: &BuildOutput) -> Vec<String> {
    let states = assembly.members.iter().filter(|state| &*state.name == "mallory");
    let mut all: Vec<String> = states.map(|state| format!("{state:?}")).collect();
    let of_hers = |file: &str| file.starts_with("members/mallory/");
    let remarks = assembly.diagnostics.iter().filter(|said| of_hers(&said.file));
    all.extend(remarks.map(|said| format!("{said:?}")));
    let tests = assembly.tests.iter().filter(|test| test.member.as_deref() == Some("mallory"));
    all.extend(tests.map(|test| format!("{test:?}")));
    all
}

fn tests(assembly: &BuildOutput) -> Vec<PolicyTestResult> {
    let theirs = assembly.tests.iter().filter(|test| !test.file.contains("mallory"));
    theirs.cloned().collect()
}

/// Reports entries that only one side has.
fn same(seed: u64, what: &str, here: &[String], there: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).take(5).cloned().collect()
    };
    let (more, less) = (only(here, there), only(there, here));
    assert!(here == there, "{seed}: {what}: with her {more:#?}, without her {less:#?}");
}

/// Checks that the counters of all others are unchanged.
fn carried(seed: u64, before: &RuleSet, rules: &RuleSet) {
    let state = State::new(Seed([7; 16]), before.counter_specs());
    let (_, report) = state.carry(rules.counter_specs());
    let others = |specs: &RuleSet| -> BTreeSet<Box<str>> {
        let specs = specs.counter_specs().iter().filter(|spec| !is_hers(&spec.name));
        specs.map(|spec| spec.name.clone()).collect()
    };
    let kept: BTreeSet<Box<str>> = report.kept.into_iter().filter(|name| !is_hers(name)).collect();
    assert_eq!(kept, others(rules), "{seed}: counters over a reload");
}

fn texts() -> u64 {
    std::env::var("ISOLATION_TEXTS").ok().and_then(|n| n.parse().ok()).unwrap_or(TEXTS)
}

/// Checks that each rule of the operator and of the others decides some request. A rule that never
/// acts reveals no fault.
fn everything_acts(verdicts: &Verdicts) {
    let all = [
        "guarantee.up",
        "floor.env",
        "floor.bad",
        "floor.trap",
        "floor.flood",
        "host.example.own",
        "defaults.few",
        "defaults.xmlrpc",
        "defaults.decide",
        "bob.own",
        "bob.mine",
        "bob.near",
        "bob.many",
        "bob.all",
        "bob.few",
        "bob.out",
        "carol.own",
        "carol.few",
        "carol.many",
        "ban",
    ];
    let lines = || verdicts.theirs.iter().chain(&verdicts.hers);
    let acts = |name: &str| lines().any(|line| line.split(' ').any(|word| word == name));
    let idle: Vec<_> = all.into_iter().filter(|name| !acts(name)).collect();
    assert!(idle.is_empty(), "{idle:?} decide nothing");
}

/// The operator and the others without a text of mallory.
struct Without {
    outcomes: Vec<PolicyTestResult>,
    said: Vec<String>,
    /// With mallory's hosts requested by the others' clients, and without requests to them.
    theirs: Verdicts,
    nobody: Verdicts,
}

impl Without {
    fn new(workshop: &RuleSetBuilder) -> Self {
        let plain = made(workshop, &base().with("members/mallory/m.wall", "policy 1\n"), None);
        assert!(plain.members.is_empty() && plain.rules.is_some(), "{:#?}", plain.everything());
        let outcomes = tests(&plain);
        let (host, all) = (outcomes.iter().any(|t| &*t.file == "root.wall"), outcomes.len());
        assert!(host && all == 2 && outcomes.iter().all(|test| test.passed), "{outcomes:?}");
        let rules = plain.rules.unwrap();
        let theirs = Verdicts::of(&rules, Hers::Theirs);
        let nobody = Verdicts::of(&rules, Hers::Nobody);
        assert_eq!(starved(&rules), (0, Vec::new()));
        everything_acts(&theirs);
        for (name, file) in [("bob", "members/bob/b.wall"), ("carol", "members/carol/c.wall")] {
            let alone = made(workshop, &base().with(file, "policy 1\n"), None);
            let alone = Verdicts::of(&alone.rules.unwrap(), Hers::Theirs).theirs;
            let others = |all: &[String]| -> Vec<String> {
                let others = all.iter().filter(|line| !line.contains(&format!(" {name}.example ")));
                others.cloned().collect()
            };
            let what = format!("without {name}");
            same(0, &what, &others(&theirs.theirs), &others(&alone));
        }
        Self { outcomes, said: says(&rules), theirs, nobody }
    }

    /// Checks that nothing differs with `assembly`.
    fn holds(&self, seed: u64, assembly: BuildOutput, previous: Option<&RuleSet>) -> RuleSet {
        let errors = assembly.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let wrong: Vec<_> = errors.collect();
        assert!(wrong.is_empty(), "{seed}: {wrong:#?}");
        let others = assembly.members.iter().filter(|state| &*state.name != "mallory");
        let others: Vec<_> = others.collect();
        assert!(others.is_empty(), "{seed}: others' files are wrong: {others:#?}");
        assert_eq!(assembly.postponed, 0, "{seed}");
        if previous.is_none() {
            assert_eq!(tests(&assembly), self.outcomes, "{seed}");
        }
        let rules = assembly.rules.unwrap_or_else(|| panic!("{seed}: the host is refused"));
        same(seed, "said", &says(&rules), &self.said);
        let theirs = Verdicts::of(&rules, Hers::Theirs);
        same(seed, "verdicts", &theirs.theirs, &self.theirs.theirs);
        self.theirs.holds_above(seed, &theirs);
        let own = Verdicts::of(&rules, Hers::Own);
        same(seed, "verdicts, apart", &own.theirs, &self.nobody.theirs);
        assert_eq!(starved(&rules), (0, Vec::new()), "{seed}: fuel");
        if let Some(previous) = previous {
            carried(seed, previous, &rules);
        }
        rules
    }
}

#[test]
fn nothing_that_a_member_writes_changes_what_is_not_hers() {
    let workshop = workshop();
    let without = Without::new(&workshop);
    let mut running: Option<RuleSet> = None;
    let (mut joined, mut starved, mut tested) = (0_u32, 0_u32, 0_usize);
    for seed in 0..texts() {
        let mut dice = Dice(seed);
        let store = hostile(&mut dice);
        // Half of them follow the previous text, whose part may be kept.
        let previous = running.as_ref().filter(|_| seed % 2 == 1);
        let assembly = made(&workshop, &store, previous);
        if previous.is_none() {
            let other = told(&made(&workshop, &elsewhere(store), None));
            same(seed, "she is told", &told(&assembly), &other);
        }
        tested += told(&assembly).len();
        let rules = without.holds(seed, assembly, previous);
        joined += u32::from(rules.member("mallory").is_some());
        starved += u32::from(rules.part_summaries().iter().any(|part| part.passed_over > 0));
        running = Some(rules);
    }
    // A run without these events proves nothing.
    let often = u32::try_from(texts() / 10).unwrap_or(u32::MAX);
    assert!(joined > often, "{joined} texts were right");
    assert!(tested > 0, "{tested} things were told her");
    assert!(starved > 0 || texts() < TEXTS, "no text of hers took more fuel than she has");
}
