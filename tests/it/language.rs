//! Effects of the policy language that a client can observe: reported cases by name, in the running
//! program.

use std::path::Path;

use seawall_tests::{Origin, ROOT, Ran, Setup, get, overwrite, wait_until};

/// A file of a case.
fn case(name: &str, file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases").join(name);
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// What a command says of a policy.
#[track_caller]
fn said(setup: &Setup, words: &str, code: i32) -> Ran {
    let root = format!("policies/{ROOT}");
    let words: Vec<&str> =
        words.split(' ').map(|word| if word == "ROOT" { &root } else { word }).collect();
    let ran = setup.run(&words);
    assert_eq!(ran.code, Some(code), "{words:?}\n{}\n{}", ran.out, ran.err);
    ran
}

fn asks(method: &str) -> String {
    get("/dav/x").replacen("GET", method, 1)
}

#[test]
fn case_09_methods_cannot_be_named() {
    let name = "09-methods-cannot-be-named";
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &case(name, "root.wall"));
    said(&setup, "check --target server ROOT", 0);
    let server = setup.start();
    let mut visitor = server.visitor("127.0.0.9");
    let mut status = |method: &str| visitor.ask(asks(method)).unwrap().status;
    for method in ["PROPFIND", "REPORT", "MKCOL", "MOVE"] {
        assert_eq!(status(method), 200, "{method}");
    }
    for method in ["PATCH", "SEARCH", "PURGE", "propfind"] {
        assert_eq!(status(method), 405, "{method}");
    }
    let key = Setup::new(origin.address, &case(name, "key.wall"));
    let ran = said(&key, "test ROOT", 0);
    assert!(ran.out.contains("1 passed, 0 failed"), "{}", ran.out);
    // Over the wire each has a count of its own, too, registered or not.
    let server = key.start();
    let mut visitor = server.visitor("127.0.0.9");
    for method in ["PROPFIND", "REPORT", "FOO", "BAR"] {
        for _ in 0..3 {
            assert_eq!(visitor.ask(asks(method)).unwrap().status, 200, "{method}");
        }
        assert_eq!(visitor.ask(asks(method)).unwrap().status, 429, "{method}");
    }
    let quoted = "policy 1\nfloor { rule p { when method == \"PURGE\" then block 401 } }\n\
        test \"t\" { request \"PURGE\" \"https://a.example/\" expect block 401 }\n";
    overwrite(&key.policy(ROOT), quoted);
    server.wait_generation(2);
    assert_eq!(visitor.ask(asks("PURGE")).unwrap().status, 401);
    assert_eq!(visitor.ask(asks("PURGED")).unwrap().status, 200);
}

