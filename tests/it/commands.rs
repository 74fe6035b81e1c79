//! The commands and their exit codes.

use seawall_tests::{Origin, ROOT, Ran, Setup, answering, guest, overwrite};

const POLICY: &str = "policy 1\nfloor { rule no { when path == \"/no\" then block 403 } }\n";
const PASSING: &str = "test \"no\" {\n  request GET \"https://a.example/no\" from 203.0.113.7\n  expect \
                       block 403\n}\n";

fn setup(policy: &str) -> Setup {
    let setup = Setup::new(Origin::nowhere(), policy);
    setup.write_config();
    setup
}

/// Runs `words` on a policy, and holds the exit code against `code`.
#[track_caller]
fn ends(setup: &Setup, words: &str, code: i32) -> Ran {
    let words: Vec<&str> = words.split(' ').collect();
    let ran = setup.run(&words);
    assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
    ran
}

#[test]
fn check_says_whether_a_policy_is_right() {
    let root = format!("policies/{ROOT}");
    let check = format!("check {root}");
    ends(&setup(POLICY), &check, 0);
    ends(&setup(&format!("{POLICY}{PASSING}")), &check, 0);
    let broken = ends(&setup(&POLICY.replace("block", "blokc")), &check, 1);
    assert!(broken.err.contains("2:43") && broken.err.contains("blokc"), "{}", broken.err);
    ends(
        &setup(&format!("{POLICY}{}", PASSING.replace("expect block 403", "expect pass"))),
        &check,
        1,
    );
    let missing = ends(&setup(POLICY), "check policies/none.wall", 1);
    assert!(missing.err.contains("none.wall"), "{}", missing.err);
    ends(&setup(POLICY), &format!("check {root} policies/none.wall"), 1);
    ends(&setup(POLICY), "check", 2);
    ends(&setup(POLICY), "check --no-such-word", 2);
}

#[test]
fn check_shows_what_rules_and_counters_cost() {
    let policy = "policy 1\nfloor {\n  rule cheap { when path == \"/no\" then block }\n  rule dear { when ua \
                  matches r\"^[a-z]{20}$\" then block }\n  limit all { per client to 9/1s then block keys 10k }\n}\n";
    let setup = setup(policy);
    let ran = ends(&setup, &format!("check --cost policies/{ROOT}"), 0);
    assert!(ran.err.contains("note[C015]"), "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].ends_with("0 tests failed, counters take 732.4 KiB"), "{}", ran.out);
    assert_eq!(
        lines[1..],
        [
            "  always     90 ns      98359 fuel at worst  floor.dear",
            "  always     60 ns        223 fuel at worst  floor.all",
            "  indexed     5 ns      32798 fuel at worst  floor.cheap",
            "  limits of one request: 1000000 fuel for the operator's rules, 500000 for the rules of a \
             member",
        ]
    );
    ends(&setup, &format!("check --cost --json policies/{ROOT}"), 2);
}

#[test]
fn check_says_it_to_tools_as_json() {
    let setup = setup(&POLICY.replace("block", "blokc"));
    let ran = ends(&setup, &format!("check --json policies/{ROOT}"), 1);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found[0]["file"], format!("policies/{ROOT}"));
    assert_eq!((found[0]["line"].as_u64(), found[0]["column"].as_u64()), (Some(2), Some(43)));
}

#[test]
fn check_holds_hosts_against_a_configuration_that_is_named() {
    let policy = "policy 1\nsite \"a.exmaple\" { rule x { when path == \"/x\" then block } }\n";
    let setup = setup(policy);
    let root = format!("policies/{ROOT}");
    let alone = ends(&setup, &format!("check --strict {root}"), 0);
    assert!(!alone.err.contains("M005"), "{}", alone.err);
    let held = ends(&setup, &format!("check -c seawall.toml {root}"), 0);
    assert!(
        held.err.contains("M005") && held.err.contains("did you mean `a.example`?"),
        "{held:?}"
    );
    ends(&setup, &format!("check --strict -c seawall.toml {root}"), 1);
    ends(&setup, &format!("test -c seawall.toml {root}"), 0);
    ends(&setup, &format!("explain {root} GET http://a.example/ -c seawall.toml"), 0);
    ends(&setup, &format!("check -c none.toml {root}"), 1);
}

