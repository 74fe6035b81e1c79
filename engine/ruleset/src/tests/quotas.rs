//! Tests of what a member can write, test and find out.

use std::cell::Cell;

use super::*;
use crate::Whose;
use seawall_policy::check::{
    MEMBER_COMPLAINTS_LOOKED_AT_MAX, MEMBER_SITES_MAX, MEMBER_TEST_REQUESTS_MAX, MEMBER_TESTS_MAX,
    counters_memory,
};

const HOST: &str = r#"policy 1
member alice {
  hosts { "alice.example", "*.alice.example" }
  may { allow, block, throttle, tag, score, limit, track, list, test }
  rules 50 keys 20k file "m/alice.wall"
}
member bob {
  hosts { "bob.example" }
  may { allow, block, limit, list, test }
  rules 50 keys 20k file "m/bob.wall"
}
list partners: cidr = { 198.51.100.7 }
guarantee { rule partner { when client.ip in @partners then allow } }
floor { rule bad { when path == "/bad" then drop } }
defaults {
  limit login { where path == "/login" per client to 2/1m then block 429 hold 10m }
  rule scan { when path == "/scan" then block 404 }
  rule late { when path == "/late" then block 403 }
}
"#;

/// Returns the policy with these texts in alice's and bob's files, and more in the operator's.
fn made(alice: &str, bob: &str, host: &str) -> BuildOutput {
    let store = MemoryStore::default()
        .with("root.wall", format!("{HOST}{host}"))
        .with("m/alice.wall", format!("policy 1\n{alice}"))
        .with("m/bob.wall", format!("policy 1\n{bob}"));
    assemble_all(&store, Purpose::Run, None)
}

/// Returns the errors, as `file code`, each once, and the messages.
fn errors(assembly: &BuildOutput) -> (Vec<String>, String) {
    let everything = assembly.everything();
    let errors = everything.iter().filter(|d| d.severity == Severity::Error);
    let mut places: Vec<String> =
        errors.clone().map(|d| format!("{} {}", d.file, d.code)).collect();
    places.dedup();
    let texts = errors.map(|d| format!("{} {} {:?}\n", d.message, d.label, d.help));
    (places, texts.collect())
}

fn says(alice: &str) -> (Vec<String>, String) {
    errors(&made(alice, "", ""))
}

fn outcomes(alice: &str, host: &str) -> Vec<String> {
    let assembly = made(alice, "", host);
    assert!(assembly.rules.is_some(), "{:#?}", assembly.diagnostics);
    assembly.tests.into_iter().filter(|test| !test.passed).map(|test| test.says).collect()
}

#[test]
fn a_members_tests_ask_her_own_hosts_only() {
    let ask = |url: &str| says(&format!("test \"t\" {{ request GET \"{url}\" expect pass }}"));
    for url in
        ["https://alice.example/", "https://ALICE.example:8443/", "https://shop.alice.example./x"]
    {
        assert_eq!(ask(url).0, Vec::<String>::new(), "{url}");
    }
    for url in [
        "https://bob.example/admin",
        "https://bob.example:443/",
        "https://alice.example.bob.example/",
        "https://other.example/",
        "https://alice.example@bob.example/",
        "https://[2001:db8::1]/",
        "https://198.51.100.7/",
    ] {
        let (places, text) = ask(url);
        assert_eq!(places, ["m/alice.wall M001"], "{url}");
        assert!(!text.contains("bob\\."), "{url}");
    }
}

#[test]
fn a_members_tests_see_nothing_in_the_lists_of_others() {
    // The operator's list would exempt this address, but the member's test cannot read the list.
    let probe = r#"
site "alice.example" { rule closed { when path == "/mine" then block 404 } }
test "t" {
  request GET "https://alice.example/mine" from 198.51.100.7
  expect block 404 by alice.closed
}"#;
    assert_eq!(outcomes(probe, ""), Vec::<String>::new());
    let used = r#"
site "alice.example" { rule theirs { when client.ip in @partners then block 404 } }
test "t" { request GET "https://alice.example/x" from 198.51.100.7 expect pass }"#;
    assert_eq!(outcomes(used, ""), Vec::<String>::new());
    // Lists of texts are visible to every request.
    let texts = r#"
list logins: string = { "/login", "/wp-login.php" }
defaults { rule closed { when path in @logins and method == DELETE then block 405 } }"#;
    let asked = r#"test "t" {
  request DELETE "https://alice.example/wp-login.php" expect block 405 by defaults.closed
}"#;
    assert_eq!(outcomes(asked, texts), Vec::<String>::new());
    // Elements in the test count, and the member's own lists are complete.
    let given = r#"
