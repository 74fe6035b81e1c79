//! Tests of components, and of the component tests before they are used.

use super::*;

/// Returns a guest that returns the sum of two lengths, and uses fuel by its first argument.
fn guest(cases: &str) -> Vec<u8> {
    let cases = cases.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let text = format!(
        r#"(component
          (core module $m
            (memory (export "memory") 1)
            (global $at (mut i32) (i32.const 16))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
              (global.get $at)
              (global.set $at (i32.add (global.get $at) (local.get 3))))
            (func (export "f") (param i32 i32 i32 i32) (result i64)
              (local $n i32)
              (local.set $n (local.get 1))
              (loop $again
                (if (i32.gt_s (local.get $n) (i32.const 0))
                  (then (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $again))))
              (i64.extend_i32_u
                (i32.add (i32.mul (local.get 1) (i32.const 10)) (local.get 3)))))
          (core instance $i (instantiate $m))
          (func (export "f") (param "long-one" (list u8)) (param "b" (list u8)) (result s64)
            (canon lift (core func $i "f") (memory (core memory $i "memory"))
              (realloc (core func $i "realloc"))))
          (@custom "seawall:cases" "{cases}"))"#
    );
    wat::parse_str(text).unwrap()
}

const CASE: &str = "[[case]]\nname = \"sums\"\nfunction = \"f\"\nexpect = 41\n\
    args = { long_one = \"four\", b = \"1\" }\n";

fn loaded(params: &str, limits: &str, cases: &str) -> Vec<String> {
    let first = if params.contains("ip") { "client.ip" } else { "path" };
    let store = MemoryStore::default()
        .with(
            "root.wall",
            format!("policy 1\nextern f({params}) -> int {{ module \"f.wasm\" {limits} on_failure return 0 }}\n\
             floor {{ rule r {{ when f({first}, path) == 1 then block 410 }} }}\n"),
        )
        .with("f.wasm", guest(cases));
    let assembly = workshop().build(&Sources::gather("root.wall", &store), Purpose::Check, None);
    let errors = assembly.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| format!("{} {}", d.code, d.message)).collect()
}

const PARAMS: &str = "long_one: string, b: string";
const LIMITS: &str = "fuel 50k memory 1MiB";

#[test]
fn a_component_that_passes_its_cases_is_taken() {
    assert_eq!(loaded(PARAMS, LIMITS, CASE), [""; 0]);
    assert_eq!(loaded(PARAMS, LIMITS, ""), [""; 0]);
    let others = CASE.replace("\"f\"", "\"another\"").replace("41", "true");
    assert_eq!(loaded(PARAMS, LIMITS, &others), [""; 0], "a case of a function that is not used");
}

#[test]
fn one_that_does_not_is_refused_with_the_first_case_that_shows_it() {
    let bad = CASE.replace("41", "42");
    assert_eq!(
        loaded(PARAMS, LIMITS, &format!("{CASE}{bad}{bad}")),
        ["S011 `f.wasm`: its cases:6: case `sums`: it must answer 42, and answers 41; and 1 more"]
    );
}

#[test]
fn an_extern_that_grants_too_little_is_found() {
    let long = CASE.replace("four", &"x".repeat(4_000)).replace("41", "40001");
    assert_eq!(loaded(PARAMS, LIMITS, &long), [""; 0]);
    let found = loaded(PARAMS, "fuel 5k memory 1MiB", &long);
    assert!(found[0].contains("it must answer 40001, and fails (fuel)"), "{found:?}");
}

#[test]
fn an_extern_that_swaps_kinds_is_found() {
    let found = loaded("long_one: ip, b: string", LIMITS, CASE);
    assert!(found.iter().any(|text| text.contains("`four` is not an IP address")), "{found:?}");
}

#[test]
fn cases_that_are_none_are_refused() {
    let found = loaded(PARAMS, LIMITS, "[[case]]\nname = 1\n");
    assert!(found[0].starts_with("S011 `f.wasm`: its cases: "), "{found:?}");
}

#[test]
fn so_many_cases_are_asked_and_no_more() {
    let wrong = CASE.replace("41", "42");
    let at = CASE.repeat(999) + &wrong;
    assert!(loaded(PARAMS, LIMITS, &at)[0].contains("must answer 42"));
    assert_eq!(loaded(PARAMS, LIMITS, &format!("{CASE}{at}")), [""; 0]);
    let slow = "fuel 50k memory 1MiB time 100ms";
    assert!(loaded(PARAMS, slow, &(CASE.repeat(49) + &wrong))[0].contains("must answer 42"));
    assert_eq!(loaded(PARAMS, slow, &(CASE.repeat(50) + &wrong)), [""; 0]);
}

