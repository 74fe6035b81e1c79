//! Runs the test vectors for all languages against the Rust function.

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "path_shape", 15, |args| {
        path_shape::path_shape(args.text("path")).into()
    });
}