list office: cidr = { 192.0.2.0/24 }
site "alice.example" { rule closed { when client.ip in @office then block 404 } }
test "t" {
  given @partners = { 203.0.113.9 }
  request GET "https://alice.example/mine" from 203.0.113.9
  expect allow by guarantee.partner
  request GET "https://alice.example/mine" from 192.0.2.9
  expect block 404 by closed
}"#;
    assert_eq!(outcomes(given, ""), Vec::<String>::new());
    // The operator's tests and the server use the operator's lists.
    let host = r#"test "t" {
  request GET "https://alice.example/mine" from 198.51.100.7
  expect allow by partner
}"#;
    assert_eq!(outcomes("", host), Vec::<String>::new());
}

#[test]
fn names_of_one_member_are_nothing_to_others() {
    // Two members have a rule `partner`: the last part of the operator's name is still unique.
    let hers = r#"site "alice.example" { rule partner { when path == "/p" then block } }"#;
    let his = r#"site "bob.example" { rule partner { when path == "/p" then block } }"#;
    let host = r#"test "t" { request GET "https://x.example/" from 198.51.100.7 expect allow by partner }"#;
    let assembly = made(hers, his, host);
    assert_eq!(errors(&assembly).0, Vec::<String>::new());
    assert!(assembly.rules.unwrap().run_tests().iter().all(|test| test.passed));
    // Names of another member are neither found nor suggested.
    let his = r#"
list secretive: cidr = { 192.0.2.1 }
site "bob.example" { rule backdoor { when client.ip in @secretive then allow } }"#;
    for text in [
        "test \"t\" { request GET \"https://alice.example/\" expect allow by bob.backdoor }",
        "test \"t\" { request GET \"https://alice.example/\" expect allow by bob.backdor }",
        "test \"t\" { request GET \"https://alice.example/\" expect allow by backdoor }",
        "test \"t\" { given @bob.secretive = { } request GET \"https://alice.example/\" expect pass }",
        "test \"t\" { given @bob.secretiv = { } request GET \"https://alice.example/\" expect pass }",
        "site \"alice.example\" { rule a { when client.ip in @bob.secretiv then block } }",
        "site \"alice.example\" { rule a { when rate(bob.secretiv) > 1/1s then block } }",
    ] {
        let (places, told) = errors(&made(text, his, ""));
        assert!(
            !places.is_empty() && places.iter().all(|at| at.starts_with("m/alice.wall N")),
            "{text}: {places:?}"
        );
        assert!(!told.contains("did you mean"), "{text}: {told}");
    }
    // The member's own names are suggested.
    let (_, told) = says(
        "site \"alice.example\" { rule office { when path == \"/p\" then block } }
         test \"t\" { request GET \"https://alice.example/p\" expect block by alice.ofice }",
    );
    assert!(told.contains("did you mean `alice.office`?"), "{told}");
}

#[test]
fn tests_of_a_member_send_so_many_requests_and_no_more() {
    let test = |name: &str, times: u64| {
        format!(
            "test \"{name}\" {{ request GET \"https://alice.example/\" times {times} expect pass }}\n"
        )
    };
    let half = MEMBER_TEST_REQUESTS_MAX / 2;
    assert_eq!(says(&(test("a", half) + &test("b", half))).0, Vec::<String>::new());
    let (places, told) = says(&(test("a", half) + &test("b", half + 1) + &test("c", 1_000_000)));
    assert_eq!(places, ["m/alice.wall M003"]);
    assert_eq!(told.lines().count(), 1, "told once: {told}");
    assert!(told.contains("send 20001 requests up to here; the maximum is 20000"), "{told}");
    // A regression: two hundred lines of a million requests in one test.
    let lines = "  request GET \"https://alice.example/\" times 1000000\n".repeat(200);
    let (places, _) = says(&format!("test \"t\" {{\n{lines}  expect pass\n}}"));
    assert_eq!(places, ["m/alice.wall M003"]);
    // The requests of bob's tests do not count for alice.
    let bobs = test("c", half).replace("alice", "bob");
    assert_eq!(
        errors(&made(&(test("a", half) + &test("b", half)), &bobs, "")).0,
        Vec::<String>::new()
    );
}

