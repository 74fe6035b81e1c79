//! Fuzzes `oracles::list`.
#![no_main]

#[path = "../oracles.rs"]
#[allow(dead_code, reason = "each target drives one oracle of all")]
mod oracles;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oracles::list(bytes));
