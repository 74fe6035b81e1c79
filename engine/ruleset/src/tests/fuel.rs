//! Tests of the maximum cost of one request, for any policy and any request.

use proptest::prelude::*;

use super::*;
use crate::FuelLimits;

/// A request with everything that costs fuel.
#[derive(Default)]
struct Heavy {
    path: Vec<u8>,
    query: Vec<u8>,
    fields: Vec<(&'static str, Vec<u8>)>,
}

impl HeaderView for Heavy {
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        self.fields.iter().any(|(key, value)| *key == name && visit(value))
    }

    fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.fields.iter().for_each(|(key, value)| visit(key.as_bytes(), value));
    }
}

impl Heavy {
    fn query(query: String) -> Self {
        Self { path: b"/".to_vec(), query: query.into_bytes(), ..Self::default() }
    }

    fn field(name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        Self { path: b"/".to_vec(), fields: vec![(name, value.into())], ..Self::default() }
    }

    fn facts<'r>(&'r self, host: &'r str) -> Facts<'r> {
        let path = if self.path.is_empty() { &b"/"[..] } else { &self.path };
        let query = Some(&*self.query).filter(|query| !query.is_empty());
        Facts { path, raw_path: path, query, headers: self, ..get("192.0.2.1", host, "/") }
    }
}

/// Returns a rule set with a member of unlimited rules.
fn hosted(hosts: &str, hers: &str) -> RuleSet {
    hosted_with(FuelLimits::default(), hosts, hers)
}

fn hosted_with(fuel: FuelLimits, hosts: &str, hers: &str) -> RuleSet {
    let made = assembled(fuel, hosts, hers);
    assert!(made.members.is_empty(), "{:#?}", made.members);
    made.rules.unwrap_or_else(|| panic!("{:?}", made.diagnostics))
}

fn assembled(fuel: FuelLimits, hosts: &str, hers: &str) -> BuildOutput {
    let store = MemoryStore::default()
        .with(
            "root.wall",
            format!(
                "policy 1\n{hosts}\nmember alice {{ hosts {{ \"alice.example\" }} \
                 may {{ block, drop, tag, score, limit, track }} rules 100k keys 10k \
                 file \"members/alice.wall\" }}\n"
            ),
        )
        .with("members/alice.wall", format!("policy 1\n{hers}\n"));
    let settings = ServerSettings { fuel, ..ServerSettings::default() };
    let workshop = RuleSetBuilder::new(settings, Sandbox::new(SandboxLimits::default()));
    workshop.build(&Sources::gather("root.wall", &store), Purpose::Run, None)
}

fn hers(rules: &str) -> String {
    format!("site \"alice.example\" {{\n{rules}\n}}")
}

fn state(rules: &RuleSet) -> State {
    State::new(Seed([7; 16]), rules.counter_specs())
}

/// Returns the decision about a request, and its cost.
fn judged(rules: &RuleSet, request: &Heavy, host: &str) -> (String, crate::Spent) {
    let told = rules.decide_metered(&request.facts(host), &state(rules), Tick(1));
    (rules.name(told.0.reason).to_owned(), told.1)
}

/// Returns `n` rules with `tests` tests each.
fn many(n: usize, tests: usize, test: impl Fn(usize) -> String) -> String {
    let when = |rule: usize| {
        let all: Vec<String> = (0..tests).map(|at| test(rule * tests + at)).collect();
        all.join(" or ")
    };
    (0..n).map(|rule| format!("rule r{rule} {{ when {} then block 404 }}\n", when(rule))).collect()
}

const AFTER: &str = "defaults { rule after { when true then block 410 } }";