#[test]
fn a_member_has_so_many_tests_and_no_more() {
    let tests = |n: usize| -> String {
        let test =
            |n| format!("test \"t{n}\" {{ request GET \"https://alice.example/\" expect pass }}\n");
        (0..n).map(test).collect()
    };
    assert_eq!(says(&tests(MEMBER_TESTS_MAX)).0, Vec::<String>::new());
    let (places, told) = says(&tests(MEMBER_TESTS_MAX + 50));
    assert_eq!(places, ["m/alice.wall M003"]);
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn the_hosts_tests_have_a_bound_of_their_own() {
    let host = |n: usize| {
        let lines = "  request GET \"https://x.example/\" times 1000000\n".repeat(n);
        format!("test \"t\" {{\n{lines}  expect pass\n}}\n")
    };
    assert_eq!(errors(&made("", "", &host(5))).0, Vec::<String>::new());
    assert_eq!(errors(&made("", "", &host(6))).0, ["root.wall C006"]);
}

#[test]
fn a_rehearsal_is_of_whom_is_meant_and_ends_when_it_is_told_to() {
    let test = |name: &str, host: &str| {
        format!("test \"{name}\" {{ request GET \"https://{host}/\" times 3 expect pass }}\n")
    };
    let alice = test("a1", "alice.example") + &test("a2", "alice.example");
    let rules = made(&alice, &test("b", "bob.example"), &test("h", "x.example")).rules.unwrap();
    let names = |whose: Whose<'_>, go_on: &dyn Fn() -> bool| {
        let done = rules.rehearse_within(whose, go_on);
        let names: Vec<_> = done.outcomes.iter().map(|test| test.name.to_string()).collect();
        (names.join(" "), done.unfinished)
    };
    let all: String = rules.run_tests().iter().map(|test| format!("{} ", test.name)).collect();
    assert_eq!(names(Whose::EVERYBODY, &|| true), (all.trim().to_owned(), vec![]));
    assert_eq!(names(Whose::HOST, &|| true), ("h".to_owned(), vec![]));
    let bobs = Whose { host: false, member: &|name| name == "bob" };
    assert_eq!(names(bobs, &|| true), ("b".to_owned(), vec![]));
    // Called before each request: with four calls, the operator's three are done and one of
    // alice's.
    let left = Cell::new(4_u32);
    let go_on = || left.replace(left.get().saturating_sub(1)) > 0;
    let (done, unfinished) = names(Whose::EVERYBODY, &go_on);
    assert_eq!(done, "h");
    assert_eq!(unfinished, [Some("alice".into()), Some("bob".into())]);
    assert_eq!(rules.run_tests()[1].member.as_deref(), Some("alice"));
}

#[test]
fn waiting_costs_only_as_long_as_levels_can_change() {
    let levels = r#"
track all { count requests over 10s }
level high per site { enter when rate(all) > 50/10s sustained 5s leave after 1m }
"#;
    // Ten thousand days of waiting: the level is left as if each second had been evaluated.
    let host = format!(
        "{levels}test \"t\" {{ request GET \"https://x.example/\" times 1000 over 20s wait 10000d
          request GET \"https://x.example/\" expect pass }}"
    );
    assert_eq!(outcomes("", &host), Vec::<String>::new());
    let waits = |n: usize| {
        let lines = "  request GET \"https://alice.example/\" wait 1d\n".repeat(n);
        format!("test \"t\" {{\n{lines}  expect pass\n}}")
    };
    assert_eq!(outcomes(&waits(10), levels), Vec::<String>::new());
    let said = outcomes(&waits(2_000), levels);
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("look at levels at most 100000 times"), "{said:?}");
}

