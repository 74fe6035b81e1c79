//! The cases that hold in every language the rule exists in, held by the function itself.

use seawall_rule::Headers;

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "fingerprint", 15, |args| {
        fingerprint::fingerprint(Headers::new(&args.headers("all"))).into()
    });
}