#[test]
fn check_holds_components_against_their_externs() {
    let policy = "policy 1\nextern f() -> int { module \"f.wasm\" fuel 50k memory 1MiB on_failure return \
                  0 }\nfloor { rule x { when f() == 7 then drop } }\n";
    let setup = setup(policy);
    let check = format!("check policies/{ROOT}");
    let missing = ends(&setup, &check, 1);
    assert!(missing.err.contains("f.wasm"), "{}", missing.err);
    setup.write("f.wasm", answering(7));
    ends(&setup, &check, 0);
    setup.write("f.wasm", guest("import-function"));
    ends(&setup, &check, 1);
}

#[test]
fn test_says_whether_the_tests_pass() {
    let test = format!("test policies/{ROOT}");
    let ran = ends(&setup(&format!("{POLICY}{PASSING}")), &test, 0);
    assert!(ran.out.contains("1 passed, 0 failed"), "{}", ran.out);
    let failing = PASSING.replace("block 403", "pass");
    let ran = ends(
        &setup(&format!("{POLICY}{PASSING}{}", failing.replace("\"no\"", "\"two\""))),
        &test,
        1,
    );
    assert!(ran.out.contains("1 passed, 1 failed"), "{}", ran.out);
    assert!(ran.out.contains(&format!("{ROOT}:9:")), "{}", ran.out);
    ends(&setup("policy 1\nfloor {"), &test, 1);
    ends(&setup(POLICY), "test", 2);
}

#[test]
fn an_earlier_flag_or_word_is_a_usage_error_that_names_the_new_one() {
    let setup = setup(POLICY);
    for (words, tip) in [
        ("level attack --for 1h", "use `seawall level set attack --for 1h`"),
        ("level --end", "use `seawall level clear`"),
        ("rule key ours", "use `seawall rule keygen`"),
        ("rollback --lift", "use `--clear-penalties`"),
        ("history 1 --write old", "use `--export old`"),
        ("check --for run policies/root.wall", "use `--target server`"),
        ("fields --format json", "use `--json`"),
    ] {
        let ran = ends(&setup, words, 2);
        assert!(ran.err.contains(tip), "{words}: {}", ran.err);
    }
}

#[test]
fn without_a_server_status_and_reload_end_with_3() {
    let setup = setup(POLICY);
    for word in ["status", "status --json", "reload"] {
        let ran = ends(&setup, &format!("{word} -c seawall.toml"), 3);
        assert!(ran.err.contains("admin.sock"), "{}", ran.err);
        ends(&setup, &format!("{word} --socket run/none.sock"), 3);
        ends(&setup, &format!("{word} --no-such-word"), 2);
        ends(&setup, &format!("{word} -c none.toml"), 1);
    }
    ends(&setup, "sail", 2);
}

#[test]
fn with_a_server_status_and_reload_say_what_is() {
    let server = Setup::new(Origin::nowhere(), POLICY).start();
    let setup = &server.setup;
    assert_eq!(server.answers("/no"), 403);
    let ran = ends(setup, "status -c seawall.toml", 0);
    assert!(
        ran.out.contains("generation 1 of") && ran.out.contains("last error none"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("floor.no: 1"), "{}", ran.out);
    let ran = ends(setup, "reload", 0);
    assert!(ran.out.contains("no change: generation 1 stays active"), "{}", ran.out);
    overwrite(&setup.policy(ROOT), "policy 1\nfloor {");
    let ran = ends(setup, "reload", 1);
    assert!(ran.err.contains("rejected: generation 1 stays active"), "{}", ran.err);
    let ran = ends(setup, "status", 0);
    assert!(ran.out.contains(&format!("last error {ROOT}:2:")), "{}", ran.out);
    overwrite(&setup.policy(ROOT), "policy 1\n");
    // Whether the command or the watch comes first, the outcome stands when the command ends.
    ends(setup, "reload", 0);
    assert_eq!(server.status().policy.generation, 2);
    assert_eq!(server.status().decisions["block"], 1, "counted over generations");
}

#[test]
fn the_admin_socket_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Setup::new(Origin::nowhere(), POLICY).start();
    let mode = |name: &str| {
        std::fs::metadata(server.folder().join(name)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("run/admin.sock"), mode("run")), (0o600, 0o700));
}
