//! Tests of policies against the sites and prefix sizes of a configuration.

use seawall_model::{ClientPrefixes, HostPattern};

use crate::{
    BuildOutput, MemoryStore, Purpose, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings,
    Severity, SiteHosts, Sources,
};

fn site(host: &str, member: Option<&str>) -> SiteHosts {
    let hosts = vec![HostPattern::parse(host).unwrap()];
    SiteHosts { name: host.into(), hosts, member: member.map(Into::into) }
}

fn assemble(settings: ServerSettings, store: &MemoryStore) -> BuildOutput {
    let workshop = RuleSetBuilder::new(settings, Sandbox::new(SandboxLimits::default()));
    workshop.build(&Sources::gather("root.wall", store), Purpose::Check, None)
}

fn sites() -> Vec<SiteHosts> {
    vec![
        site("alice.example", Some("alice")),
        site("*.wide.example", None),
        site("shop.narrow.example", None),
    ]
}

/// Returns the diagnostics about hosts, as `file:line:column severity help`.
fn said(store: &MemoryStore, sites: Vec<SiteHosts>) -> Vec<String> {
    let made = assemble(ServerSettings { sites, ..ServerSettings::default() }, store);
    assert!(made.rules.is_some(), "{:?}", made.diagnostics);
    let about = made.diagnostics.iter().filter(|d| d.code == "M005");
    about
        .map(|d| {
            let (severity, help) = (d.severity.word(), d.help.as_deref().unwrap_or(&d.message));
            format!("{}:{}:{} {severity} {help}", d.file, d.line, d.column)
        })
        .collect()
}

fn entry(hosts: &str) -> MemoryStore {
    let root =
        format!("policy 1\nmember alice {{ hosts {{ {hosts} }} may {{ block }} file \"a.wall\" }}");
    MemoryStore::default().with("root.wall", root).with("a.wall", "policy 1\n")
}

#[test]
fn a_host_that_no_site_serves_is_a_warning_with_the_nearest_one() {
    for good in ["alice.example", "ALICE.example", "a.wide.example", "*.wide.example"] {
        assert_eq!(said(&entry(&format!("\"{good}\"")), sites()), [""; 0], "{good}");
    }
    // A site has a part of the pattern, or a wider pattern covers all of it.
    for good in ["*.narrow.example", "*.a.wide.example"] {
        assert_eq!(said(&entry(&format!("\"{good}\"")), sites()), [""; 0], "{good}");
    }
    let near = ["root.wall:2:24 warning did you mean `alice.example`?"];
    assert_eq!(said(&entry("\"alcie.example\""), sites()), near);
    let all = "the configuration has alice.example, *.wide.example, shop.narrow.example";
    assert_eq!(said(&entry("\"else.test\""), sites()), [format!("root.wall:2:24 warning {all}")]);
    assert_eq!(said(&entry("\"*.else.test\""), sites()), [format!("root.wall:2:24 note {all}")]);
    assert_eq!(said(&entry("\"wide.example\""), sites()).len(), 1, "only what is below it");
    assert_eq!(said(&entry("\"else.test\""), Vec::new()), [""; 0], "without a configuration");
    let many = (0..7).map(|n| site(&format!("site-number-{n}.test"), None)).collect();
    assert!(said(&entry("\"alice.example\""), many)[0].ends_with("site-number-4.test and 2 more"));
}

#[test]
fn a_site_layer_is_held_against_the_sites_too_and_told_once() {
    let rule = "{ rule a { when path == \"/x\" then block } }";
    let hosts = MemoryStore::default()
        .with("root.wall", format!("policy 1\nsite \"alice.example\", \"bob.example\" {rule}"));
    assert_eq!(said(&hosts, sites()).len(), 1);
    assert!(said(&hosts, sites())[0].starts_with("root.wall:2:23 warning"));
    let member =
        entry("\"bob.example\"").with("a.wall", format!("policy 1\nsite \"bob.example\" {rule}"));
    assert_eq!(said(&member, sites()).len(), 1, "at the entry, and not in her file again");
}

#[test]
fn a_host_of_another_member_is_a_warning() {
    let other = vec![site("alice.example", Some("bob"))];
    let words =
        "`alice.example` is a host of `alice` in the policy and of `bob` in the configuration";
    assert_eq!(
        said(&entry("\"alice.example\""), other),
        [format!("root.wall:2:24 warning {words}")]
    );
}

#[test]
fn tests_count_clients_in_the_units_of_the_configuration() {
    let policy = "policy 1\nfloor { limit few { per client to 1/1m then block 429 } }\n\
        test \"one household\" {\n  request GET \"http://a.example/\" from 2001:db8::1\n  \
        request GET \"http://a.example/\" from 2001:db8:0:1::1\n  expect block 429\n}\n";
    let store = MemoryStore::default().with("root.wall", policy);
    for (v6_client_bits, passed) in [(56, true), (64, false)] {
        let units = ClientPrefixes { v6_client_bits, ..ClientPrefixes::default() };
        let made = assemble(ServerSettings { units, ..ServerSettings::default() }, &store);
        assert!(made.diagnostics.iter().all(|d| d.severity != Severity::Error));
        assert_eq!(made.rules.unwrap().run_tests()[0].passed, passed, "/{v6_client_bits}");
    }
}
