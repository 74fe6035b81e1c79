//! Components for policies: the hostile ones of `fixtures/guests`, and small ones made here.

use std::path::Path;

/// Returns the bytes of `fixtures/guests/NAME.wat`.
#[must_use]
pub fn guest(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/guests");
    component(&std::fs::read_to_string(folder.join(format!("{name}.wat"))).unwrap())
}

/// Returns the bytes of a component in text form.
#[must_use]
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Returns a component whose function `f` returns `number`.
#[must_use]
pub fn answering(number: i64) -> Vec<u8> {
    component(&format!(
        "(component
           (core module $m (func (export \"f\") (result i64) (i64.const {number})))
           (core instance $i (instantiate $m))
           (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))"
    ))
}

/// Returns a component of `functions` functions with a hundred nested loops. Each function takes
/// the compiler some milliseconds and has about three hundred bytes.
#[must_use]
pub fn bomb(functions: usize) -> Vec<u8> {
    let loops = format!("{}{}", "loop ".repeat(100), "end ".repeat(100));
    let many = format!("(func {loops})").repeat(functions);
    component(&format!(
        "(component
           (core module $m {many} (func (export \"f\") (result i64) i64.const 1))
           (core instance $i (instantiate $m))
           (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))"
    ))
}