#[test]
fn counters_of_a_member_are_weighed_against_her_own_quota() {
    let limits = |n: usize, keys: &str| {
        let limit = |n| format!("limit r{n} {{ per client to 5/1m then block {keys} }}\n");
        let all: String = (0..n).map(limit).collect();
        format!("site \"alice.example\" {{\n{all}}}")
    };
    // A regression: more than the limit of the operator. Only the member gets an error.
    assert_eq!(says(&limits(50, "keys 190k")).0, ["m/alice.wall M003"]);
    assert_eq!(says(&limits(120, "keys 190k")).0, ["m/alice.wall M003"]);
    assert_eq!(says(&limits(2, "keys 10k")).0, Vec::<String>::new());
    assert_eq!(says(&limits(2, "keys 10001")).0, ["m/alice.wall M003"]);
    // The counter of `throttle` counts too, alone and in an adjusted default.
    let rules = r#"rule a { when path == "/a" then throttle to 1/1s }"#;
    let hers = made(
        &format!("site \"alice.example\" {{ {rules} adjust scan {{ then throttle to 1/1s }} }}"),
        "",
        "",
    );
    let rules = hers.rules.unwrap_or_else(|| panic!("{:#?}", hers.diagnostics));
    let keys: Vec<_> = rules
        .program
        .counters
        .iter()
        .filter(|c| c.name.starts_with("alice."))
        .map(|c| (&*c.name, c.keys))
        .collect();
    assert_eq!(keys, [("alice.a.throttle", 10_000), ("alice.defaults.scan.throttle", 10_000)]);
    // Bytes: a track without `per` has one key, and takes about 20 KB more for `share`.
    let shares = |n: usize| {
        let track = |n| format!("track t{n} {{ count requests over 10s }}\n");
        let ask = |n| format!("share(t{n}) > 50%");
        let tracks: String = (0..n).map(track).collect();
        let asked: Vec<String> = (0..n).map(ask).collect();
        let rule = format!("rule a {{ when {} then block }}", asked.join(" or "));
        format!("{tracks}site \"alice.example\" {{ {rule} }}")
    };
    assert_eq!(says(&shares(50)).0, Vec::<String>::new());
    assert_eq!(says(&shares(900)).0, ["m/alice.wall M003"]);
    let assembly = made("", "", "");
    let program = assembly.rules.unwrap();
    let memory = counters_memory(&program.program.counters, &crate::http::SCHEMA.counters);
    assert_eq!(memory, program.counter_bytes());
}

#[test]
fn a_host_never_hears_of_what_members_counters_take() {
    let large = |name: &str| format!("limit {name} {{ per client to 5/1m then block keys 9000k }}");
    let host = format!("defaults {{ {} }}", large("big"));
    let hers = format!("site \"alice.example\" {{ {} }}", large("mine"));
    assert_eq!(errors(&made("", "", &host)).0, Vec::<String>::new());
    assert_eq!(errors(&made(&hers, "", &host)).0, ["m/alice.wall M003"]);
    let two = format!("{host}\ndefaults {{ {} }}", large("other"));
    assert_eq!(errors(&made("", "", &two)).0, ["root.wall C019"], "its own are weighed");
}

#[test]
fn what_a_member_writes_is_weighed_and_nothing_past_it_is_built() {
    let site = |stmts: &str| format!("site \"alice.example\" {{\n{stmts}}}\n");
    // Rules: the first one above the quota is the last that is built.
    let rules = |n: usize| -> String {
        (0..n).map(|n| format!("rule r{n} {{ when path == \"/a{n}\" then block }}\n")).collect()
    };
    assert_eq!(says(&site(&rules(50))).0, Vec::<String>::new());
    let (places, told) = says(&site(&rules(5_000)));
    assert_eq!((places, told.lines().count()), (vec!["m/alice.wall M003".to_owned()], 1));
    // Strings, by their bytes. A short `let` stands for many.
    let long = "x".repeat(60_000);
    let texts = |n: usize| {
        let all: Vec<String> = (0..n).map(|n| format!("header(\"h{n}\") == s")).collect();
        let rule = format!("rule a {{ when {} then block }}", all.join(" or "));
        format!("let s = \"{long}\"\n{}", site(&rule))
    };
    assert_eq!(says(&texts(60)).0, Vec::<String>::new());
    assert_eq!(says(&texts(80)).0, ["m/alice.wall M003"]);
    let nets: Vec<String> = (0..20_000).map(|n| format!("10.{}.{}.1", n / 256, n % 256)).collect();
    let many = |n: usize| {
        let test = |n| format!("client.ip not in {{ x, 192.0.{n}.0/24 }}");
        let all: Vec<String> = (0..n).map(test).collect();
        format!(
            "let x = {{ {} }}\n{}",
            nets.join(", "),
            site(&format!("rule a {{ when {} then block }}", all.join(" or ")))
        )
    };
    assert_eq!(says(&many(1)).0, Vec::<String>::new());
    assert_eq!(says(&many(200)).0, ["m/alice.wall M003"]);
    let repeated = format!(
        "let x = {{ {} }}\n{}",
        nets.join(", "),
        site(&format!(
            "rule a {{ when client.ip in {{ {} }} then block }}",
            vec!["x"; 20_000].join(", ")
        ))
    );
    assert_eq!(says(&repeated).0, ["m/alice.wall M003"]);
}

