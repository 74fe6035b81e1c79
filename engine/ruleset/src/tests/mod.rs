//! Tests of whole policies: from text to verdicts and diagnostics.

mod components;
mod concurrent;
mod edit_storm;
mod floor;
mod fuel;
mod hosts;
mod index_equivalence;
mod isolation;
mod lists;
mod members;
mod methods;
mod missing;
mod networks;
mod never;
mod quotas;
mod searches;

use seawall_model::{
    Client, ClientPrefixes, ConnectionInfo, Decision, Facts, Geo, HeaderView, OriginHealth, Reason,
    Tick, Verdict,
};
use seawall_state::{Seed, State};

use crate::{
    BuildOutput, Effort, MemoryStore, Purpose, RuleSet, RuleSetBuilder, Sandbox, SandboxLimits,
    ServerSettings, Severity, Sources,
};

fn workshop() -> RuleSetBuilder {
    let sandbox = Sandbox::new(SandboxLimits::default());
    RuleSetBuilder::new(ServerSettings { today: 20_700, ..ServerSettings::default() }, sandbox)
}

fn assemble_all(store: &MemoryStore, purpose: Purpose, previous: Option<&RuleSet>) -> BuildOutput {
    workshop().build(&Sources::gather("root.wall", store), purpose, previous)
}

fn assemble(text: &str) -> BuildOutput {
    assemble_all(&MemoryStore::default().with("root.wall", text), Purpose::Check, None)
}

/// Returns the diagnostics of a policy, as `line:column code`.
fn complaints(text: &str) -> Vec<String> {
    let assembly = assemble(&format!("policy 1\n{text}"));
    assembly.everything().iter().map(|d| format!("{}:{} {}", d.line, d.column, d.code)).collect()
}

fn rules(text: &str) -> RuleSet {
    let assembly = assemble(&format!("policy 1\n{text}"));
    assembly.rules.unwrap_or_else(|| panic!("{:#?}", assembly.diagnostics))
}

/// Returns the messages of failed tests.
fn failures(text: &str) -> Vec<String> {
    let outcomes = rules(text).run_tests();
    assert!(!outcomes.is_empty());
    outcomes.into_iter().filter(|o| !o.passed).map(|o| format!("{}: {}", o.line, o.says)).collect()
}

struct NoHeaders;

impl HeaderView for NoHeaders {
    fn any_value<'s>(&'s self, _: &str, _: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        false
    }

    fn first(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
}

fn get<'r>(ip: &str, host: &'r str, path: &'r str) -> Facts<'r> {
    Facts {
        client: Client::of(ip.parse().unwrap(), &ClientPrefixes::default()),
        geo: Geo::default(),
        conn: ConnectionInfo::default(),
        method: "GET",
        host,
        site: host,
        path: path.as_bytes(),
        raw_path: path.as_bytes(),
        script: None,
        query: None,
        headers: &NoHeaders,
        pass: None,
        pass_failures: 0,
        origin: OriginHealth::default(),
        cpu_percent: None,
    }
}

