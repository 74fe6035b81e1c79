//! Runs the test vectors for all languages against the Rust function.

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "query_entropy", 15, |args| {
        query_entropy::query_entropy(args.text("query")).into()
    });
}
