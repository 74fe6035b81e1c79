//! Runs a rule's test vectors against the Rust function. All languages of the rule share them, and
//! `seawall rule test` runs them against the component.
//!
//! A failure ends the test, so the code panics; it is compiled for tests only.
#![expect(clippy::panic, reason = "for tests alone")]

use toml::{Table, Value};

/// The arguments of a test vector.
#[derive(Debug, Clone, Copy)]
pub struct Args<'c> {
    place: &'c str,
    table: &'c Table,
}

impl<'c> Args<'c> {
    /// Returns the argument with this name as text.
    #[must_use]
    pub fn text(&self, name: &str) -> &'c [u8] {
        let value = self.table.get(name).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("{}: `{name}` is not a text", self.place)).as_bytes()
    }

    /// Returns the argument with this name as header fields, packed as the server does.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<u8> {
        let fields = self.table.get(name).and_then(Value::as_array);
        let fields = fields.unwrap_or_else(|| panic!("{}: `{name}` is not a list", self.place));
        let pairs: Vec<(&str, &str)> = fields.iter().map(|field| self.pair(field)).collect();
        seawall_rule::pack(&pairs)
    }

    fn pair(&self, field: &'c Value) -> (&'c str, &'c str) {
        match field.as_array().map(Vec::as_slice) {
            Some([Value::String(name), Value::String(value)]) => (name, value),
            _ => panic!("{}: a header must be a pair of texts", self.place),
        }
    }
}

/// Runs every test vector in the `cases` beside `manifest_dir`. All must be of `function`.
///
/// # Panics
/// A test vector fails or cannot be read, or there are fewer than `least`.
pub fn hold(manifest_dir: &str, function: &str, least: usize, answer: impl Fn(Args<'_>) -> Value) {
    let folder = format!("{manifest_dir}/../cases");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut held = 0;
    for file in files {
        let path = file.unwrap_or_else(|error| panic!("{folder}: {error}")).path();
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{shown}: {e}"));
        let table: Table = text.parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
        for case in table.get("case").and_then(Value::as_array).into_iter().flatten() {
            hold_one(&shown, function, case, &answer);
            held += 1;
        }
    }
    assert!(held >= least, "{held} test vectors, but at least {least} are needed");
}

fn hold_one(file: &str, function: &str, case: &Value, answer: &impl Fn(Args<'_>) -> Value) {
    let name = case.get("name").and_then(Value::as_str).unwrap_or("without a name");
    let place = format!("{file}: case `{name}`");
    assert_eq!(case.get("function").and_then(Value::as_str), Some(function), "{place}");
    let table = case.get("args").and_then(Value::as_table);
    let table = table.unwrap_or_else(|| panic!("{place}: no arguments"));
    let have = answer(Args { place: &place, table });
    assert_eq!(Some(&have), case.get("expect"), "{place}");
}