/// Checks that a member's rules stop at their limit, and that the operator's rules continue.
fn is_passed_over(rules: &str, request: &Heavy) {
    let rules = hosted(AFTER, &hers(rules));
    let (by, spent) = judged(&rules, request, "alice.example");
    assert!(spent.is_passed_over && spent.member <= FuelLimits::default().member, "{spent:?}");
    assert!(spent.host < 1_000, "what is hers costs the host nothing: {spent:?}");
    assert_eq!(by, "defaults.after");
    // On another site nothing changes.
    assert_eq!(judged(&rules, request, "bob.example").0, "defaults.after");
}

/// The same rules as the operator's own.
fn is_refused(rules: &str, request: &Heavy) {
    let rules = hosted(&format!("defaults {{\n{rules}\n}}"), "");
    let told = rules.decide_metered(&request.facts("bob.example"), &state(&rules), Tick(1));
    assert_eq!(told.0.verdict, Verdict::Block { status: 503, retry_after_ms: None });
    assert_eq!(rules.name(told.0.reason), "out-of-fuel");
    assert_eq!(told.1.host, FuelLimits::default().decision);
    assert_eq!(rules.out_of_fuel(), 1);
}

fn noise(bytes: usize) -> Vec<u8> {
    let letter = |n: usize| b'a' + (n.wrapping_mul(2_654_435_761) >> 13) as u8 % 25;
    (0..bytes).map(letter).collect()
}

fn pairs(n: usize, between: &str) -> String {
    (0..n).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join(between)
}

/// 30-regex-step: five expressions of 600 states each over 31 KB.
#[test]
fn an_expression_without_a_small_automaton_is_refused_where_it_stands() {
    let text = "policy 1\nfloor { rule a { when header(\"x\") matches \
                r\"[a-m][a-z]{600}[0-9][0-9]\" then block } }\n";
    let made = assemble(text);
    assert!(made.rules.is_none());
    assert!(
        made.diagnostics.iter().any(|d| d.code == "T011" && d.line == 2),
        "{:?}",
        made.diagnostics
    );
}

/// 30-regex-step, with expressions that are accepted.
#[test]
fn expressions_over_a_long_value_end_at_the_budget() {
    let test = |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]x\"", n % 8 + 1);
    let request = Heavy::field("x", noise(31_000));
    is_passed_over(&many(8, 8, test), &request);
    is_refused(&many(30, 8, test), &request);
}

/// 33-query-step: 20,000 tests of parameters, a query of 30 KB.
#[test]
fn parameters_are_taken_apart_once_and_looked_for_within_the_budget() {
    let request = Heavy::query(pairs(4_000, "&"));
    let test = |n| format!("query(\"k{n}\") == \"z\"");
    is_passed_over(&many(10, 1_000, test), &request);
    is_refused(&many(40, 1_000, test), &request);
}

/// 35-watchdog: the same with two requests at once, and with cookies.
#[test]
fn cookies_are_taken_apart_once_and_looked_for_within_the_budget() {
    let request = Heavy::field("cookie", pairs(4_000, "; "));
    let test = |n| format!("cookie(\"k{n}\") == \"z\"");
    is_passed_over(&many(10, 1_000, test), &request);
    is_refused(&many(30, 1_000, test), &request);
}

/// 34-ordinary-query: a hundred ordinary rules over 30 KB.
#[test]
fn a_hundred_ordinary_rules_bear_the_longest_query() {
    let request = Heavy::query(pairs(4_000, "&"));
    for rule in [
        "query(\"kN\") matches r\"[0-9]+xN\"",
        "query(\"kN\") is absent and path == \"/xN\"",
        "query(\"kN\") == query(\"jN\")",
    ] {
        let of = |n: usize| {
            format!("rule a{n} {{ when {} then block 404 }}\n", rule.replace('N', &n.to_string()))
        };
        let text: String = (0..100).map(of).collect();
        let rules = hosted(&format!("defaults {{\n{text}\n}}"), "");
        let (by, spent) = judged(&rules, &request, "bob.example");
        assert_eq!(by, "unopposed", "{rule}");
        assert!(spent.host < 800_000, "{rule}: {spent:?}");
    }
}

