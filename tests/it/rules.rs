//! Authors can write a rule in minutes. A rule that uses too much is ended and costs the others
//! nothing.
//!
//! After 20 failures in 10 seconds a rule is in quarantine, where it has the same result and costs
//! nothing. So the counts of a busy rule are two kinds of failures that add up.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_tests::{
    Origin, Server, Setup, StopAtEnd, fine, get, guest, refused, seawall, wait_until,
};
use serde_json::Value;
use tempfile::TempDir;

/// Hammering clients.
const HAMMERS: u8 = 4;

/// A server whose rule burns at `/burn`, and is answered for with 9.
fn burning(origin: &Origin, name: &str, limits: &str) -> Server {
    let policy = format!(
        "policy 1\nextern f() -> int {{ module \"f.wasm\" {limits} on_failure return 9 }}\n\
         floor {{ rule burns {{ when path == \"/burn\" and f() == 9 then block 410 }} }}\n"
    );
    // What all calls of a request may take together is tried elsewhere.
    let setup = Setup::new(origin.address, &policy);
    let setup = setup
        .limits("evaluation.max_extern_fuel = 1_000_000_000\nevaluation.max_extern_time = \"1s\"");
    setup.write("f.wasm", guest(name));
    setup.start()
}

fn failures(server: &Server, kind: &str) -> u64 {
    let status = server.status();
    status.externs[0].failures[kind]
}

/// One call ends with `kind`, and with the value that stands for failure.
#[track_caller]
fn ends_with(name: &str, limits: &str, kind: &str) {
    let origin = Origin::start();
    let server = burning(&origin, name, limits);
    assert_eq!(server.answers("/burn"), 410);
    assert_eq!(failures(&server, kind), 1, "{:?}", server.status().externs);
    assert_eq!(server.status().externs[0].calls, 1);
    assert_eq!(server.answers("/else"), 200);
}

#[test]
fn a_rule_that_loops_for_ever_ends_on_its_fuel() {
    ends_with("endless-loop", "fuel 50k memory 1MiB time 100ms", "fuel");
}

#[test]
fn a_rule_that_fills_memory_for_ever_ends_on_its_fuel_too() {
    ends_with("bulk-fill", "fuel 50k memory 16MiB time 100ms", "fuel");
}

#[test]
fn a_rule_that_has_fuel_for_a_second_ends_on_its_time() {
    ends_with("endless-loop", "fuel 1000M memory 1MiB time 5ms", "time");
}

#[test]
fn a_rule_in_quarantine_is_told_and_let_back_by_hand() {
    let origin = Origin::start();
    let server = burning(&origin, "endless-loop", "fuel 50k memory 1MiB time 100ms");
    for _ in 0..21 {
        assert_eq!(server.answers("/burn"), 410);
    }
    server.wait_line("rule f failed too often and is in quarantine for 60 s");
    assert_eq!((failures(&server, "fuel"), failures(&server, "quarantined")), (20, 1));
    let status = server.setup.run(&["status"]);
    assert!(status.out.contains("quarantine f: not called for "), "{status:?}");
    let unknown = server.setup.run(&["rule", "enable", "g"]);
    assert!(
        unknown.code == Some(1) && unknown.err.contains("no extern and no member `g`"),
        "{unknown:?}"
    );
    assert_eq!(server.setup.run(&["rule", "enable", "f"]).code, Some(0));
    server.wait_line("rule f left quarantine");
    assert_eq!(server.answers("/burn"), 410);
    assert_eq!((failures(&server, "fuel"), failures(&server, "quarantined")), (21, 1));
}

/// Asks for `/burn` until told to stop; gives back how often.
fn hammer(server: &Server, source: &str, stop: &AtomicBool, done: &AtomicU64) {
    let mut visitor = server.visitor(source);
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(visitor.status("/burn"), 410);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Another client is served while four hammer the rule, which ends in one of these ways.
#[track_caller]
fn others_go_on(name: &str, limits: &str, kinds: &[&str]) {
    let origin = Origin::start();
    let server = burning(&origin, name, limits);
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for n in 1..=HAMMERS {
            let (server, stop, done) = (&server, &stop, &done);
            scope.spawn(move || hammer(server, &format!("127.5.0.{n}"), stop, done));
        }
        let mut visitor = server.visitor("127.5.1.1");
        for round in 0..50 {
            let before = done.load(Ordering::Relaxed);
            assert_eq!(visitor.status("/page"), 200, "round {round}");
            wait_until("the hammering goes on", || done.load(Ordering::Relaxed) > before);
        }
    });
    assert_eq!(origin.requests(), 50);
    let status = server.status();
    let counts = &status.externs[0].failures;
    let sum: u64 = counts.values().sum();
    assert_eq!(sum, done.into_inner(), "every call failed: {counts:?}");
    assert!(kinds.iter().any(|kind| counts[*kind] >= 1), "{counts:?}");
    assert!(counts["quarantined"] >= 1, "{counts:?}");
    assert!(status.externs[0].quarantines >= 1, "{status:?}");
}