const SLICE: &str = r#"
list bad: cidr = { 192.0.2.128/25, 2001:db8:bad::/48 }
let rate = 3/10s
guarantee { rule acme { when path starts_with "/.well-known/" then allow } }
floor {
  rule drop-list { when client.ip in @bad then drop }
  limit flood    { per client to 5/10s burst 2 then block 429 hold 1m keys 1k }
}
site "alice.example", "*.alice.example" {
  rule xmlrpc { when path == "/xmlrpc.php" then block 404 }
  rule office { when client.ip in { 198.51.100.0/28 } then allow }
}
defaults {
  limit login { where method == POST and path == "/login" per client to rate then block 429 }
  rule tool   { when ua matches r"(?i)^curl/" then tag "tool", score += 50 }
  rule mark   { when tagged("tool") and header("accept") is absent then score += 40 }
  decide { when score >= 80 then block 403  when score >= 50 then block 429  otherwise allow }
}
test "the whole walk" {
  request GET "http://x.example/" from 192.0.2.200
  expect drop by floor.drop-list
  request GET "http://x.example/.well-known/a" from 192.0.2.200
  expect allow by guarantee.acme
  request GET "http://a.alice.example/xmlrpc.php"
  expect block 404 by xmlrpc
  request GET "http://x.example/xmlrpc.php"
  expect pass
}
test "effects add up and the table decides" {
  request GET "http://x.example/" { header "user-agent" "curl/8" }
  expect block 403 by defaults.decide
  request GET "http://x.example/" { header "user-agent" "curl/8" header "accept" "*/*" }
  expect block 429 by defaults.decide
  request GET "http://alice.example/" from 198.51.100.7 { header "user-agent" "curl/8" }
  expect allow by office
}
test "a limit of defaults counts each site apart, and refused requests do not count" {
  request POST "http://x.example/login" times 3
  expect pass
  request POST "http://x.example/login"
  expect block 429 by defaults.login
  request POST "http://y.example/login"
  expect pass
}
test "a floor limit counts the host as a whole, with reserve and hold" {
  request GET "http://x.example/" times 4
  request GET "http://y.example/" times 3
  expect pass
  request GET "http://y.example/"
  expect block 429 by flood
  wait 59s
  request GET "http://y.example/"
  expect block 429 by flood
  wait 2s
  request GET "http://y.example/"
  expect pass
}
test "a path that can be read in two ways is refused before any rule" {
  request GET "http://x.example/%2e%2e/x"
  expect block 400
}
test "lists can be replaced" {
  given @bad = { 203.0.113.0/24 }
  request GET "http://x.example/" from 203.0.113.9
  expect drop
  request GET "http://x.example/" from 192.0.2.200
  expect pass
}
"#;

#[test]
fn the_walk_goes_as_the_page_says() {
    assert_eq!(failures(SLICE), Vec::<String>::new());
}

#[test]
fn a_failing_test_says_what_happened_instead() {
    let text = "floor { rule a { when path == \"/x\" then block 410 } }\n\
                test \"t\" { request GET \"http://x.example/x\"\n expect pass by a }";
    assert_eq!(failures(text), ["4: expected pass by floor.a, got block 410 by floor.a"]);
}

#[test]
fn decide_is_the_same_for_the_same_state_and_time() {
    let rules = rules(SLICE);
    let run = || -> Vec<Decision> {
        let state = State::new(Seed([7; 16]), rules.counter_specs());
        (0..40)
            .map(|n| {
                let ip = format!("203.0.113.{}", n % 3);
                rules.decide(&get(&ip, "x.example", "/"), &state, Tick(1_000 + n * 97))
            })
            .collect()
    };
    assert_eq!(run(), run());
    assert!(run().iter().any(|d| matches!(d.verdict, Verdict::Block { status: 429, .. })));
}

#[test]
fn an_expired_rule_stops_acting_at_its_hour() {
    let rules = rules("floor { rule a { when true then drop expires 2027-01-01 } }");
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let at = |ms| rules.decide(&get("192.0.2.1", "x", "/"), &state, Tick(ms)).verdict;
    assert_eq!(at(1_798_761_599_999), Verdict::Drop);
    assert_eq!(at(1_798_761_600_000), Verdict::Allow);
}

#[test]
fn shadow_never_acts_and_is_told() {
    let rules = rules("floor { shadow rule a { when true then drop } }");
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let tally = seawall_state::DecisionCounters::new(rules.rule_names().len());
    let decision = rules.judge(&get("192.0.2.1", "x", "/"), &state, Tick(1), &tally).decision;
    assert_eq!(decision, Decision { verdict: Verdict::Allow, reason: Reason::Unopposed });
    assert_eq!(
        (tally.shadows(seawall_model::RuleId(0)), tally.hits(seawall_model::RuleId(0))),
        (1, 0)
    );
}