#[test]
fn whatever_grows_with_a_value_ends_at_the_budget() {
    let long = || noise(32_000);
    let a = || vec![b'a'; 32_000];
    let field = |value: Vec<u8>| Heavy::field("x", value);
    let path = Heavy { path: [b"/".to_vec(), long()].concat(), ..Heavy::default() };
    let fields = Heavy {
        fields: (0..100).map(|_| ("x", b"aaaaaaaaab".to_vec())).collect(),
        ..Heavy::query("a&".repeat(16_000))
    };
    let needle = "a".repeat(300);
    let cases: [(&str, String, Heavy); 12] = [
        ("lower", "lower(header(\"x\")) == \"N\"".into(), field(long())),
        ("len", "len(lower(header(\"x\"))) == N".into(), field(long())),
        ("segment", "segment(path, 7) == \"N\"".into(), path),
        ("any value", "header(\"x\") == \"N\"".into(), fields),
        ("nocase", format!("header(\"x\") contains nocase \"{needle}bN\""), field(a())),
        ("contains", format!("header(\"x\") contains \"{needle}bN\""), field(a())),
        (
            "one of many",
            format!("header(\"x\") contains nocase {{ \"{needle}bN\", \"xN\" }}"),
            field(a()),
        ),
        ("in a set", "header(\"x\") in { \"N\", \"xN\" }".into(), field(long())),
        (
            "one with another",
            "header(\"x\") == lower(header(\"x\")) and score == N".into(),
            field(a()),
        ),
        ("how many", "count_of(query(\"a\")) == N".into(), Heavy::query("a&".repeat(16_000))),
        ("sample", "sample(0%, header(\"x\")) and score == N".into(), field(long())),
        ("like", "header(\"x\") like \"*aaab*b\"".into(), field(long())),
    ];
    for (name, test, request) in cases {
        // Not covered by the index.
        let (n_rules, n_tests) = match name {
            "nocase" | "contains" => (20, 50),
            "one of many" => (4, 4),
            "like" => (10, 40),
            _ => (40, 120),
        };
        let test = |n: usize| {
            let n = n + 1;
            format!("({}) or score == {n}", test.replace('N', &n.to_string()))
        };
        let rules = hosted(AFTER, &hers(&many(n_rules, n_tests, test)));
        let (by, spent) = judged(&rules, &request, "alice.example");
        assert_eq!(by, "defaults.after", "{name}");
        assert!(spent.is_passed_over && spent.host < 1_000, "{name}: {spent:?}");
    }
}

#[test]
fn limits_and_tracks_of_a_member_run_on_her_fuel() {
    let keyed = |n| {
        format!(
            "limit l{n} {{ per header(\"x\"), path, client.port, lower(header(\"x-{n}\")) to 5/10s keys 10 then block 429 }}\n"
        )
    };
    let limits: String = (0..300).map(keyed).collect();
    is_passed_over(&limits, &Heavy::field("x", noise(30_000)));
    let track = |n| {
        format!(
            "track t{n} {{ count distinct lower(header(\"x\")) where path != \"/{n}\" per header(\"x\") over 10s keys 10 }}\n"
        )
    };
    let tracks: String = (0..100).map(track).collect();
    is_passed_over(
        &format!("{tracks}{}", many(1, 1, |_| "path == \"/x\"".into())),
        &Heavy::field("x", noise(30_000)),
    );
    let tags: String =
        (0..400).map(|n| format!("rule t{n} {{ when true then tag \"t{n}\" }}\n")).collect();
    let asked: String = many(20, 400, |n| format!("tagged(\"u{n}\")"));
    is_passed_over(&format!("{tags}{asked}"), &Heavy::default());
}

/// The member's own: tags, scores and adjusted defaults.
const SPEAKING: &str = "rule loud { when true then tag \"t\", score += 50 }";

