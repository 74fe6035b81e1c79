//! Rules in JavaScript and Python. Tests without external tools always run. Builds run if
//! `SEAWALL_RULES_ALL=1` allows to download their packages (`cargo xtask rules --all`).

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use seawall_tests::{
    COMPILED, Origin, ROOT, Setup, Stopwatch, binary, fine, get, overwrite, refused, seawall,
};
use serde_json::Value;

/// A new rule `hello` in this language, below `folder`.
#[track_caller]
fn begin(folder: &Path, language: &str) -> std::path::PathBuf {
    fine(&seawall(folder, &["rule", "new", "--lang", language, "hello"]));
    folder.join("hello")
}

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn a_rule_begins_as_its_guide_shows_it() {
    let guide = include_str!("../../docs/rules.md");
    for language in ["js", "python"] {
        let folder = tempfile::tempdir().unwrap();
        let begun = seawall(folder.path(), &["rule", "new", "--lang", language, "hello"]);
        assert!(guide.contains(fine(&begun)), "{}", begun.out);
        for line in begun.out.lines().filter(|line| !line.contains(' ')) {
            assert!(folder.path().join(line).exists(), "{line}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let new = |lang, name| seawall(folder.path(), &["rule", "new", "--lang", lang, name]);
    refused(&new("js", "delete"), &["a keyword of JavaScript", "`delete-rule`"]);
    refused(&new("python", "lambda"), &["a keyword of Python", "`lambda-rule`"]);
    assert_eq!(new("cobol", "hello").code, Some(2));
}

#[test]
fn without_its_tools_a_build_says_in_one_message_what_to_install() {
    for (language, parts) in [
        (
            "js",
            [
                "Node.js 18 or later with npm is missing",
                "apt-get install nodejs npm",
                "node_modules/",
            ],
        ),
        (
            "python",
            ["Python 3.10 or later is missing", "apt-get install python3 python3-venv", ".venv/"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let rule = begin(folder.path(), language);
        let mut build = Command::new(binary());
        build.args(["rule", "build"]).current_dir(&rule).env("PATH", folder.path());
        let output = build.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        // The world comes from rule.toml alone, so it is there already.
        let world = std::fs::read_to_string(rule.join("target/wit/world.wit")).unwrap();
        assert!(world.contains("export %hello: func(%ua: text, %all: headers) -> s64;"), "{world}");
        refused(
            &seawall(&rule, &["rule", "test"]),
            &["hello.wasm does not exist", "seawall rule build"],
        );
    }
}

#[test]
fn mistakes_in_a_folder_are_found_before_any_tool_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let rule = begin(folder.path(), "js");
    let manifest = rule.join("rule.toml");
    let good = std::fs::read_to_string(&manifest).unwrap();
    for (from, to, parts) in [
        ("result = \"int\"\n", "", ["function `hello`", "`params` and `result` are missing"]),
        (
            "\"ua: string\"",
            "\"ua: text\"",
            ["function `hello`", "bool, int, string, ip or headers"],
        ),
        ("language = \"js\"", "language = \"cobol\"", ["`cobol`", "`rust`, `js`, `python`"]),
        ("[[function]]", "[[functions]]", ["rule.toml", "functions"]),
    ] {
        std::fs::write(&manifest, good.replace(from, to)).unwrap();
        refused(&seawall(&rule, &["rule", "build"]), &parts);
    }
    std::fs::write(&manifest, &good[..good.find("[[function]]").unwrap()]).unwrap();
    refused(&seawall(&rule, &["rule", "build"]), &["declares 0 functions", "[[function]]"]);
    std::fs::write(&manifest, good).unwrap();
    std::fs::write(rule.join("rule.ts"), "").unwrap();
    refused(&seawall(&rule, &["rule", "build"]), &["rule.js and rule.ts", "keep one"]);
    std::fs::remove_file(rule.join("rule.ts")).unwrap();
    std::fs::remove_file(rule.join("rule.js")).unwrap();
    refused(&seawall(&rule, &["rule", "build"]), &["no rule.js and no rule.ts"]);
    let other = tempfile::tempdir().unwrap();
    let rule = begin(other.path(), "python");
    std::fs::remove_file(rule.join("rule.py")).unwrap();
    refused(&seawall(&rule, &["rule", "build"]), &["no rule.py in this folder"]);
}

/// Whether the tools may be used, and are there; says aloud what is left out.
fn may(test: &str, tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = |tool: &&&str| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    let missing = tools.iter().find(|tool| !is_here(tool));
    let why = match missing {
        _ if std::env::var_os("SEAWALL_RULES_ALL").is_none() => "SEAWALL_RULES_ALL is not set",
        Some(tool) => tool,
        None => return true,
    };
    // Past what the harness captures, so that it is said aloud.
    std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
    false
}

/// The commands of a rule's life, from a new folder to the `extern` that was printed.
#[track_caller]
fn lives(rule: &Path) -> String {
    let built = seawall(rule, &["rule", "build"]);
    let said = fine(&built).to_owned();
    assert!(said.contains("no imports, 3 tests"), "{said}");
    assert!(built.err.contains("installing the packages"), "progress is shown: {}", built.err);
    let again = seawall(rule, &["rule", "build"]);
    assert_eq!(fine(&again), said);
    assert!(again.err.contains("is built from these sources already"), "{}", again.err);
    assert!(fine(&seawall(rule, &["rule", "test"])).contains("3 passed, 0 failed"));
    assert!(fine(&seawall(rule, &["rule", "bench"])).contains("maximum"));
    let json: Value =
        serde_json::from_str(fine(&seawall(rule, &["rule", "inspect", "--json", "hello.wasm"])))
            .unwrap();
    assert_eq!(json["functions"][0]["params"][1]["type"], "headers", "{json:#}");
    assert_eq!((&json["rejected"], &json["imports"]), (&Value::Null, &Value::Array(Vec::new())));
    said.split_once("extern ").unwrap().1.to_owned()
}

/// A server answers with it.
fn serves(rule: &Path, declared: &str) {
    let policy = format!(
        "policy 1\nextern {declared}\nfloor {{ rule odd {{ when hello(ua, headers) >= 2 then block 403 }} }}\n"
    );
    let origin = Origin::start();
    let setup = Setup::new(origin.address, "policy 1\n");
    setup.write("wasm/hello.wasm", std::fs::read(rule.join("hello.wasm")).unwrap());
    let server = setup.start();
    overwrite(&setup.policy(ROOT), policy);
    let watch = Stopwatch::start();
    while server.status().externs.is_empty() {
        assert!(watch.elapsed() < COMPILED, "{:?}", server.status());
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let mut visitor = server.visitor("127.1.1.1");
    let mut status = |fields: &str| {
        let request = get("/").replacen("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n"), 1);
        visitor.ask(request).unwrap().status
    };
    assert_eq!(status("User-Agent: curl/8.5.0"), 200);
    assert_eq!(status("User-Agent: Mozilla/5.0\r\nAccept: */*"), 403);
    let external = &server.status().externs[0];
    let failed: u64 = external.failures.values().sum();
    assert_eq!((external.calls, failed), (2, 0), "{external:?}");
}

/// The rule with this in it does not get through: neither the build nor the cases, and what is said
/// holds all of these.
#[track_caller]
fn is_found(file: &Path, from: &str, to: &str, parts: &[&str]) {
    let honest = std::fs::read_to_string(file).unwrap();
    change(file, from, to);
    let rule = file.parent().unwrap();
    let built = seawall(rule, &["rule", "build"]);
    if built.code == Some(0) {
        refused(&seawall(rule, &["rule", "test"]), parts);
    } else {
        refused(&built, parts);
    }
    std::fs::write(file, honest).unwrap();
}

#[test]
fn a_rule_in_javascript_goes_from_nothing_to_a_live_request() {
    if !may("a rule in JavaScript", &["node", "npm"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rule = begin(folder.path(), "js");
    let declared = lives(&rule);
    assert!(include_str!("../../docs/rules.md").contains(declared.trim_end()), "{declared}");
    serves(&rule, &declared);
    let file = rule.join("rule.js");
    let first = "  if (!ua";
    let with = |line: &str| format!("  {line}\n{first}");
    let found = |line: &str, parts: &[&str]| is_found(&file, first, &with(line), parts);
    found("const x = ;", &["rule.js:22:12", "Unexpected \";\""]);
    // One build for three cases: each of them must end in its own way.
    let each = |firefox: &str, tool: &str, curl: &str| {
        format!(
            "if (ua.includes(\"Firefox\")) {firefox}\n  if (ua.includes(\"Windows\")) {tool}\n  {curl}"
        )
    };
    let none = ["0 passed, 3 failed", "own test"];
    found(&each("return Math.random();", "return Date.now();", "return +new Date();"), &none);
    found(&each("return NaN;", "return \"3\";", "return 2 ** 53;"), &none);
    let endless = "for (;;);";
    let hoards = "return new ArrayBuffer(1 << 26).byteLength;";
    let deep = "return (function f() { return 1 + f(); })();";
    let kinds = ["answer (fuel)", "answer (memory)", "answer (trap)"];
    found(&each(endless, hoards, deep), &kinds);
    found(
        "globalThis.calls = (globalThis.calls ?? 0) + 1; if (globalThis.calls > 100) return 9;",
        &["on a fresh instance", "after other calls"],
    );
    is_found(
        &file,
        "const EXPECTED",
        "const SEED = Math.random();\nconst EXPECTED",
        &["a rule has no chance", "rule.js:9"],
    );
    is_found(&file, "export function hello", "export function other", &["rule.js", "\"hello\""]);
    is_typescript_too(&rule);
}

/// Under another name it is TypeScript, and what it imports is bundled with it.
fn is_typescript_too(rule: &Path) {
    std::fs::remove_file(rule.join("rule.js")).unwrap();
    std::fs::write(rule.join("expected.ts"), "export const EXPECTED: string[] = [\"accept\"];\n")
        .unwrap();
    let text = "import type { Headers } from \"./sdk/index.js\";\nimport { EXPECTED } from \
                \"./expected.ts\";\n\nexport function hello(ua: string, all: Headers): number {\n  \
                return EXPECTED.some((name: string): boolean => all.has(name)) && \
                ua.startsWith(\"Mozilla/\") ? 2 : 0;\n}\n";
    std::fs::write(rule.join("rule.ts"), text).unwrap();
    fine(&seawall(rule, &["rule", "build"]));
    refused(
        &seawall(rule, &["rule", "test"]),
        &["the result is 2, but 0 was expected", "2 passed"],
    );
}

#[test]
fn a_rule_in_python_goes_from_nothing_to_a_live_request() {
    if !may("a rule in Python", &["python3"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rule = begin(folder.path(), "python");
    let declared = lives(&rule);
    assert!(include_str!("../../docs/rules.md").contains(declared.trim_end()), "{declared}");
    serves(&rule, &declared);
    let file = rule.join("rule.py");
    let first = "    if not ua";
    let with = |line: &str| format!("    {line}\n{first}");
    let found = |line: &str, parts: &[&str]| is_found(&file, first, &with(line), parts);
    found("x = 1 +", &["File \"rule.py\", line 19", "SyntaxError"]);
    is_found(&file, "def hello", "def other", &["no function `hello`"]);
    is_found(
        &file,
        "EXPECTED =",
        "import random\nSEED = random.random()\nEXPECTED =",
        &["a rule has no chance", "File \"rule.py\", line 11"],
    );
    // One build for all of these: the kinds of failure are told apart by the case.
    let many = "import time\n    if ua == b\"Mozilla/5.0 (Windows NT 10.0)\": return time.time()\n    \
                if ua == b\"curl/8.5.0\": return 1.5\n    while True: pass";
    found(many, &["0 passed, 3 failed", "(trap)", "(fuel)", "own test"]);
    let remembers =
        "global CALLS\n    CALLS = globals().get(\"CALLS\", 0) + 1\n    if CALLS > 100: return 9";
    found(remembers, &["on a fresh instance", "after other calls"]);
}

#[test]
fn the_sdks_pass_their_own_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = "rule-sdk/python";
    for (tool, words, folder, path) in [
        ("node", &["--test"][..], "rule-sdk/js", ""),
        ("node", &["--test"][..], "rules/header-oddness/js", ""),
        ("python3", &["-m", "unittest"][..], python, ""),
        ("python3", &["-m", "unittest"][..], "rules/header-oddness/python", python),
    ] {
        if !may(folder, &[tool]) {
            continue;
        }
        let mut command = Command::new(tool);
        command.args(words).current_dir(root.join(folder)).env("PYTHONPATH", root.join(path));
        let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = said + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{folder}:\n{said}");
    }
}