#[test]
fn every_mistake_is_complained_about_at_its_place() {
    for (text, expected) in [
        ("floor { rule a { when pth == \"/\" then drop } }", "2:23 N001"),
        ("floor { rule a { when user_agent == \"x\" then drop } }", "2:23 N001"),
        ("floor { rule a { when client.ip == 10.0.0.0/8 then drop } }", "2:36 T004"),
        ("floor { rule a { when client.ip == \"10.0.0.1\" then drop } }", "2:36 T001"),
        ("floor { rule a { when client.asn == 64500 then drop } }", "2:37 T001"),
        ("floor { rule a { when method == PSOT then drop } }", "2:33 N005"),
        ("floor { rule a { when path in @nope then drop } }", "2:31 N003"),
        ("floor { rule a { when path then drop } }", "2:23 T003"),
        ("floor { rule a { when path > \"a\" then drop } }", "2:30 T002"),
        ("floor { rule a { when ua matches r\"(\" then drop } }", "2:34 T011"),
        ("floor { rule a { when status == 404 then drop } }", "2:23 T013"),
        ("floor { rule a { when lenght(path) > 3 then drop } }", "2:23 N004"),
        ("floor { rule a { when len(client.ip) > 3 then drop } }", "2:27 T005"),
        ("floor { rule a { when true then allow } }", "2:33 C003"),
        ("floor { rule a { when true then block 200 } }", "2:39 T012"),
        ("floor { rule a { then drop } }", "2:14 C001"),
        ("floor { rule a { when true } }", "2:14 C001"),
        ("floor { rule a { when true then drop } rule a { when true then drop } }", "2:45 N010"),
        ("floor { limit a { per client then drop } }", "2:15 C001"),
        ("floor { limit a { per client to nope then drop } }", "2:33 N009"),
        ("floor { limit a { per 10 to 1/1s then drop } }", "2:23 T002"),
        ("floor { decide { otherwise allow } }", "2:9 C002"),
        ("defaults { decide { when score >= 1 then drop } }", "2:12 C001"),
        (
            "defaults { decide { when score >= 1 then drop when score >= 5 then drop otherwise allow } }",
            "2:52 C005",
        ),
        ("list a: cdir = { 10.0.0.0/8 }", "2:9 P001"),
        ("list a: string = file \"x.txt\"", "2:23 C001"),
        ("extern f(x: string) -> int { module \"f.wasm\" fuel 1k memory 1MiB }", "2:8 C001"),
        ("test \"t\" { request GET \"/x\" expect pass }", "2:24 T012"),
        ("test \"t\" { request GET \"http://x/\" expect block by floor.a }", "2:52 N007"),
        ("test \"t\" { request GET \"http://x/\" }", "2:6 C001"),
        ("member alice { hosts { \"alice.example\" } may { block } }", "2:8 C001"),
        ("level bad { enter when path == \"/\" leave after 1m }", "2:24 T014"),
        ("floor { under bad { rule a { when true then drop } } }", "2:15 N006"),
        ("track t { count requests per client over 1m }", "2:7 C001"),
        (
            "track t { count requests over 1m } floor { rule a { when rate(t) > 5/10s then drop } }",
            "2:68 T006",
        ),
        (
            "track t { count distinct path over 1m } floor { rule a { when rate(t) > 5/1m then drop } }",
            "2:68 T010",
        ),
        ("track t { where score > 1 count requests over 1m }", "2:17 T014"),
        ("site \"a\" { disable login }", "2:20 N007"),
        ("floor { disable login }", "2:17 C002"),
        ("defaults { rule a { when path == \"/\" then challenge } }", "2:43 C009"),
        ("floor { rule a { when client.ip in 10.1.0.0/8 then drop } }", "2:36 C018"),
        ("let and = 5", "2:5 N011"),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
}

#[test]
fn what_cannot_be_enforced_is_a_note_to_look_at_and_an_error_to_run() {
    let store = MemoryStore::default()
        .with("root.wall", "policy 1\ndefaults { rule a { when true then challenge } }");
    let severity = |purpose| {
        let assembly = assemble_all(&store, purpose, None);
        (assembly.diagnostics[0].severity, assembly.rules.is_some())
    };
    assert_eq!(severity(Purpose::Check), (Severity::Note, true));
    assert_eq!(severity(Purpose::Run), (Severity::Error, false));
}

#[test]
fn all_errors_of_a_file_come_at_once() {
    let text = "floor {\n rule a { when pth == \"/\" then drop }\n rule b { when true then blok }\n \
                rule c { when method == PSOT then drop }\n}";
    assert_eq!(complaints(text), ["3:16 N001", "4:26 P020", "5:26 N005"]);
}

#[test]
fn includes_come_in_at_their_place_and_never_twice() {
    let store = MemoryStore::default()
        .with(
            "root.wall",
            "policy 1\ninclude \"parts/*.wall\"\nfloor { rule z { when true then drop } }",
        )
        .with("parts/a.wall", "policy 1\nfloor { rule a { when path == \"/a\" then drop } }")
        .with("parts/b.wall", "policy 1\ninclude \"a.wall\"");
    let assembly = assemble_all(&store, Purpose::Run, None);
    assert_eq!(assembly.diagnostics[0].code, "S006", "{:?}", assembly.diagnostics);
    let store =
        store.with("parts/b.wall", "policy 1\nfloor { rule b { when path == \"/b\" then drop } }");
    let names = assemble_all(&store, Purpose::Run, None).rules.unwrap().rule_names().join(" ");
    assert_eq!(names, "floor.a floor.b floor.z");
}

#[test]
fn includes_that_lead_back_end() {
    let store = MemoryStore::default()
        .with("root.wall", "policy 1\ninclude \"a.wall\"")
        .with("a.wall", "policy 1\ninclude \"root.wall\"");
    let assembly = assemble_all(&store, Purpose::Run, None);
    assert_eq!(assembly.diagnostics[0].code, "S006");
}

#[test]
fn absent_values_fail_plain_tests_and_pass_negated_ones() {
    for (condition, holds) in [
        ("header(\"x\") == \"a\"", false),
        ("header(\"x\") != \"a\"", true),
        ("ua contains \"a\"", false),
        ("ua not contains \"a\"", true),
        ("header(\"x\") is absent", true),
        ("header(\"x\") is present", false),
        ("client.asn in { AS1 }", false),
        ("client.asn not in { AS1 }", true),
        ("count_of(header(\"x\")) == 0", true),
        ("len(ua) < 10", false),
        ("not len(ua) < 10", true),
        ("client.country == FR", false),
        ("pass.valid", false),
        ("not (pass.valid or path == \"/\")", false),
        ("method == GET and host == \"X\"", true),
        ("path like \"/*\" and path not like \"/?\"", true),
        ("client in 192.0.2.0/24 and client.net == 192.0.2.0/24", true),
        ("net(client.ip, 16, 48) == 192.0.0.0/16", true),
        ("segment(path, 1) is absent", true),
        ("5 < 3 or path == \"/\"", false),
    ] {
        if condition.starts_with("5 <") {
            assert_eq!(
                complaints(&format!("floor {{ rule a {{ when {condition} then drop }} }}")).len(),
                1
            );
            continue;
        }
        let rules = rules(&format!("floor {{ rule a {{ when {condition} then drop }} }}"));
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        let dropped =
            rules.decide(&get("192.0.2.1", "x", "/"), &state, Tick(1)).verdict == Verdict::Drop;
        assert_eq!(dropped, holds, "{condition}");
    }
}

const ODD: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "odd") (param i32 i32) (result i64)
      (if (i32.eq (local.get 1) (i32.const 4)) (then (loop $l (br $l))))
      (i64.extend_i32_u (local.get 1))))
  (core instance $i (instantiate $m))
  (type $f (func (param "ua" (list u8)) (result s64)))
  (func (export "odd-ua") (type $f) (canon lift (core func $i "odd") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"#;

#[test]
fn a_rule_answers_and_fails_to_its_declared_value() {
    let root = "policy 1\nextern odd_ua(ua: string) -> int { module \"odd.wasm\" fuel 10k memory 64KiB on_failure return 99 }\n\
        floor { rule seven { when odd_ua(ua) == 7 then block 407 }\n rule failed { when odd_ua(ua) == 99 then block 499 } }\n\
        test \"it computes\" { request GET \"http://x/\" { header \"user-agent\" \"1234567\" } expect block 407 by seven }\n\
        test \"a loop ends on its fuel\" { request GET \"http://x/\" { header \"user-agent\" \"1234\" } expect block 499 by failed }\n\
        test \"an absent text is empty\" { request GET \"http://x/\" expect pass }";
    let store = MemoryStore::default()
        .with("root.wall", root)
        .with("odd.wasm", wat::parse_str(ODD).unwrap());
    let assembly = assemble_all(&store, Purpose::Run, None);
    let rules = assembly.rules.unwrap_or_else(|| panic!("{:#?}", assembly.diagnostics));
    let outcomes = rules.run_tests();
    assert!(outcomes.iter().all(|o| o.passed), "{outcomes:#?}");
    let summary = rules.summary();
    // The tests ran once during the build, and once here.
    assert_eq!(summary.externs[0].failures, [("fuel", 2)]);
    assert_eq!(summary.externs[0].calls, 6, "an answer serves all conditions of a request");

    let broken = store.clone().with("odd.wasm", b"\0asm nonsense".to_vec());
    let refused = assemble_all(&broken, Purpose::Run, Some(&rules));
    assert_eq!(refused.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["S007"]);

    let other = root
        .replace("(ua: string) -> int", "(ua: string, n: int) -> int")
        .replace("odd_ua(ua)", "odd_ua(ua, 1)");
    let refused = assemble_all(&store.with("root.wall", other), Purpose::Run, None);
    assert_eq!(refused.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["S008"]);
}

#[test]
fn drawn_complaints_show_the_line_and_the_fix() {
    let store = MemoryStore::default()
        .with("root.wall", "policy 1\nfloor { rule a { when client.asn == 64500 then drop } }\n");
    let sources = Sources::gather("root.wall", &store);
    let assembly = workshop().build(&sources, Purpose::Check, None);
    let text = crate::render(&assembly.diagnostics, &sources, crate::Style::Plain);
    assert!(text.contains("error[T001]") && text.contains("root.wall:2:37"), "{text}");
    assert!(text.contains("AS64500"), "{text}");
}

/// The three example policies of the documentation.
fn examples() -> MemoryStore {
    let at = |path: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/policies/");
        std::fs::read(format!("{root}{path}")).unwrap()
    };
    MemoryStore::default()
        .with("root.wall", at("baseline.wall"))
        .with("under-attack.wall", at("under-attack.wall"))
        .with("members/alice.wall", at("members/alice.wall"))
        .with("members/partner-keys.txt", at("members/partner-keys.txt"))
        .with("lists/bad-asns.txt", at("lists/bad-asns.txt"))
        .with("lists/drop.txt", at("lists/drop.txt"))
}

#[test]
fn the_examples_of_the_language_load_and_pass() {
    let assembly = assemble_all(&examples(), Purpose::Check, None);
    let loud: Vec<_> =
        assembly.diagnostics.iter().filter(|d| d.severity != Severity::Note).collect();
    assert!(loud.is_empty(), "{loud:#?}");
    let outcomes = assembly.rules.unwrap().run_tests();
    let failed: Vec<_> = outcomes.iter().filter(|o| !o.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(outcomes.len(), 10);
}

const MEMBER: &str = r#"policy 1
member alice { hosts { "alice.example" } may { allow, block, tag, limit, test } rules 3 keys 1k file "m/a.wall" }
floor { rule bad { when path == "/bad" then drop } }
defaults {
  limit login { where path == "/login" per client to 2/1m then block 429 hold 10m }
  rule scan { when path == "/scan" then block 404 }
}"#;

fn member(text: &str) -> Vec<String> {
    let store = MemoryStore::default()
        .with("root.wall", MEMBER)
        .with("m/a.wall", format!("policy 1\n{text}"));
    let assembly = assemble_all(&store, Purpose::Run, None);
    let mut found: Vec<String> = assembly
        .everything()
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.code))
        .collect();
    for outcome in assembly.rules.iter().flat_map(RuleSet::run_tests).filter(|o| !o.passed) {
        found.push(outcome.says);
    }
    found
}