#[test]
fn blocks_and_complaints_of_a_member_are_counted() {
    let sites = |n: usize, inside: &str| -> String {
        (0..n).map(|n| format!("site \"h{n}.alice.example\" {{ {inside} }}\n")).collect()
    };
    let adjust = "adjust login { to 9/1m }";
    assert_eq!(says(&sites(MEMBER_SITES_MAX, adjust)).0, Vec::<String>::new());
    let (places, told) = says(&sites(MEMBER_SITES_MAX + 500, adjust));
    assert_eq!((places, told.lines().count()), (vec!["m/alice.wall M003".to_owned()], 1));
    let nonsense: String = (0..5 * MEMBER_COMPLAINTS_LOOKED_AT_MAX)
        .map(|n| format!("rule r{} {{ when nonsense{n} == 1 then block }}\n", n % 40))
        .collect();
    let assembly = made(&format!("site \"alice.example\" {{\n{nonsense}}}"), "", "");
    assert!(
        assembly.everything().len() <= MEMBER_COMPLAINTS_LOOKED_AT_MAX + 50,
        "{}",
        assembly.everything().len()
    );
}

#[test]
fn defaults_are_shared_however_many_sites_adjust_them() {
    let more: String = (0..100)
        .map(|n| format!("rule d{n} {{ when path == \"/d{n}\" then block 404 }}\n"))
        .collect();
    let sites: String = (0..MEMBER_SITES_MAX)
        .map(|n| {
            format!("site \"h{n}.alice.example\" {{ adjust login {{ to 9/1m }} disable scan }}\n")
        })
        .collect();
    let assembly = made(&sites, "", &format!("defaults {{ {more} }}"));
    let rules = assembly.rules.unwrap_or_else(|| panic!("{:#?}", assembly.diagnostics));
    let own = rules.program.sites.iter().map(|site| site.defaults.as_ref().map_or(0, |d| d.len()));
    assert_eq!(own.sum::<usize>(), 2 * MEMBER_SITES_MAX, "one changed, one disabled, of 103");
    // The rule after a disabled one is found at its position.
    let test = r#"
site "alice.example" { disable scan adjust login { to 3/1m } }
test "t" {
  request GET "https://alice.example/scan" expect pass
  request GET "https://alice.example/late" expect block 403 by defaults.late
  request GET "https://alice.example/login" times 3 expect pass
  request GET "https://alice.example/login" expect block 429 by defaults.login
}"#;
    let host = r#"test "others" {
  request GET "https://bob.example/scan" expect block 404 by defaults.scan
  request GET "https://bob.example/login" times 3 expect block 429 by defaults.login
}"#;
    assert_eq!(outcomes(test, host), Vec::<String>::new());
}

#[test]
fn a_track_of_a_member_counts_her_hosts_only() {
    let hers = r#"
track seen { count requests per client over 1m keys 100 }
site "alice.example" { rule many { when rate(seen) > 2/1m then block 429 } }
site "b.alice.example" { rule too { when rate(seen) > 2/1m then block 429 } }
"#;
    let assembly = made(hers, "", "");
    assert!(assembly.members.is_empty(), "{:#?}", assembly.members);
    let rules = assembly.rules.unwrap();
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    let asks = |host| {
        let decision = rules.decide(&get("192.0.2.1", host, "/"), &state, Tick(1));
        rules.name(decision.reason).to_owned()
    };
    (0..5).for_each(|_| assert_eq!(asks("bob.example"), "unopposed"));
    assert_eq!(asks("alice.example"), "unopposed");
    assert_eq!(asks("b.alice.example"), "unopposed");
    assert_eq!(asks("alice.example"), "alice.many");
}
