//! Runs the test vectors for all languages against the Rust function.

use seawall_rule::Headers;

#[test]
fn every_case_holds() {
    rule_support::cases::hold(env!("CARGO_MANIFEST_DIR"), "botnet_user_agent", 15, |args| {
        let all = args.headers("all");
        botnet_user_agent::botnet_user_agent(args.text("ua"), Headers::new(&all)).into()
    });
}
