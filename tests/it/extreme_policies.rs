//! Extreme policies: each gets a diagnostic with its place, in bounded time and memory.
//!
//! The tests use the real program, because its stack and its memory are the limits. They measure
//! CPU time, which does not depend on other load, and memory that the program can write to, because
//! the sandbox reserves address space that it never uses.

use std::process::{Command, Stdio};

use seawall_tests::{ROOT, Ran, binary};

/// The most seconds of a processor that any answer takes, in a debug build.
const ANSWER_S: u64 = 10;
/// The memory that it has, in KiB: 2 GiB.
const MEMORY_KIB: u64 = 2 << 20;

/// `seawall check` on a root policy of these bytes.
#[track_caller]
fn check(name: &str, bytes: &[u8]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(ROOT), bytes).unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -t {ANSWER_S} && ulimit -d {MEMORY_KIB} && exec \"$@\"")])
        .arg("sh")
        .arg(binary())
        .args(["check", "--json", ROOT])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.code().is_some(), "{name}: ended by {}", output.status);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ran =
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    assert!(!ran.err.contains("panicked"), "{name}: {}", ran.err);
    ran
}

/// The first complaint is this error at this place.
#[track_caller]
fn refused(name: &str, bytes: &[u8], place: (u64, u64), code: &str) {
    let ran = check(name, bytes);
    assert_eq!(ran.code, Some(1), "{name}: {} {}", ran.out, ran.err);
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let first = &found[0];
    let of = |key: &str| first[key].as_u64().unwrap();
    assert_eq!((of("line"), of("column")), place, "{name}: {first}");
    assert_eq!((&first["code"], &first["severity"]), (&code.into(), &"error".into()), "{name}");
    assert_eq!(first["file"], ROOT, "{name}");
}

fn rule(condition: &str) -> String {
    format!("policy 1\nfloor {{\n  rule a {{ when {condition} then drop }}\n}}\n")
}

#[test]
fn a_hundred_thousand_parentheses() {
    let many = 100_000;
    let (open, close) = ("(".repeat(many), ")".repeat(many));
    // The first that is one too deep, 64 being allowed.
    refused("open", rule(&open).as_bytes(), (3, 79), "P008");
    refused("both", rule(&format!("{open}true{close}")).as_bytes(), (3, 79), "P008");
    refused("not", rule(&format!("{}true", "not ".repeat(many))).as_bytes(), (3, 265), "P008");
    let braces = format!("policy 1\nfloor {}", "{ under attack ".repeat(many / 2));
    assert_eq!(check("under", braces.as_bytes()).code, Some(1));
}

#[test]
fn a_line_of_a_megabyte() {
    let most = 1 << 20;
    let fill = |head: &str, with: &str, tail: &str| {
        let room = (most - head.len() - tail.len()) / with.len();
        format!("{head}{}{tail}", with.repeat(room))
    };
    let word = fill("policy 1\nfloor { rule a { when ", "p", " then drop } }\n");
    refused("a word", word.as_bytes(), (2, 23), "N001");
    let text = fill("policy 1\nfloor { rule a { when path == \"", "p", "\" then drop } }\n");
    refused("a string", text.as_bytes(), (2, 31), "P008");
    let chain = fill("policy 1\nfloor { rule a { when x == 1", " and x == 1", " then drop } }\n");
    refused("a chain", chain.as_bytes(), (2, 23), "N001");
    let signs = fill("policy 1\n", "&", "\n");
    refused("signs", signs.as_bytes(), (2, 1), "P001");
    let mut over = fill("policy 1\n# ", "c", "\n");
    assert_eq!(check("a comment", over.as_bytes()).code, Some(0));
    over.extend(["c"; 3]);
    refused("one byte more", over.as_bytes(), (1, 1), "S002");
}

#[test]
fn a_rule_too_many() {
    let rules = |count: u32| {
        let rules: String = (0..count)
            .map(|n| format!("rule r{n} {{ when path == \"/{n}\" then drop }}\n"))
            .collect();
        format!("policy 1\nfloor {{\n{rules}}}\n")
    };
    assert_eq!(check("10,000 rules", rules(10_000).as_bytes()).code, Some(0));
    refused("10,001 rules", rules(10_001).as_bytes(), (10_003, 6), "C006");
}

#[test]
fn bytes_that_are_no_text() {
    let text = rule("path == \"/a\"");
    let with =
        |at: usize, bytes: &[u8]| [&text.as_bytes()[..at], bytes, &text.as_bytes()[at..]].concat();
    let second = text.find("rule").unwrap();
    refused("NUL", &with(second, b"\0"), (3, 3), "P007");
    refused("NUL first", &with(0, b"\0"), (1, 1), "P007");
    refused("invalid", &with(second, b"\xff"), (3, 3), "P007");
    refused("cut off", &with(text.len(), b"\xe2\x82"), (5, 1), "P007");
    refused("only NUL", &[0; 1 << 20], (1, 1), "P007");
    refused("only 0xff", &[0xff; 1 << 20], (1, 1), "P007");
    refused(
        "UTF-16",
        &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
        (1, 2),
        "P007",
    );
}

#[test]
fn line_ends_and_marks_of_other_systems_load() {
    let text = rule("path == \"/a\"");
    let crlf = text.replace('\n', "\r\n");
    assert_eq!(check("CRLF", crlf.as_bytes()).code, Some(0));
    assert_eq!(check("BOM", format!("\u{feff}{text}").as_bytes()).code, Some(0));
    assert_eq!(check("both", format!("\u{feff}{crlf}").as_bytes()).code, Some(0));
    // They move no place by more than what an editor shows.
    let wrong = crlf.replace("path", "pth");
    refused("CRLF", wrong.as_bytes(), (3, 17), "N001");
    assert_eq!(check("nothing", b"").code, Some(1));
}