#[test]
fn a_member_whose_fuel_is_empty_is_as_one_without_a_part() {
    let hosts = "defaults {
        rule tagged { when tagged(\"t\") then block 402 }
        limit slow { per client to 1/10s then block 429 }
        rule odd { when header(\"y\") is absent then score += 10 }
        decide { when score >= 40 then block 403 otherwise allow }
    }";
    let costly =
        many(8, 8, |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]x\"", n % 8 + 1));
    let adjust = "disable slow";
    let with = hosted(hosts, &hers(&format!("{SPEAKING}\n{costly}\n{adjust}")));
    let without = hosted(hosts, "");
    let states = [state(&with), state(&without)];
    let request = Heavy::field("x", noise(31_000));
    let facts = request.facts("alice.example");
    for ms in 1..=4 {
        let (got, spent) = with.decide_metered(&facts, &states[0], Tick(ms));
        let (alone, bare) = without.decide_metered(&facts, &states[1], Tick(ms));
        assert!(spent.is_passed_over);
        assert_eq!(
            (with.name(got.reason), got.verdict),
            (without.name(alone.reason), alone.verdict)
        );
        assert_eq!(spent.host, bare.host, "it costs the host what it costs without her");
    }
    // With sufficient fuel, the member's part counts.
    let small = Heavy::field("x", *b"abc");
    assert_eq!(judged(&with, &small, "alice.example").0, "defaults.tagged");
}

#[test]
fn an_exception_of_a_member_from_a_default_runs_on_her_fuel() {
    let hosts =
        "defaults { rule all { when path != \"/never\" unless path == \"/ok\" then block 403 } }";
    let tests: Vec<String> = (0..200)
        .map(|n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]{n}\"", n % 8 + 1))
        .collect();
    let rules = hosted(
        hosts,
        &hers(&format!(
            "adjust all {{ unless {} or header(\"me\") is present }}",
            tests.join(" or ")
        )),
    );
    let (by, spent) = judged(&rules, &Heavy::field("x", noise(31_000)), "alice.example");
    assert_eq!((&*by, spent.is_passed_over), ("defaults.all", true));
    assert!(spent.host < 1_000, "{spent:?}");
    assert_eq!(judged(&rules, &Heavy::field("me", *b"1"), "alice.example").0, "unopposed");
    let ok = Heavy { path: b"/ok".to_vec(), ..Heavy::field("x", noise(31_000)) };
    let (by, spent) = judged(&rules, &ok, "alice.example");
    assert_eq!((&*by, spent.member), ("unopposed", 0), "the host's own exception is asked first");
}

#[test]
fn who_empties_it_again_and_again_is_not_asked_for_a_while() {
    let costly =
        many(8, 8, |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]x\"", n % 8 + 1));
    let rules = hosted(
        "",
        &hers(&format!("rule early {{ when path == \"/stop\" then block 404 }}\n{costly}")),
    );
    let state = state(&rules);
    let heavy = Heavy::field("x", noise(31_000));
    let light = Heavy { path: b"/stop".to_vec(), ..Heavy::default() };
    let ask = |request: &Heavy, ms: u64| {
        let told = rules.decide(&request.facts("alice.example"), &state, Tick(ms));
        rules.name(told.reason).to_owned()
    };
    for n in 0..19 {
        assert_eq!(ask(&heavy, 1_000 + n), "unopposed");
    }
    assert_eq!(ask(&light, 1_019), "alice.early", "at the limit");
    assert_eq!(ask(&heavy, 1_020), "unopposed");
    assert_eq!(ask(&light, 1_021), "unopposed");
    let [part] = &*rules.part_summaries() else { panic!() };
    assert_eq!((&*part.name, part.passed_over, part.quarantines), ("alice", 20, 1));
    assert_eq!(ask(&light, 61_019), "unopposed");
    assert_eq!(ask(&light, 61_020), "alice.early", "after a minute");
    for n in 0..20 {
        ask(&heavy, 70_000 + n);
    }
    assert_eq!(ask(&light, 70_100), "unopposed");
    assert!(rules.enable_extern("alice") && !rules.enable_extern("nobody"));
    assert_eq!(ask(&light, 70_101), "alice.early", "brought back by hand");
}