#[test]
fn a_member_keeps_to_her_entry() {
    for (text, expected) in [
        ("site \"bob.example\" { rule a { when true then block } }", "m/a.wall:2:6 M001"),
        ("site \"*.alice.example\" { rule a { when true then block } }", "m/a.wall:2:6 M001"),
        ("site \"alice.example\" { rule a { when true then drop } }", "m/a.wall:2:48 M002"),
        ("site \"alice.example\" { rule a { when true then score += 1 } }", "m/a.wall:2:48 M002"),
        ("site \"alice.example\" { list l: ip = { } }", "m/a.wall:2:29 M002"),
        ("floor { rule a { when true then block } }", "m/a.wall:2:1 M002"),
        ("include \"../root.wall\"", "m/a.wall:2:9 M004"),
        ("member eve { hosts { \"x\" } may { block } file \"e.wall\" }", "m/a.wall:2:8 M002"),
        (
            "site \"alice.example\" { rule a { when path == \"/1\" then block } rule b { when path == \"/2\" then block } \
             rule c { when path == \"/3\" then block } rule d { when path == \"/4\" then block } }",
            "m/a.wall:2:149 M003",
        ),
        (
            "site \"alice.example\" { limit a { per client to 1/1s then block keys 2k } }",
            "m/a.wall:2:30 M003",
        ),
    ] {
        assert_eq!(member(text), [expected], "{text}");
    }
}

