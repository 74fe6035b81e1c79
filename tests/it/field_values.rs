//! Every field of the policy language gets a value from the running server, or is reported as one
//! that cannot have a value on this server.
//!
//! A field without a case fails the test, so no field can be added that loads and never has a
//! value.

use std::collections::BTreeMap;

use seawall_ruleset::field_lines;
use seawall_tests::{Origin, SITE, Setup, wait_until};
use tokio::io::AsyncWriteExt;

use crate::h2::{SELF_SIGNED, frame, raw, within};

/// A condition for each field, which holds only where the server gives it a value.
const HOLDS: &[(&str, &str)] = &[
    ("client", "client in { 127.0.0.0/8 }"),
    ("client.ip", "client.ip == 127.0.0.1"),
    ("client.net", "client.net in { 127.0.0.0/8 }"),
    ("client.connections", "client.connections >= 1"),
    ("client.in_flight", "client.in_flight >= 1"),
    ("client.port", "client.port > 0"),
    ("conn.proto", "conn.proto == h2"),
    ("conn.ja4", "conn.ja4 is present"),
    ("conn.sni", "conn.sni == \"a.example\""),
    ("conn.tls", "conn.tls == \"TLSv1.3\""),
    ("conn.requests", "conn.requests > 1"),
    ("conn.age", "conn.age > 0ms"),
    ("conn.streams", "conn.streams >= 1"),
    ("conn.glitches", "conn.glitches > 0"),
    ("conn.resets", "conn.resets > 0"),
    ("scheme", "scheme == https"),
    ("method", "method == POST"),
    ("host", "host == \"a.example\""),
    ("path", "path == \"/x/y.php\""),
    ("raw_path", "raw_path == \"/x/%79.php\""),
    ("path.ext", "path.ext == \"php\""),
    ("path.script", "path.script == \"/x/y.php\""),
    ("query_string", "query_string == \"q=1\""),
    ("ua", "ua == \"agent\""),
    ("referer", "referer == \"https://a.example/\""),
    ("content_length", "content_length == 2"),
    ("content_type", "content_type == \"text/plain\""),
    ("header", "header(\"x-a\") == \"b\""),
    ("cookie", "cookie(\"c\") == \"d\""),
    ("query", "query(\"q\") == \"1\""),
    ("level", "level == busy"),
    ("score", "score > 0"),
    ("site.name", "site.name == \"a.example\""),
    ("site.member", "site.member == \"alice\""),
    ("origin.latency", "origin.latency is present"),
    ("origin.errors", "origin.errors is present"),
    ("origin.inflight", "origin.inflight is present"),
    ("cpu.load", "cpu.load is present"),
    ("status", "rate(statuses) > 0/1m"),
    ("bytes_out", "rate(bodies) > 0/1m"),
    ("latency", "rate(latencies) > 0/1m"),
];

/// Fields that have no condition of their own, and the test that proves them.
const ELSEWHERE: &[(&str, &str)] = &[("headers", "rules.rs: an extern gets them as an argument")];

/// The policy: a rule for each condition, and what they need.
fn policy() -> String {
    let rule = |(name, when): &(&str, &str)| {
        format!("  {} {{ when {when} then score += 1 }}\n", rule_of(name))
    };
    let rules: String = HOLDS.iter().map(rule).collect();
    format!(
        "policy 1\n\
         member alice {{ hosts {{ \"{SITE}\" }} may {{ tag }} file \"members/alice.wall\" }}\n\
         track all {{ count requests over 10s }}\n\
         track statuses {{ on response where status == 200 count requests over 1m }}\n\
         track bodies {{ on response where bytes_out > 0 count requests over 1m }}\n\
         track latencies {{ on response where latency > 0ms count requests over 1m }}\n\
         level busy {{ enter when rate(all) > 1/10s leave after 1h }}\n\
         floor {{\n{rules}}}\n"
    )
}

fn rule_of(field: &str) -> String {
    format!("rule v-{}", field.replace(['.', '_'], "-"))
}

/// A header field as HPACK has it, with a name that is no number and without compression.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [&[0x00, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// A request with everything that a field can read.
fn request() -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", SITE),
        (":path", "/x/%79.php?q=1"),
        ("user-agent", "agent"),
        ("referer", "https://a.example/"),
        ("content-length", "2"),
        ("content-type", "text/plain"),
        ("x-a", "b"),
        ("cookie", "c=d"),
    ];
    fields.map(|(name, value)| literal(name, value)).concat()
}

#[test]
fn every_field_can_have_a_value() {
    let unnamed: Vec<&str> = field_lines()
        .iter()
        .filter(|field| !field.present.contains("geo.") && !field.present.contains("passes"))
        .map(|field| field.name)
        .filter(|name| !HOLDS.iter().chain(ELSEWHERE).any(|(known, _)| known == name))
        .collect();
    assert!(unnamed.is_empty(), "no case shows that these get a value: {unnamed:?}");

    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy()).tls(SELF_SIGNED);
    let setup = setup.site_lines("scripts = [\"php\"]\n");
    let hers = format!(
        "policy 1\nsite \"{SITE}\" {{ rule a {{ when path == \"/a\" then tag \"a\" }} }}\n"
    );
    setup.write("members/alice.wall", hers);
    let server = setup.start();
    let mut empty: BTreeMap<&str, &str> = HOLDS.iter().copied().collect();
    wait_until("each condition held once", || {
        within(async {
            let mut io = raw(&server).await;
            // The first request is taken back. A frame of an unknown kind is a glitch.
            io.write_all(&frame(1, 4, 1, &request())).await.unwrap();
            io.write_all(&frame(3, 0, 1, &[0, 0, 0, 8])).await.unwrap();
            io.write_all(&frame(77, 0, 0, &[])).await.unwrap();
            io.write_all(&frame(1, 4, 5, &request())).await.unwrap();
            io.write_all(&frame(0, 1, 5, b"hi")).await.unwrap();
            io.flush().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        });
        let status = server.status();
        empty.retain(|name, _| {
            let rule = format!("floor.{}", rule_of(name).trim_start_matches("rule "));
            !status.rules.iter().any(|hit| hit.name == rule && hit.hits > 0)
        });
        empty.is_empty()
    });
}

#[test]
fn fields_that_this_server_cannot_fill_are_reported() {
    let setup = Setup::new(Origin::start().address, "policy 1\n");
    for field in field_lines() {
        let waits = field.present.contains("geo.") || field.present.contains("passes");
        if waits {
            let policy = format!(
                "policy 1\nfloor {{ rule a {{ when {} is present then tag \"t\" }} }}\n",
                field.name
            );
            setup.write("p.wall", &policy);
            let ran = setup.run(&["check", setup.policy("p.wall").to_str().unwrap()]);
            assert!(
                ran.err.contains("C014") && ran.err.contains(field.name),
                "{}: {ran:?}",
                field.name
            );
        }
    }
}
