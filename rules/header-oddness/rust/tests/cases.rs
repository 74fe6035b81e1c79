//! The cases that hold in every language the rule exists in, held by the function itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use seawall_rule::{Headers, pack};
use toml::{Table, Value};

#[test]
fn every_case_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../cases");
    let mut run = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let table: Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        for case in table.get("case").and_then(Value::as_array).unwrap() {
            check(case);
            run += 1;
        }
    }
    assert!(run >= 8, "{run} cases");
}

fn check(case: &Value) {
    let text = |key: &str| case.get(key).and_then(Value::as_str).unwrap();
    let args = case.get("args").unwrap();
    let ua = args.get("ua").and_then(Value::as_str).unwrap();
    let fields: Vec<(&str, &str)> =
        args.get("all").and_then(Value::as_array).unwrap().iter().map(field).collect();
    let want = case.get("expect").and_then(Value::as_integer).unwrap();
    assert_eq!(text("function"), "header_oddness");
    let have = header_oddness::header_oddness(ua.as_bytes(), Headers::new(&pack(&fields)));
    assert_eq!(have, want, "{}", text("name"));
}

fn field(pair: &Value) -> (&str, &str) {
    match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::String(value)]) => (name, value),
        _ => panic!("a field is a pair of texts"),
    }
}