#[test]
fn a_member_shapes_her_own_hosts_and_nothing_else() {
    let text = r#"site "alice.example" {
  adjust defaults.login { to 4/1m hold 1m unless path == "/login" and ua == "till" }
  disable scan note "we have such a page"
  rule own { when path == "/own" then block 410 }
  rule bad { when path == "/bad" then allow }
}
test "her limit is her own" {
  request GET "http://alice.example/login" times 4
  expect pass
  request GET "http://alice.example/login"
  expect block 429 by defaults.login
  request GET "http://alice.example/login" { header "user-agent" "till" }
  expect pass
}
test "what she disabled is off for her alone" {
  request GET "http://alice.example/scan"
  expect pass
}
test "her rules hold for her alone, and never against the floor" {
  request GET "http://alice.example/own"
  expect block 410 by alice.own
  request GET "http://alice.example/bad"
  expect drop by floor.bad
}"#;
    assert_eq!(member(text), Vec::<String>::new());
}

#[test]
fn levels_are_entered_kept_and_left() {
    let text = r#"
track all { count requests over 10s }
level high { enter when rate(all) > 50/10s sustained 5s leave after 1m }
level worse { enter when rate(all) > 500/10s leave after 10s }
defaults {
  under high { rule a { when path == "/a" then block 429 } }
  under worse { rule b { when path == "/b" then block 430 } }
}
test "it must last" {
  request GET "http://x.example/" times 100 over 3s
  request GET "http://x.example/a"
  expect pass
  request GET "http://x.example/" times 200 over 6s
  request GET "http://x.example/a"
  expect block 429
  request GET "http://x.example/b"
  expect pass
  wait 50s
  request GET "http://x.example/a"
  expect block 429
  wait 30s
  request GET "http://x.example/a"
  expect pass
}
test "a worse level holds what the milder one says" {
  request GET "http://x.example/" times 1000 over 2s
  request GET "http://x.example/b"
  expect block 430
  request GET "http://x.example/a"
  expect block 429
}
test "a quiet hour stays quiet where it is given" {
  given level normal
  request GET "http://x.example/" times 1000 over 2s
  request GET "http://x.example/b"
  expect pass
}
test "given levels hold for the whole test" {
  given level worse
  request GET "http://x.example/b"
  expect block 430
  wait 1h
  request GET "http://x.example/a"
  expect block 429
}"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn tracks_count_before_the_walk_and_after_the_answer() {
    let text = r#"
track asks { count requests per client over 1m keys 1k }
track paths { count distinct path per client over 1m keys 1k }
track missed { on response where status == 404 count requests per client over 1m keys 1k }
track bytes { on response count bytes bytes_out per client over 1m keys 1k }
defaults {
  rule r { when rate(asks) > 3/1m and distinct(paths) <= 2 then block 431 }
  rule d { when distinct(paths) > 4 then block 432 }
  rule m { when count(missed) >= 2 then block 433 }
  rule b { when bytes(bytes) > 10KiB then block 434 }
}
test "the present request is counted too" {
  request GET "http://x/" times 3
  expect pass
  request GET "http://x/"
  expect block 431 by r
}
test "different paths" {
  request GET "http://x/1"
  request GET "http://x/2"
  request GET "http://x/3"
  request GET "http://x/4"
  expect pass
  request GET "http://x/5"
  expect block 432
}
test "answers" {
  request GET "http://x/" { answered 404 } times 2
  expect pass
  request GET "http://x/"
  expect block 433
  request GET "http://x/" from 192.0.2.9 { bytes 20000 }
  expect pass
  request GET "http://x/" from 192.0.2.9
  expect block 434
}"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn a_member_cannot_veto_the_host() {
    let workshop = workshop();
    let good =
        "policy 1\nsite \"alice.example\" { rule own { when path == \"/own\" then block 410 } }";
    let verdict = |rules: &RuleSet, path: &str| {
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        rules
            .decide(&get("192.0.2.1", "alice.example", path), &state, Tick(1))
            .verdict
            .kind()
            .word()
    };
    let at = |store: &MemoryStore, previous: Option<&RuleSet>| {
        let sources = Sources::gather("root.wall", store);
        workshop.assemble_within(
            &sources,
            Purpose::Run,
            crate::Terms::new(previous, Effort::Reload),
        )
    };
    let store = MemoryStore::default().with("root.wall", MEMBER).with("m/a.wall", good);
    let first = at(&store, None).rules.unwrap();
    assert_eq!(verdict(&first, "/own"), "block");

    let stricter = MEMBER.replace("/bad", "/worse");
    let broken = store
        .clone()
        .with("root.wall", stricter.clone())
        .with("m/a.wall", "policy 1\nsite \"alice.example\" { rule }");
    let second = at(&broken, Some(&first));
    assert_eq!(
        (&*second.members[0].name, second.members[0].part),
        ("alice", crate::MemberPart::Kept)
    );
    assert_eq!(
        (second.members[0].diagnostics[0].line, &*second.members[0].diagnostics[0].file),
        (2, "m/a.wall")
    );
    let second = second.rules.unwrap();
    assert_eq!((verdict(&second, "/own"), verdict(&second, "/worse")), ("block", "drop"));

    let third = at(&broken, Some(&second)).rules.unwrap();
    assert_eq!(
        verdict(&third, "/own"),
        "block",
        "the last good part survives any number of reloads"
    );

    let started = at(&broken, None);
    assert_eq!(started.members[0].part, crate::MemberPart::Absent);
    let started = started.rules.unwrap();
    assert_eq!((verdict(&started, "/own"), verdict(&started, "/worse")), ("allow", "drop"));

    let gone =
        at(&broken.clone().with("root.wall", stricter.replace("drop", "dorp")), Some(&first));
    assert!(gone.rules.is_none(), "an error of the host refuses all");
}