#[test]
fn an_edit_of_hers_begins_anew_and_one_of_anothers_does_not() {
    let costly =
        many(8, 8, |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]x\"", n % 8 + 1));
    let sources = |hosts: &str, more: &str| {
        let store = MemoryStore::default()
            .with("root.wall", format!("policy 1\n{hosts}member alice {{ hosts {{ \"alice.example\" }} may {{ block }} file \"members/alice.wall\" }}\n"))
            .with("members/alice.wall", format!("policy 1\nsite \"alice.example\" {{ {costly}{more} }}\n"));
        Sources::gather("root.wall", &store)
    };
    let make = |sources: &Sources, before: Option<&RuleSet>| {
        workshop().build(sources, Purpose::Run, before).rules.unwrap()
    };
    let first = make(&sources("", ""), None);
    let request = Heavy::field("x", noise(31_000));
    let state = state(&first);
    for n in 0..25 {
        let _told = first.decide(&request.facts("alice.example"), &state, Tick(1_000 + n));
    }
    let of = |rules: &RuleSet| rules.part_summaries()[0].clone();
    assert_eq!((of(&first).passed_over, of(&first).quarantines), (20, 1));
    let hosts =
        make(&sources("floor { rule x { when path == \"/x\" then drop } }\n", ""), Some(&first));
    assert_eq!(of(&hosts), of(&first));
    let hers = make(&sources("", "rule new { when path == \"/n\" then block }"), Some(&hosts));
    assert_eq!((of(&hers).quarantines, of(&hers).quarantined_until), (0, None));
}

#[test]
fn tests_of_a_policy_and_explanations_are_held_against_nobody() {
    let costly =
        many(8, 8, |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]x\"", n % 8 + 1));
    let value = String::from_utf8(noise(31_000)).unwrap();
    let test = format!(
        "test \"long\" {{ request GET \"http://alice.example/\" from 192.0.2.1 {{ header \"x\" \"{value}\" }} times 50 expect pass }}"
    );
    let rules = hosted(&test, &hers(&costly));
    assert!(rules.run_tests().iter().all(|test| test.passed), "{:?}", rules.run_tests());
    assert_eq!(rules.part_summaries()[0].passed_over, 0);
}

#[test]
fn the_same_requests_are_judged_the_same_a_second_time() {
    let costly =
        many(10, 8, |n| format!("header(\"x\") matches r\"[a-m][a-z]{{{}}}[0-9]{n}\"", n % 8 + 1));
    let text = hers(&format!(
        "{SPEAKING}\nlimit l {{ per header(\"x\") to 2/10s then block 429 }}\n{costly}"
    ));
    let trace = |rules: &RuleSet| {
        let state = state(rules);
        let one = |n: u64| {
            let request = Heavy::field("x", noise((n as usize * 701) % 32_000));
            let told = rules.decide_metered(
                &request.facts("alice.example"),
                &state,
                Tick(1_000 + n * 211),
            );
            (told.0.verdict, told.1)
        };
        (0..200).map(one).collect::<Vec<_>>()
    };
    let hosts = "defaults { rule t { when tagged(\"t\") and path == \"/\" then score += 1 } }";
    let first = trace(&hosted(hosts, &text));
    assert_eq!(first, trace(&hosted(hosts, &text)));
    assert!(first.iter().any(|told| told.1.is_passed_over));
    assert!(first.iter().any(|told| told.1.member > 0 && !told.1.is_passed_over));
}

