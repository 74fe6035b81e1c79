//! Runs the test vectors for all languages against the Rust function.

use seawall_rule::Headers;

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "fingerprint", 15, |args| {
        fingerprint::fingerprint(Headers::new(&args.headers("all"))).into()
    });
}