#[test]
fn others_are_served_while_four_clients_hammer_an_endless_rule() {
    others_go_on("endless-loop", "fuel 50k memory 1MiB", &["fuel"]);
}

#[test]
fn others_are_served_while_four_clients_hammer_a_rule_that_fills_memory() {
    // A gigabyte is filled in some 15 ms; on a busy machine the clock may come later than that.
    others_go_on("bulk-fill", "fuel 1000M memory 16MiB time 5ms", &["time", "fuel"]);
}

#[test]
fn a_rule_that_traps_is_answered_for() {
    let origin = Origin::start();
    let policy = "policy 1\nextern f(x: bool) -> int { module \"f.wasm\" fuel 50k time 100ms memory 1MiB \
                  on_failure return 9 }\nfloor {\n  rule traps { when path == \"/burn\" and f(true) == 9 \
                  then block 410 }\n  rule works { when path == \"/fine\" and f(false) == 7 then block 418 }\n}\n";
    let setup = Setup::new(origin.address, policy);
    setup.write("f.wasm", guest("trap-on-demand"));
    let server = setup.start();
    for _ in 0..3 {
        assert_eq!((server.answers("/burn"), server.answers("/fine")), (410, 418));
    }
    assert_eq!(failures(&server, "trap"), 3);
}

#[test]
fn a_rule_goes_from_nothing_to_a_live_request() {
    let folder = tempfile::tempdir().unwrap();
    let begun = seawall(folder.path(), &["rule", "new", "--lang", "rust", "hello"]);
    // The guide shows what is printed.
    let guide = include_str!("../../docs/rules.md");
    assert!(guide.contains(fine(&begun)), "{}", begun.out);
    let rule = folder.path().join("hello");
    let built = seawall(&rule, &["rule", "build"]);
    let said = fine(&built);
    assert!(said.contains("no imports, 3 tests"), "{said}");
    assert!(built.err.contains("Compiling hello"), "progress is shown: {}", built.err);
    assert!(fine(&seawall(&rule, &["rule", "test"])).contains("3 passed, 0 failed"));
    assert!(fine(&seawall(&rule, &["rule", "bench"])).contains("maximum"));
    let json: Value =
        serde_json::from_str(fine(&seawall(&rule, &["rule", "inspect", "--json", "hello.wasm"])))
            .unwrap();
    assert_eq!(json["functions"][0]["params"][1]["type"], "headers", "{json:#}");
    assert_eq!((&json["rejected"], json["cases"].as_array().unwrap().len()), (&Value::Null, 3));

    // The extern is the one that `build` printed.
    let (_, declared) = said.split_once("extern ").unwrap();
    assert!(guide.contains(declared.trim_end()), "{declared}");
    let policy = format!(
        "policy 1\nextern {declared}\nfloor {{ rule odd {{ when hello(ua, headers) >= 2 then block 403 }} }}\n"
    );
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy);
    setup.write("wasm/hello.wasm", std::fs::read(rule.join("hello.wasm")).unwrap());
    let checked = setup.run(&["check", "policies/root.wall"]);
    assert!(fine(&checked).contains("0 errors"), "{}", checked.out);
    let server = setup.start();
    let mut visitor = server.visitor("127.1.1.1");
    let mut status = |fields: &str| {
        let request = get("/").replacen("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"), 1);
        visitor.ask(request).unwrap().status
    };
    assert_eq!(status("User-Agent: curl/8.5.0"), 200);
    assert_eq!(status("User-Agent: Mozilla/5.0\r\nAccept: */*"), 403);
    assert_eq!(server.status().externs[0].calls, 2);

    a_rule_that_remembers_fails(&rule);
    a_build_that_leaves_nothing_says_so(&rule);
    what_does_not_compile_says_what_to_write(&rule);
}

/// The rule counts its calls, and answers differently from the hundredth on.
fn a_rule_that_remembers_fails(rule: &Path) {
    let lib = rule.join("src/lib.rs");
    let honest = std::fs::read_to_string(&lib).unwrap();
    let remembers = "    use std::sync::atomic::{AtomicI64, Ordering};\n    \
                     static CALLS: AtomicI64 = AtomicI64::new(0);\n    \
                     if CALLS.fetch_add(1, Ordering::Relaxed) > 100 {\n        return 9;\n    }\n";
    let at = honest.find("    if !ua").unwrap();
    std::fs::write(&lib, format!("{}{remembers}{}", &honest[..at], &honest[at..])).unwrap();
    assert!(seawall(rule, &["rule", "test"]).err.contains("older than its sources"));
    fine(&seawall(rule, &["rule", "build"]));
    let tested = seawall(rule, &["rule", "test"]);
    refused(
        &tested,
        &["cases/browsers.toml:4", "the result is 0 on a fresh instance, and 9", "static"],
    );
    refused(&tested, &["0 passed, 3 failed"]);
    std::fs::write(&lib, honest).unwrap();
}

