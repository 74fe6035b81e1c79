//! Runs the test vectors for all languages against the Rust function.

use seawall_rule::Headers;

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "header_oddness", 8, |args| {
        let all = args.headers("all");
        header_oddness::header_oddness(args.text("ua"), Headers::new(&all)).into()
    });
}