#[test]
fn case_10_negated_test_of_a_missing_source() {
    let policy = case("10-negated-test-of-a-missing-source", "root.wall");
    let setup = Setup::new(Origin::nowhere(), &policy);
    let noted = said(&setup, "check ROOT", 0);
    assert_eq!(noted.err.matches("note[C021]").count(), 3, "{}", noted.err);
    let refused = said(&setup, "check --target server ROOT", 1);
    for place in [":3:56", ":4:42", ":5:55"] {
        assert!(refused.err.contains(&format!("{ROOT}{place}")), "{place}: {}", refused.err);
    }
    assert_eq!(refused.err.matches("error[C021]").count(), 3, "{}", refused.err);
    setup.write_config();
    let ran = setup.run(&["run", "-c", "seawall.toml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("C021") && ran.err.contains("geo.country"), "{}", ran.err);
    // A reload refuses it as well, and what is in force stays; the change that is offered loads.
    overwrite(&setup.policy(ROOT), "policy 1\n");
    let server = setup.start();
    overwrite(&setup.policy(ROOT), &policy);
    let error = server.wait_error();
    assert_eq!(error.code, "C021", "{error}");
    said(&setup, "check --fix --target server ROOT", 1);
    let mended = std::fs::read_to_string(setup.policy(ROOT)).unwrap();
    assert!(mended.contains("client.country is present and client.country not in"), "{mended}");
    let without: Vec<&str> = mended.lines().filter(|line| !line.contains("rule nobots")).collect();
    overwrite(&setup.policy(ROOT), without.join("\n"));
    server.wait_no_error();
    assert_eq!(server.answers("/wp-login.php"), 502, "nobody is locked out");
}

#[test]
fn case_11_log_does_nothing() {
    let name = "11-log-does-nothing";
    let origin = Origin::start();
    let policy = case(name, "root.wall");
    let setup = Setup::new(origin.address, &policy).site("alice.example", origin.address);
    let server = setup.start();
    let mut visitor = server.visitor("127.9.8.7");
    let request: String = case(name, "request.txt");
    assert_eq!(visitor.ask(&request).unwrap().status, 200);
    let line = server.wait_line("floor.look");
    assert_eq!(line, "seawall: alice.example: the rule floor.look applied: hello (generation 1)");
    // So many of them make one line a second, and the next one says how many there were.
    wait_until("the log says what it left out", || {
        for _ in 0..20 {
            assert_eq!(visitor.ask(&request).unwrap().status, 200);
        }
        server.lines().iter().any(|line| line.contains("suppressed since its last line"))
    });
    let lines: Vec<String> =
        server.lines().into_iter().filter(|line| line.contains("floor.look")).collect();
    assert!(lines.len() < 20, "{lines:#?}");
    assert!(server.proxy().policy_log_suppressed >= 10);
    assert!(
        lines.iter().all(|line| !line.contains("127.9.8") && !line.contains("/log")),
        "{lines:#?}"
    );
    // One in shadow acts in nothing, and a text that is too long is none.
    overwrite(&setup.policy(ROOT), policy.replace("rule look", "shadow rule look"));
    server.wait_generation(2);
    let before = server.lines().len();
    for _ in 0..5 {
        assert_eq!(visitor.ask(&request).unwrap().status, 200);
    }
    overwrite(&setup.policy(ROOT), policy.replace("hello", &"x".repeat(201)));
    assert_eq!(server.wait_error().code, "T012");
    server.wait_line("T012");
    let new: Vec<String> = server.lines().split_off(before);
    assert!(!new.iter().any(|line| line.contains("floor.look applied")), "{new:#?}");
}

#[test]
fn case_16_conditions_that_can_never_hold() {
    let policy = case("16-conditions-that-can-never-hold", "root.wall");
    let setup = Setup::new(Origin::nowhere(), &policy);
    let ran = said(&setup, "check ROOT", 0);
    assert_eq!(ran.err.matches("warning[C022]").count(), 9, "{}", ran.err);
    for line in 3..=11 {
        assert!(ran.err.contains(&format!("{ROOT}:{line}:")), "{line}: {}", ran.err);
    }
    said(&setup, "check --strict ROOT", 1);
    // Mended, some of them ask the same, which is an error of its own.
    let after = said(&setup, "check --fix ROOT", 1);
    // Whether any query is meant, only the author knows.
    assert_eq!(after.err.matches("warning[C022]").count(), 1, "{}", after.err);
    assert!(after.err.contains("`query_string is present`"), "{}", after.err);
    let mended = std::fs::read_to_string(setup.policy(ROOT)).unwrap();
    let by_hand = mended.replace("query_string starts_with \"?\"", "query_string is present");
    let twice =
        |line: &&str| !["rule d", "rule h", "rule j"].iter().any(|rule| line.contains(rule));
    let by_hand: Vec<&str> = by_hand.lines().filter(twice).collect();
    overwrite(&setup.policy(ROOT), by_hand.join("\n"));
    let after = said(&setup, "check --strict ROOT", 0);
    assert!(!after.err.contains("C022"), "{}", after.err);
    for meant in [
        r#"path.ext == "php""#,
        r#"(path == "/search" and query_string == "q=x")"#,
        r#"host == "alice.example""#,
        r#"raw_path contains "//""#,
    ] {
        assert!(mended.contains(meant), "{meant} in {mended}");
    }
    // It is said where a server loads it, too.
    overwrite(&setup.policy(ROOT), &policy);
    let server = setup.start();
    server.wait_line("C022");
    assert_eq!(server.answers("/"), 502);
}

#[test]
fn lines_of_other_tools_are_told_what_to_write() {
    let setup = Setup::new(
        Origin::nowhere(),
        "policy 1\nfloor {\n  http-request deny if { path_beg /admin }\n}\n",
    );
    let ran = said(&setup, &format!("check policies/{ROOT}"), 1);
    let told = "here `http-request` is `rule NAME { when … then block }`";
    assert!(ran.err.contains(told) && ran.err.contains("path starts_with"), "{}", ran.err);
}

#[test]
fn what_a_policy_says_of_itself_is_in_the_status() {
    let server = Setup::new(Origin::nowhere(), "policy 1 \"stricter logins\"\n").start();
    assert_eq!(server.status().policy.revision.unwrap(), "stricter logins");
    let ran = server.setup.run(&["status", "-c", "seawall.toml"]);
    assert!(ran.out.contains("revision   stricter logins"), "{}", ran.out);
}
