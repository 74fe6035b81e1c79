//! Tests of addresses and networks: the published conformance cases of CEL (cel-spec,
//! `network_ext`), as conditions of the policy language.
//!
//! Omitted: `parse_invalid_ipv4_in_ipv6` and `parse_invalid_cidr_ipv4_in_ipv6`, because CEL rejects
//! IPv4-mapped addresses and here they are normalized to IPv4 (so `ipv4_equals_ipv6` holds). Cases
//! with a function that the language lacks (`family`, `isLoopback`, `isLinkLocal…`,
//! `isGlobalUnicast`, `isUnspecified`, `string`, `type`) are written as membership where possible.

use seawall_model::{Tick, Verdict};
use seawall_state::{Seed, State};

use super::{complaints, get, rules};

/// The client, the condition, and whether it holds.
const CASES: [(&str, &str, bool); 49] = [
    // Addresses are equal by value, in any notation.
    ("127.0.0.1", "client.ip == 127.0.0.1", true),
    ("127.0.0.1", "client.ip == 10.0.0.1", false),
    ("::ffff:c0a8:1", "client.ip == 192.168.0.1", true),
    ("::ffff:c0a8:1", "client.ip == 192.168.10.1", false),
    ("192.168.0.1", "client.ip == ::ffff:192.168.0.1", true),
    ("2001:db8::1", "client.ip == 2001:DB8::1", true),
    ("2001:db8::1", "client.ip == 2001:db8:0:0:0:0:0:1", true),
    ("::", "client.ip == ::ffff", false),
    ("2001:db8::68", "client.ip != 2001:db8::68", false),
    // A network contains addresses of its own family only.
    ("192.168.0.1", "client.ip in 192.168.0.0/24", true),
    ("192.168.1.1", "client.ip in 192.168.0.0/24", false),
    ("192.168.0.0", "client.ip in 192.168.0.0/24", true),
    ("192.168.0.255", "client.ip in 192.168.0.0/24", true),
    ("192.168.1.0", "client.ip in 192.168.0.0/24", false),
    ("2001:db8::1", "client.ip in 2001:db8::/32", true),
    ("2001:db9::1", "client.ip in 2001:db8::/32", false),
    ("192.168.1.1", "client.ip in 2001:db8::/32", false),
    ("2001:db8::1", "client.ip in 192.168.1.1/32", false),
    ("2001:db8::1", "client.ip in 0.0.0.0/0", false),
    ("192.168.1.1", "client.ip in ::/0", false),
    ("192.168.1.1", "client.ip in { 192.168.1.1 }", true),
    ("192.168.1.1", "client.ip in { 192.168.1.1/32, 2001:db8::/32 }", true),
    ("192.168.1.1", "client.ip not in { 10.0.0.0/8, 2001:db8::/32 }", true),
    // Networks are equal by value, and contain smaller ones.
    ("192.168.0.77", "client.net == 192.168.0.0/24", true),
    ("192.168.0.77", "client.net == 192.168.0.0/25", false),
    ("192.168.0.77", "client.net == 192.168.0.0/23", false),
    ("192.168.0.77", "client.net in 192.168.0.0/24", true),
    ("192.168.0.77", "client.net in 192.168.0.0/23", true),
    ("192.168.0.77", "client.net in 192.168.0.0/25", false),
    ("192.168.0.77", "net(client.ip, 32, 128) in 192.168.0.0/24", true),
    ("192.168.0.77", "net(client.ip, 8, 8) == 192.0.0.0/8", true),
    ("192.168.0.77", "net(client.ip, 8, 8) in 192.168.0.0/16", false),
    ("2001:db8::1", "net(client.ip, 32, 33) in 2001:db8::/32", true),
    ("2001:db8::1", "client.net == 10.0.0.1/32", false),
    ("10.0.0.1", "client == 10.0.0.1", true),
    ("10.0.0.1", "client == 10.0.0.1/32", true),
    // Well-known blocks, as membership.
    ("0.0.0.0", "client.ip in { 0.0.0.0, :: }", true),
    ("127.0.0.1", "client.ip in { 0.0.0.0, :: }", false),
    ("127.0.0.1", "client.ip in { 127.0.0.0/8, ::1 }", true),
    ("1.2.3.4", "client.ip in { 127.0.0.0/8, ::1 }", false),
    ("::1", "client.ip in { 127.0.0.0/8, ::1 }", true),
    ("224.0.0.1", "client.ip in { 224.0.0.0/24, ff02::/16 }", true),
    ("224.0.1.1", "client.ip in { 224.0.0.0/24, ff02::/16 }", false),
    ("ff02::1", "client.ip in { 224.0.0.0/24, ff02::/16 }", true),
    ("169.254.169.254", "client.ip in { 169.254.0.0/16, fe80::/10 }", true),
    ("192.168.0.1", "client.ip in { 169.254.0.0/16, fe80::/10 }", false),
    ("fe80::1", "client.ip in { 169.254.0.0/16, fe80::/10 }", true),
    ("fd80::1", "client.ip in { 169.254.0.0/16, fe80::/10 }", false),
    ("fd00::1", "client.ip in { 224.0.0.0/24, ff02::/16 }", false),
];

#[test]
fn conditions_on_addresses_hold_as_published() {
    for (client, condition, holds) in CASES {
        let rules = rules(&format!("floor {{ rule a {{ when {condition} then drop }} }}"));
        let state = State::new(Seed([1; 16]), rules.counter_specs());
        let dropped =
            rules.decide(&get(client, "x", "/"), &state, Tick(1)).verdict == Verdict::Drop;
        assert_eq!(dropped, holds, "{client}: {condition}");
    }
}

#[test]
fn what_is_no_address_or_network_is_refused() {
    for bad in [
        "192.168.0.1.0",
        "192.168.0.256",
        "2001:db8:::68",
        "fe80::1%en0",
        "192.168.0.0/",
        "192.168.0.0/33",
        "2001:db8::/129",
        "fe80::1%en0/24",
    ] {
        let found = complaints(&format!(
            "floor {{ rule a {{ when client.ip in {{ {bad} }} then drop }} }}"
        ));
        assert!(found.iter().any(|c| c.contains(" P")), "{bad}: {found:?}");
    }
}

#[test]
fn host_bits_are_cleared_and_said() {
    let text = "floor { rule a { when client.ip in 192.168.0.1/24 then drop } }";
    assert_eq!(complaints(text), ["2:36 C018"]);
    let rules = rules(text);
    let state = State::new(Seed([1; 16]), rules.counter_specs());
    assert_eq!(
        rules.decide(&get("192.168.0.200", "x", "/"), &state, Tick(1)).verdict,
        Verdict::Drop
    );
}