/// The module of the build before is not taken for that of this one.
fn a_build_that_leaves_nothing_says_so(rule: &Path) {
    let manifest = rule.join("Cargo.toml");
    let honest = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, honest.replace("\"cdylib\", ", "")).unwrap();
    refused(&seawall(rule, &["rule", "build"]), &["crate-type = [\"cdylib\", \"lib\"]"]);
    std::fs::write(&manifest, honest.replace("name = \"hello\"", "name = \"other\"")).unwrap();
    refused(
        &seawall(rule, &["rule", "build"]),
        &["the rule is `hello` in rule.toml and `other` in Cargo.toml"],
    );
    std::fs::write(&manifest, honest).unwrap();
}

fn what_does_not_compile_says_what_to_write(rule: &Path) {
    let lib = rule.join("src/lib.rs");
    let honest = std::fs::read_to_string(&lib).unwrap();
    std::fs::write(&lib, honest.replace("ua: &[u8]", "ua: &str")).unwrap();
    let built = seawall(rule, &["rule", "build"]);
    refused(&built, &["use `&[u8]` for a text", "src/lib.rs:", "see the errors of the compiler"]);
}

/// A rule's folder around a component that was not built from it.
fn folder_of(component: &[u8], case: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let manifest = "name = \"guest\"\nversion = \"0.1.0\"\nabi = \"seawall:rule@0.1.0\"\n\
                    language = \"rust\"\nabout = \"x\"\n";
    write("rule.toml", manifest.as_bytes());
    write("guest.wasm", component);
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    write("cases/a.toml", case.as_bytes());
    folder
}

#[test]
fn hostile_components_are_refused_by_what_they_do() {
    let case = "[[case]]\nname = \"n\"\nfunction = \"f\"\nexpect = 1\n";
    for (name, parts) in [
        ("keeps-state", ["cases/a.toml:1: case `n`", "the result is 1 on a fresh instance, and 2"]),
        ("endless-loop", ["cases/a.toml:1: case `n`", "(fuel): the fuel is exhausted"]),
        ("import-wasi", ["wasi:clocks/monotonic-clock@0.2.0", "a rule cannot have imports"]),
        ("core-module", ["guest.wasm", "the file is a core module"]),
    ] {
        let folder = folder_of(&guest(name), case);
        refused(&seawall(folder.path(), &["rule", "test"]), &parts);
    }
    let folder = folder_of(&guest("keeps-state"), &case.replace("\"f\"", "\"g\""));
    refused(&seawall(folder.path(), &["rule", "test"]), &["cases/a.toml:1", "it has `f`"]);
    let folder = folder_of(&guest("keeps-state"), "");
    refused(&seawall(folder.path(), &["rule", "bench"]), &["no component tests", "cases/*.toml"]);
}

#[test]
fn inspect_says_why_a_component_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let inspect = |bytes: &[u8]| {
        std::fs::write(folder.path().join("x.wasm"), bytes).unwrap();
        let words = ["rule", "inspect", "--json", "x.wasm"];
        let ran = seawall(folder.path(), &words);
        (serde_json::from_str::<Value>(&ran.out).unwrap(), ran)
    };
    let (json, ran) = inspect(&guest("import-wasi"));
    assert_eq!(json["imports"][0], "wasi:clocks/monotonic-clock@0.2.0");
    refused(&ran, &["x.wasm: the component imports `wasi:clocks/monotonic-clock@0.2.0`"]);
    let whole = guest("honest");
    let (json, ran) = inspect(&whole);
    assert_eq!((ran.code, &json["rejected"]), (Some(0), &Value::Null), "{json:#}");
    let (json, ran) = inspect(&whole[..whole.len() / 2]);
    assert_eq!(json["functions"], Value::Null);
    refused(&ran, &["x.wasm: the file is truncated, damaged or not WebAssembly"]);
    refused(&inspect(b"").1, &["x.wasm: the file is truncated"]);
    refused(&inspect(&guest("too-wide-memory")).1, &["x.wasm: the component is invalid"]);
    refused(
        &seawall(folder.path(), &["rule", "inspect", "none.wasm"]),
        &["none.wasm: No such file"],
    );
}

#[test]
fn what_cannot_be_begun_or_built_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let new = |name: &str| seawall(folder.path(), &["rule", "new", "--lang", "rust", name]);
    refused(&new("Hello"), &["`Hello`", "such as `header-oddness`"]);
    refused(&new("../hello"), &["such as `header-oddness`"]);
    refused(&new("path"), &["a keyword of the policy language", "`path-rule`"]);
    std::fs::create_dir(folder.path().join("hello")).unwrap();
    refused(&new("hello"), &["hello already exists"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    refused(
        &seawall(folder.path(), &["rule", "build"]),
        &["no rule.toml in this folder", "seawall rule new"],
    );
    fine(&new("odd"));
    let odd = folder.path().join("odd");
    refused(&seawall(&odd, &["rule", "test"]), &["odd.wasm does not exist", "seawall rule build"]);
    std::fs::write(odd.join("cases/a.toml"), "[[case]]\nname = 1\n").unwrap();
    refused(&seawall(&odd, &["rule", "build"]), &["cases/a.toml", "line 2"]);
}