#[test]
fn rules_that_never_act_are_refused() {
    let site = |rules: &str| complaints(&format!("defaults {{\n{rules}\n}}"));
    for (earlier, later, hidden) in [
        ("path == \"/a\"", "path == \"/a\"", true),
        ("path starts_with \"/a/\"", "path == \"/a/b\"", true),
        ("path starts_with \"/a/\"", "path starts_with \"/a/b/\"", true),
        ("path starts_with \"/a/\"", "path starts_with \"/a\"", false),
        ("path in { \"/a\", \"/b\" }", "path == \"/b\" and method == GET", true),
        ("path == \"/b\" and method == GET", "path in { \"/b\" }", false),
        ("client.ip in 10.0.0.0/8", "client.ip in { 10.1.0.0/16, 10.9.9.9 }", false),
        ("client.ip in { 10.0.0.0/8 }", "client.ip in { 10.1.0.0/16, 10.9.9.9 }", true),
        ("client.ip in { 10.0.0.0/8 }", "client.ip in { 10.1.0.0/16, 11.9.9.9 }", false),
        ("score >= 40", "score > 80", true),
        ("score >= 80", "score >= 40", false),
        ("true", "path == \"/a\"", true),
        ("path != \"/a\"", "path == \"/b\"", false),
        ("header(\"x\") contains \"a\"", "header(\"x\") == \"ab\"", false),
        ("path == \"/a\" or path == \"/b\"", "path == \"/a\"", false),
        ("ua contains \"bot\"", "ua == \"a bot\"", true),
    ] {
        let rules =
            format!("rule e {{ when {earlier} then block }}\nrule l {{ when {later} then allow }}");
        let found = site(&rules).iter().any(|c| c == "4:6 C004");
        assert_eq!(found, hidden, "{earlier} before {later}");
    }
    for harmless in [
        "shadow rule e { when true then block }\nrule l { when path == \"/\" then allow }",
        "rule e { when true unless path == \"/\" then block }\nrule l { when path == \"/\" then allow }",
        "rule e { when true then score += 1 }\nrule l { when path == \"/\" then allow }",
        "rule e { when true then challenge }\nrule l { when path == \"/\" then block }",
        "limit e { to 1/1s then block }\nrule l { when path == \"/\" then block }",
    ] {
        assert!(!site(harmless).iter().any(|c| c.ends_with("C004")), "{harmless}");
    }
}

