//! Tests of methods: registered ones are words, and any other is in quotes.

use super::*;
use crate::http::SCHEMA;

/// Returns the words of the table.
fn registered() -> &'static [&'static str] {
    SCHEMA.enums.iter().find(|spec| spec.name == "an HTTP method").unwrap().words
}

#[test]
fn every_registered_method_is_a_word_in_conditions_and_tests() {
    for method in registered() {
        let text = format!(
            "floor {{ rule a {{ when method == {method} then block 405 }} }}\n\
             test \"that one\" {{ request {method} \"http://a.example/\" expect block 405 by a }}\n\
             test \"in small letters it is another\" {{\n\
               request \"{}\" \"http://a.example/\" expect pass\n\
             }}\n",
            method.to_ascii_lowercase()
        );
        assert_eq!(failures(&text), Vec::<String>::new(), "{method}");
    }
    assert!(registered().len() >= 39, "{}", registered().len());
}

#[test]
fn another_method_stands_in_quotes() {
    let text = r#"
let mine = { GET, "PURGE", "M-SEARCH" }
floor {
  rule purge { when method == "PURGE" then block 401 }
  rule few   { when method in { POST, "BAN", "REFRESH" } then block 402 }
  rule rest  { when method not in mine and method != "PING" then block 405 }
}
test "one" { request "PURGE" "http://a.example/" expect block 401 by purge }
test "of a set" { request "BAN" "http://a.example/" expect block 402 by few }
test "a word of the set" { request POST "http://a.example/" expect block 402 by few }
test "case matters" { request "purge" "http://a.example/" expect block 405 by rest }
test "of the constant" { request "M-SEARCH" "http://a.example/" expect pass }
test "a word of the constant" { request GET "http://a.example/" expect pass }
test "excepted" { request "PING" "http://a.example/" expect pass }
test "a word in small letters is the word" { request get "http://a.example/" expect pass }
test "none of them" { request PROPFIND "http://a.example/" expect block 405 by rest }
test "none of them and no word" { request "FOO" "http://a.example/" expect block 405 by rest }
"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn each_method_is_a_key_of_its_own() {
    let text = r#"
floor { limit dav { per client, method to 3/1m then block 429 } }
test "each has a count" {
  request PROPFIND "http://a.example/" times 3
  expect pass
  request REPORT "http://a.example/" times 3
  expect pass
  request "FOO" "http://a.example/" times 3
  expect pass
  request "BAR" "http://a.example/" times 3
  expect pass
  request "FOO" "http://a.example/"
  expect block 429
  request REPORT "http://a.example/"
  expect block 429
}
"#;
    assert_eq!(failures(text), Vec::<String>::new());
    let text = r#"
track methods { count distinct method per client over 1m keys 100 }
floor { rule many { when distinct(methods) > 3 then block } }
test "unknown ones are told apart" {
  request "A" "http://a.example/"
  request "B" "http://a.example/"
  request "C" "http://a.example/"
  expect pass
  request "D" "http://a.example/"
  expect block by many
}
"#;
    assert_eq!(failures(text), Vec::<String>::new());
}

#[test]
fn what_is_no_method_or_no_way_to_ask_is_said_with_what_to_write() {
    let say = |condition: &str| {
        let made =
            assemble(&format!("policy 1\nfloor {{ rule a {{ when {condition} then block }} }}\n"));
        let said = made.everything();
        let said = said.first().unwrap_or_else(|| panic!("{condition}: nothing is said"));
        let fix = said.fixes.first().map_or("", |fix| &fix.replacement);
        format!(
            "{:?} {} | {} | {fix}",
            said.severity,
            said.code,
            said.help.as_deref().unwrap_or("")
        )
    };
    for (condition, code, words) in [
        (r#"method == "POST""#, "Error T001", "POST"),
        (r#"method == "post""#, "Warning C010", "POST"),
        (r#"method == "purge""#, "Warning C010", "\"PURGE\""),
        (r#"method == "GET /""#, "Error T012", ""),
        (r#"method == """#, "Error T012", ""),
        ("method == PURGE", "Error N005", "write another value in quotes: `\"PURGE\"`"),
        ("method == PROPFND", "Error N005", "PROPFIND"),
        (r#"method matches r"^(GET|POST)$""#, "Error T002", "method in { GET,"),
        (r#"method like "PROP*""#, "Error T002", "in quotes"),
        (r#"client.ip starts_with "10.""#, "Error T002", "client.ip in { 192.0.2.0/24"),
    ] {
        let said = say(condition);
        assert!(said.starts_with(code) && said.contains(words), "{condition}: {said}");
    }
    assert_eq!(
        complaints("floor { rule a { when method == get then block } }"),
        Vec::<String>::new()
    );
    assert_eq!(
        complaints("test \"t\" { request PURGE \"http://a.example/\" expect pass }"),
        ["2:20 N005"],
    );
}

#[test]
fn the_index_finds_methods_of_both_kinds() {
    let rules = rules(
        "floor { rule a { when method in { PROPFIND, \"PURGE\" } and path == \"/x\" then block }\n\
         rule b { when method in { REPORT, \"PING\" } then drop } }",
    );
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    let now = Tick::TEST_START;
    for (method, path, refused) in [
        ("PROPFIND", "/x", true),
        ("PURGE", "/x", true),
        ("PURGE", "/y", false),
        ("REPORT", "/y", true),
        ("PING", "/y", true),
        ("ping", "/y", false),
        ("GET", "/x", false),
    ] {
        let facts = Facts { method, ..get("192.0.2.1", "a.example", path) };
        let decision = rules.decide(&facts, &state, now);
        assert_eq!(
            decision,
            rules.decide_without_index(&facts, &state, now, &()),
            "{method} {path}"
        );
        assert_eq!(decision.verdict != Verdict::Allow, refused, "{method} {path}");
    }
}