#[test]
fn cases_of_members_take_so_much_time_and_no_more() {
    let each = usize::try_from(crate::MEMBER_CASES_MS_MAX / 100).unwrap();
    let wrong = CASE.replace("41", "42");
    let store = |cases: &[String]| {
        let (mut store, mut root) = (MemoryStore::default(), "policy 1\n".to_owned());
        for (n, cases) in cases.iter().enumerate() {
            root.push_str(&format!(
                "member m{n} {{ hosts {{ \"m{n}.example\" }} may {{ extern, block }} file \"m{n}/a.wall\" }}\n"
            ));
            let policy = format!(
                "policy 1\nextern f({PARAMS}) -> int {{ module \"f.wasm\" {LIMITS} time 100ms \
                 on_failure return 0 }}\nsite \"m{n}.example\" {{ rule r {{ when f(path, path) == 22 \
                 then block 410 }} }}\n"
            );
            // Each is a component of its own.
            let cases = format!("# {n}\n{cases}");
            store = store
                .with(&format!("m{n}/a.wall"), policy)
                .with(&format!("m{n}/f.wasm"), guest(&cases));
        }
        store.with("root.wall", root)
    };
    let workshop = workshop();
    let made = |cases: &[String], previous: Option<&RuleSet>| {
        let sources = Sources::gather("root.wall", &store(cases));
        let terms = crate::Terms::new(previous, Effort::Reload);
        workshop.assemble_within(&sources, Purpose::Run, terms)
    };
    // The last test vector that is run, and the first that is not.
    let at = made(&[CASE.repeat(each - 1) + &wrong], None);
    assert!(at.members[0].diagnostics[0].message.contains("must answer 42"));
    assert!(made(&[CASE.repeat(each) + &wrong], None).members.is_empty());
}

#[test]
fn two_members_of_one_component_share_no_instance() {
    let policy = "policy 1
member a { hosts { \"a.example\" } may { extern, block } file \"a/a.wall\" }
member b { hosts { \"b.example\" } may { extern, block } file \"b/b.wall\" }
";
    let member = |name: &str| {
        format!(
            "policy 1\nextern f({PARAMS}) -> int {{ module \"f.wasm\" {LIMITS} on_failure return 0 }}\n\
             site \"{name}.example\" {{ rule r {{ when f(path, path) == 22 then block 410 }} }}\n"
        )
    };
    let mut store = MemoryStore::default().with("root.wall", policy);
    for name in ["a", "b"] {
        store = store
            .with(&format!("{name}/{name}.wall"), member(name))
            .with(&format!("{name}/f.wasm"), guest(CASE));
    }
    let workshop = workshop();
    let sources = Sources::gather("root.wall", &store);
    let assembled = |previous: Option<&RuleSet>| {
        let assembly = workshop.build(&sources, Purpose::Run, previous);
        assembly.rules.unwrap_or_else(|| panic!("{:#?}", assembly.diagnostics))
    };
    let rules = assembled(Some(&assembled(Some(&assembled(None)))));
    let now = Tick::TEST_START;
    let [one, two] = &rules.externs[..] else { panic!("{:?}", rules.externs) };
    one.call(&[seawall_wasm::Arg::Bytes(b"x"), seawall_wasm::Arg::Bytes(b"y")], now).unwrap();
    assert_eq!((one.stats().calls, two.stats().calls), (1, 0));
}

/// Returns rules that each call a function of their own, at paths of their own.
fn asking(names: &[&str]) -> (String, String) {
    let externs = names.iter().map(|name| {
        format!(
            "extern {name}({PARAMS}) -> int {{ module \"f.wasm\" function \"f\" {LIMITS} \
             on_failure return 0 }}\n"
        )
    });
    let rules = names.iter().map(|name| {
        format!("rule {name} {{ when path == \"/{name}\" and {name}(path, path) == 22 then block 410 }}\n")
    });
    (externs.collect(), rules.collect())
}

#[test]
fn a_member_with_many_functions_leaves_the_others_and_the_host_theirs() {
    let part = |host: &str, names: &[&str]| {
        let (externs, rules) = asking(names);
        format!("policy 1\n{externs}site \"{host}\" {{ {rules} }}\n")
    };
    let (externs, floor) = asking(&["h"]);
    let entry = |name: &str| {
        format!(
            "member {name} {{ hosts {{ \"{name}.x\" }} may {{ block, extern }} file \"{name}/a.wall\" }}\n"
        )
    };
    let root = format!("policy 1\n{externs}floor {{ {floor} }}\n{}{}", entry("ann"), entry("bob"));
    let store = MemoryStore::default()
        .with("root.wall", root)
        .with("ann/a.wall", part("ann.x", &["a", "b", "c", "d"]))
        .with("bob/a.wall", part("bob.x", &["z"]))
        .with("ann/f.wasm", guest(CASE))
        .with("bob/f.wasm", guest(CASE))
        .with("f.wasm", guest(CASE));
    let limits = SandboxLimits { instances_per_member_max: 2, ..SandboxLimits::default() };
    let workshop = RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(limits));
    let all = workshop.build(&Sources::gather("root.wall", &store), Purpose::Run, None);
    assert!(all.everything().is_empty(), "no edit is refused for it: {:?}", all.everything());
    let rules = all.rules.unwrap();
    let state = State::new(Seed([7; 16]), rules.counter_specs());
    let blocks = |host: &str, path: &str| {
        let verdict = rules.decide(&get("192.0.2.1", host, path), &state, Tick(1_000)).verdict;
        matches!(verdict, Verdict::Block { .. })
    };
    let hers = ["/a", "/b", "/c", "/d"].map(|path| blocks("ann.x", path));
    assert_eq!(hers, [true, true, false, false], "two of four, and no answer of the others");
    assert!(blocks("bob.x", "/z"), "another member's");
    assert!(blocks("ann.x", "/h") && blocks("bob.x", "/h"), "the host's");
}
