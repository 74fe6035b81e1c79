//! Fuzzes `edge::head`.
#![no_main]

#[path = "../edge.rs"]
#[allow(dead_code, reason = "each target drives one oracle of all")]
mod edge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| edge::head(bytes));
