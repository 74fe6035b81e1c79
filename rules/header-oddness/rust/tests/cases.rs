//! The cases that hold in every language the rule exists in, held by the function itself.

use seawall_rule::Headers;

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "header_oddness", 8, |args| {
        let all = args.headers("all");
        header_oddness::header_oddness(args.text("ua"), Headers::new(&all)).into()
    });
}
