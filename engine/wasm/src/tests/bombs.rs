//! Tests with components that are expensive to load: rejected for their size or shape, or loaded.
//!
//! The time of a compilation is not limited here, only its input: 2 MiB of loops with a depth of
//! 100 take most of a minute of CPU time, outside the worker threads. A large component can contain
//! sixteen times as many.

use super::*;

/// Returns a component around the text of a module.
fn around(module: &str) -> Vec<u8> {
    let lift = "(canon lift (core func $i \"f\"))";
    let text = format!(
        "(component (core module $m {module}) (core instance $i (instantiate $m)) \
         (func (export \"f\") (result s64) {lift}))"
    );
    wat::parse_str(text).unwrap()
}

fn answers(bytes: &[u8], n: i64) {
    let component = sandbox().compile(bytes).unwrap();
    let limits = CallLimits { fuel: 10_000_000, ..CallLimits::default() };
    assert_eq!(bound(&component, "f", limits).call(&[], NOW), Ok(CallValue::Int(n)));
}

#[track_caller]
fn refused_for(bytes: &[u8], part: &str) {
    let said = sandbox().compile(bytes).unwrap_err().to_string();
    assert!(said.contains(part), "{said}");
}

#[test]
fn ten_thousand_functions() {
    let many = "(func (result i64) (i64.const 2))".repeat(10_000);
    answers(&around(&format!("{many} (func (export \"f\") (result i64) (call 9999))")), 2);
}

#[test]
fn a_million_instructions_in_a_function() {
    let many = "local.get 0 i64.const 1 i64.add local.set 0 ".repeat(250_000);
    let body = format!("(func (export \"f\") (result i64) (local i64) {many} local.get 0)");
    answers(&around(&body), 250_000);
}

#[test]
fn a_function_ends_at_its_size() {
    let many = "local.get 0 i64.const 1 i64.add local.set 0 ".repeat(500_000);
    let body = format!("(func (export \"f\") (result i64) (local i64) {many} local.get 0)");
    refused_for(&around(&body), "a function of the component has more than 2097152 bytes");
}

fn nested(open: &str, depth: usize) -> Vec<u8> {
    let (open, close) = (open.repeat(depth), "end ".repeat(depth));
    around(&format!("(func (export \"f\") (result i64) {open} {close} i64.const 3)"))
}

#[test]
fn blocks_inside_blocks() {
    let max = small().block_depth_max;
    for open in ["block ", "i32.const 1 if "] {
        answers(&nested(open, max), 3);
        let error = sandbox().compile(&nested(open, max + 1)).unwrap_err();
        assert_eq!(error, LoadError::Nested { what: "blocks", max });
    }
    refused_for(&nested("block ", 500_000), "more than 2000 nested blocks");
}

#[test]
fn loops_inside_loops() {
    let max = small().loop_depth_max;
    answers(&nested("loop ", max), 3);
    answers(&nested(&format!("block {}", "loop end ".repeat(max + 1)), 3), 3);
    let error = sandbox().compile(&nested("loop ", max + 1)).unwrap_err();
    assert_eq!(error, LoadError::Nested { what: "loops", max });
}

#[test]
fn a_jump_to_tens_of_thousands_of_places() {
    let jump = |count| {
        let places = "0 ".repeat(count);
        let body = format!("block (br_table {places} 0 (i32.const 7)) end i64.const 5");
        around(&format!("(func (export \"f\") (result i64) {body})"))
    };
    answers(&jump(65_000), 5);
    refused_for(&jump(66_000), "implementation limit of 65520");
}

#[test]
fn more_locals_than_a_function_may_have() {
    let locals = "(local i64)".repeat(60_000);
    let bytes = format!("(func (export \"f\") (result i64) {locals} i64.const 1)");
    refused_for(&around(&bytes), "too many locals");
}

#[test]
fn more_core_instances_than_a_component_may_have() {
    let extra = |count| {
        let more = "(core instance (instantiate $e))".repeat(count);
        let text = format!(
            "(component (core module $e) {more} \
             (core module $m (func (export \"f\") (result i64) i64.const 6)) \
             (core instance $i (instantiate $m)) \
             (func (export \"f\") (result s64) (canon lift (core func $i \"f\"))))"
        );
        wat::parse_str(text).unwrap()
    };
    answers(&extra(15), 6);
    refused_for(&extra(16), "more than 16 core modules");
}

/// Returns the size of a section in the WebAssembly encoding.
fn leb(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(n & 0x7f).unwrap();
        n >>= 7;
        if n == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[test]
fn components_inside_components() {
    const HEAD: &[u8] = b"\0asm\x0d\0\x01\0";
    // The innermost component counts too.
    let nested = |depth| {
        let mut bytes = HEAD.to_vec();
        for _ in 1..depth {
            let size = leb(bytes.len());
            bytes = [HEAD, &[4], &size, &bytes].concat();
        }
        bytes
    };
    let max = small().component_depth_max;
    assert_eq!(
        sandbox().compile(&nested(max)).unwrap_err(),
        LoadError::Exports { count: 0, max: small().exports_max }
    );
    for depth in [max + 1, 10_000] {
        let error = sandbox().compile(&nested(depth)).unwrap_err();
        assert_eq!(error, LoadError::Nested { what: "components", max });
    }
}

#[test]
fn a_size_that_is_a_lie() {
    let honest = guest("honest");
    for section in [1_u8, 4, 7, 8, 11] {
        let lie = [&honest[..8], &[section, 0xff, 0xff, 0xff, 0xff, 0x0f], &honest[8..]].concat();
        refused_for(&lie, "the component is invalid");
    }
}