#[test]
fn what_is_probably_not_meant_is_told() {
    for (text, expected) in [
        ("floor { rule a { when header(\"x\") != \"a\" then drop } }", "2:23 C011"),
        ("site \"a\" { rule a { when ua == \"x\" then allow } }", "2:26 C012"),
        ("guarantee { rule a { when method == GET then allow } }", "2:27 C013"),
        ("floor { rule a { when client.asn == AS1 then drop } }", "2:23 C014"),
        ("floor { limit a { per client.net to 10/1s then drop } }", "2:23 C016"),
        ("floor { limit a { per cookie(\"s\") to 10/1s then drop } }", "2:23 C017"),
        ("floor { rule a { when ua contains \"Bot\" then drop } }", "2:35 C010"),
    ] {
        assert_eq!(complaints(text), [expected], "{text}");
    }
    for fine in [
        "floor { rule a { when header(\"x\") is present and header(\"x\") != \"a\" then drop } }",
        "site \"a\" { rule a { when ua == \"x\" and client.ip in 10.0.0.0/8 then allow } }",
        "guarantee { rule a { when path == \"/x\" then allow } }",
        "floor { rule a { when ua contains nocase \"Bot\" then drop } }",
    ] {
        assert_eq!(complaints(fine), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn bytes_that_are_no_text_are_drawn_too() {
    for tail in [&b"\xff"[..], b"\xff\xfe\xff", b"\xc3", b"\0", b"# \xf0\x9f\x92"] {
        let text = [&b"policy 1\nfloor { rule a { when true then drop } }\n"[..], tail].concat();
        let store = MemoryStore::default().with("root.wall", text);
        let sources = Sources::gather("root.wall", &store);
        let assembly = workshop().build(&sources, Purpose::Check, None);
        assert_eq!(assembly.diagnostics[0].code, "P007");
        let drawn = crate::render(&assembly.diagnostics, &sources, crate::Style::Plain);
        assert!(drawn.contains("root.wall:3:"), "{drawn}");
    }
}

#[test]
fn a_ban_refuses_everywhere_until_it_ends() {
    let text = r#"
floor { rule x { when path == "/trap" then ban 10m } }
guarantee { rule g { when path == "/g" then allow } }
site "a.example" { rule y { when path == "/own" then ban 10m per client.ip } }
test "of the host" {
  request GET "http://a.example/trap"
  expect ban by floor.x
  request GET "http://b.example/g"
  expect ban
  request GET "http://b.example/" from 192.0.2.9
  expect pass
  wait 10m
  request GET "http://b.example/"
  expect pass
}
test "of a site" {
  request GET "http://a.example/own"
  expect ban by y
  request GET "http://a.example/"
  expect drop
  request GET "http://a.example/g"
  expect allow by guarantee.g
  request GET "http://b.example/"
  expect pass
}"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn the_addresses_of_one_network_are_one_client_of_a_limit() {
    let rules = rules(
        "floor { limit net { where path == \"/net\" per client to 5/1m burst 2 then block keys 20k }\n\
         limit one { where path == \"/one\" per client.ip to 5/1m burst 2 then block keys 20k } }",
    );
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let admitted = |network_bits: u32, path: &str| {
        let passes = |n: &u128| {
            // Spread over the bits below the network, from the highest down.
            let network = 0x2001_0db8_0000_4200_u128 << 64 | u128::from(network_bits) << 96;
            let ip = std::net::Ipv6Addr::from(network | n << (128 - network_bits - 14));
            let decision = rules.decide(&get(&ip.to_string(), "x.example", path), &state, Tick(1));
            decision.verdict == Verdict::Allow
        };
        (0..10_000).filter(passes).count()
    };
    assert_eq!((admitted(64, "/net"), admitted(56, "/net")), (7, 7));
    assert_eq!(admitted(64, "/one"), 10_000, "an address alone is another unit");
}