#[test]
fn a_value_that_a_worker_remembers_costs_the_same_again() {
    let rules = hosted(
        "floor { rule a { when ua contains \"sqlmap\" or ua contains \"nikto\" then drop } }",
        "",
    );
    let request = Heavy::field("user-agent", *b"Mozilla/5.0 (of a kind that no other test has)");
    let costs: Vec<u64> = (0..3).map(|_| judged(&rules, &request, "bob.example").1.host).collect();
    assert!(costs[0] > 0 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

#[test]
fn the_budget_is_met_and_passed_by_one() {
    let rule = many(1, 3, |n| format!("header(\"x\") contains \"zz{n}\""));
    let hosts = format!("floor {{\n{rule}\n}}");
    let request = Heavy::field("x", noise(3_000));
    let (_, spent) = judged(&hosted(&hosts, ""), &request, "bob.example");
    let with = |decision| {
        let fuel = FuelLimits { decision, ..FuelLimits::default() };
        judged(&hosted_with(fuel, &hosts, ""), &request, "bob.example").0
    };
    assert_eq!(with(spent.host), "unopposed");
    assert_eq!(with(spent.host - 1), "out-of-fuel");
    assert_eq!(with(0), "out-of-fuel");
}

#[test]
fn a_condition_and_a_member_have_only_so_many_tests() {
    use seawall_policy::check::TESTS_MAX;
    let floor = |n| {
        format!("policy 1\nfloor {{ {} }}\n", many(1, n, |n| format!("query(\"k{n}\") == \"z\"")))
    };
    assert!(assemble(&floor(TESTS_MAX)).rules.is_some());
    let over = assemble(&floor(TESTS_MAX + 1));
    assert!(
        over.rules.is_none() && over.diagnostics.iter().any(|d| d.code == "C006" && d.line == 2)
    );
    let inner = format!(
        "policy 1\nfloor {{ rule r {{ when path == \"/\" and not ({}) then drop }} }}\n",
        (0..TESTS_MAX).map(|n| format!("ua == \"{n}\"")).collect::<Vec<_>>().join(" or ")
    );
    assert!(assemble(&inner).rules.is_none(), "what stands in parentheses counts too");
    let member = |n| {
        let store = MemoryStore::default()
            .with("root.wall", "policy 1\nmember alice { hosts { \"alice.example\" } may { block } rules 2 file \"a/a.wall\" }\n")
            .with("a/a.wall", format!("policy 1\n{}\n", hers(&many(2, n, |n| format!("ua == \"{n}\"")))));
        workshop().build(&Sources::gather("root.wall", &store), Purpose::Run, None)
    };
    assert!(member(20).members.is_empty());
    let over = member(21);
    let everything = over.everything();
    let errors: Vec<_> = everything.iter().filter(|d| d.severity == Severity::Error).collect();
    assert!(
        matches!(&*errors, [d] if d.code == "M003" && &*d.file == "a/a.wall" && d.line == 4),
        "{errors:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// A search: for any text of a member within the quota, and any 32 KiB of request, neither part
    /// exceeds its limit. If the member's fuel is exhausted, the operator's decision is that
    /// without the member.
    #[test]
    fn no_policy_and_no_request_spend_more_than_they_may(seed in any::<u64>()) {
        let mut dice = TestDice(seed);
        let texts = ["a", "ab", "k1=1&", "aab", "x/"];
        let bytes = |dice: &mut TestDice, n: usize| texts[dice.below(texts.len())].repeat(n).into_bytes()[..n].to_vec();
        let of = |dice: &mut TestDice| {
            ["path", "lower(header(\"x\"))", "header(\"x\")", "query(\"k1\")", "cookie(\"k1\")", "query_string", "segment(path, 3)"][dice.below(7)]
        };
        let mut rules = String::new();
        for n in 0..50 {
            let test = |dice: &mut TestDice| {
                let (of, needle) = (of(dice), texts[dice.below(texts.len())].repeat(dice.below(40) + 1));
                let is = ["contains", "contains nocase", "==", "starts_with", "ends_with"][dice.below(5)];
                match dice.below(4) {
                    0 => format!("{of} matches r\"[a-m][a-z]{{{}}}[0-9]\"", dice.below(8) + 1),
                    1 if is != "==" => format!("{of} {is} {{ \"{needle}{n}\", \"b{n}\" }}"),
                    2 if is != "==" => format!("{of} {is} @texts"),
                    _ => format!("{of} {is} \"{needle}{n}\""),
                }
            };
            let tests: Vec<String> = (0..20).map(|_| test(&mut dice)).collect();
            rules.push_str(&format!("rule r{n} {{ when {} then score += 1 }}\n", tests.join(" or ")));
        }
        let list = format!("list texts: string = {{ \"b\", \"{}c\" }}\n", "ab".repeat(300));
        let made = assembled(FuelLimits::default(), &format!("{list}{AFTER}"), &hers(&rules));
        // A text above the limit for compiled parts is rejected, and uses no fuel.
        prop_assume!(made.members.is_empty());
        let with = made.rules.unwrap();
        for _ in 0..4 {
            let cut = dice.below(24_000);
            let request = Heavy {
                path: [b"/".to_vec(), bytes(&mut dice, 8_000)].concat(),
                query: bytes(&mut dice, cut),
                fields: vec![("x", bytes(&mut dice, 24_000 - cut)), ("cookie", bytes(&mut dice, 8_000))],
            };
            let (by, spent) = judged(&with, &request, "alice.example");
            let most = FuelLimits::default();
            prop_assert!(spent.host <= most.decision && spent.member <= most.member);
            prop_assert_eq!(by, "defaults.after");
        }
    }
}

/// No request exceeds the cost that `check --cost` reports for a rule.
#[test]
fn no_rule_takes_more_than_is_said_of_it() {
    let requests = [
        Heavy::query("a&".repeat(16_000)),
        Heavy::query(pairs(4_000, "&")),
        Heavy::field("cookie", "a=;".repeat(10_000)),
        Heavy::field("x", vec![b'a'; 32_000]),
        Heavy { fields: (0..100).map(|_| ("x", vec![b'a'; 300])).collect(), ..Heavy::default() },
        Heavy { path: [b"/".to_vec(), noise(32_000)].concat(), ..Heavy::default() },
    ];
    for when in [
        "query(\"a\") contains nocase \"b\"",
        "not query(\"a\") == \"b\" and not cookie(\"a\") in { \"b\", \"c\" }",
        "count_of(query(\"a\")) > 20000 or count_of(header(\"x\")) > 200",
        "lower(header(\"x\")) matches r\"[a-m][a-z]{8}[0-9]\" or path.ext == \"zz\"",
        "header(\"x\") starts_with \"b\" or header(\"x\") == lower(header(\"x\"))",
        "not (segment(path, 3) contains \"b\" or len(raw_path) > 40000) and sample(0%, header(\"x\"))",
        "header(\"x\") like \"*ab*ac*\" or content_length > 5 or tagged(\"x\")",
        "header(\"x\") contains nocase { \"b\", \"ac\" } or query(\"a\") ends_with @texts",
        "not path starts_with { \"/b\", \"/ac\" } and header(\"x\") contains nocase @texts",
    ] {
        let rules = hosted(
            &format!(
                "list texts: string = {{ \"b\", \"xyz\" }}\n\
                 defaults {{ rule r {{ when ({when}) or score == 7 then block }} limit l {{ per header(\"x\"), path where true to 9/10s then block 429 }} }}"
            ),
            "",
        );
        let most: u64 = rules.costs().iter().map(|line| line.fuel_max).sum();
        let fuel = FuelLimits { decision: u64::MAX, ..FuelLimits::default() };
        let rules = {
            let mut rules = rules;
            rules.fuel = fuel;
            rules
        };
        for request in &requests {
            let took = judged(&rules, request, "bob.example").1.host;
            assert!(took <= most, "{when}: {took} of {most}");
        }
    }
}

struct TestDice(u64);

impl TestDice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
