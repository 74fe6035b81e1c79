//! A34 to A36: the responses to rejected requests, and what they reveal.

use super::cases::{Case, run};
use super::smuggling::every_case;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate};
use crate::h1::{BROWSER, head};
use crate::scenario::cases::statuses;
use anyhow::{Result, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

/// Length of the body that is not wanted.
const BODY_BYTES: usize = 1 << 20;

const fn once(
    name: &'static str,
    vector: &'static str,
    what: &'static str,
    run: fn(Arc<Attack>) -> super::Attacking,
) -> Scenario {
    Scenario {
        name,
        vector,
        what,
        needs: Needs::H1,
        connections: 20,
        rate: 100,
        addresses: EACH,
        spread: Spread::Wide,
        run,
    }
}

/// Scenarios that run through a list once.
pub(super) const ALL: &[Scenario] = &[
    once(
        "hosts",
        "A35",
        "Host fields that are unknown, twisted, doubled or missing, once each",
        |a| Box::pin(hosts(a)),
    ),
    once(
        "origin-leak",
        "A36",
        "provokes every kind of error and searches for --secret TEXT in the responses",
        |a| Box::pin(leak(a)),
    ),
];

/// Scenarios with bodies.
pub(super) const BODIES: &[Scenario] = &[Scenario {
    name: "deny-unread-body",
    vector: "A34",
    what: "POSTs of 1 MiB to a denied --path: is the rejection read, or a reset?",
    needs: Needs::H1,
    connections: 50,
    rate: 50,
    addresses: 500,
    spread: Spread::Wide,
    run: |attack| Box::pin(at_rate(attack, unread)),
}];

async fn unread(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let fields = format!("Content-Length: {BODY_BYTES}\r\n");
    let mut out = head("POST", attack.path_or("/denied"), attack.host(), &fields).into_bytes();
    out.resize(out.len().saturating_add(BODY_BYTES), b'x');
    let mut back = Vec::new();
    attack.tally.requests.one();
    let _sent = wire.exchange(&out, &mut |bytes| back.extend_from_slice(bytes)).await;
    let mut found = statuses(&back, false).await;
    while found.is_empty() {
        match timeout(Duration::from_secs(5), wire.read_buf(&mut back)).await {
            Ok(Ok(1..)) => found = statuses(&back, false).await,
            _ => break,
        }
    }
    match found.first() {
        Some(status) => {
            attack.tally.answer(*status);
            attack.tally.event("answer read");
        }
        None => attack.tally.event("no answer read"),
    }
}

/// Returns the cases of A35.
fn host_cases(host: &str) -> Vec<Case> {
    let line = |name: &str, lines: String| Case {
        name: format!("host {name}"),
        bytes: format!("GET /__host HTTP/1.1\r\n{lines}{BROWSER}Connection: close\r\n\r\n")
            .into_bytes(),
    };
    let target = |name: &str, target: &str, host: &str| Case {
        name: format!("target {name}"),
        bytes: format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\n{BROWSER}Connection: close\r\n\r\n"
        )
        .into_bytes(),
    };
    let one = |name: &str, value: &str| line(name, format!("Host: {value}\r\n"));
    vec![
        one("as it is", host),
        one("with a port", &format!("{host}:80")),
        one("with another port", &format!("{host}:8443")),
        one("with a port too large", &format!("{host}:99999")),
        one("with an empty port", &format!("{host}:")),
        one("in capitals", &host.to_uppercase()),
        one("with a dot at the end", &format!("{host}.")),
        one("with a dot in front", &format!(".{host}")),
        one("unknown", "unknown.invalid"),
        one("a suffix", &format!("x{host}")),
        one("below", &format!("a.b.c.{host}")),
        one("continued", &format!("{host}.invalid")),
        one("an address", "127.0.0.1"),
        one("an IPv6 address", "[::1]"),
        one("localhost", "localhost"),
        one("empty", ""),
        one("a user before it", &format!("user@{host}")),
        one("a user who is a host", &format!("{host}@unknown.invalid")),
        one("with a path", &format!("{host}/a")),
        one("with a query", &format!("{host}?a")),
        one("with a fragment", &format!("{host}#a")),
        one("with a space", &format!("{host} unknown.invalid")),
        one("with a comma", &format!("{host},unknown.invalid")),
        one("with a zero byte", &format!("{host}\0.invalid")),
        one("with a percent", &format!("{host}%00.invalid")),
        one("with a backslash", &format!("{host}\\.invalid")),
        one("in Unicode", "ali\u{ff43}e.example"),
        one("of 300 labels", &"a.".repeat(300)),
        line("missing", String::new()),
        line("twice", format!("Host: {host}\r\nHost: {host}\r\n")),
        line("twice, different", format!("Host: {host}\r\nHost: unknown.invalid\r\n")),
        line("twice, the other first", format!("Host: unknown.invalid\r\nHost: {host}\r\n")),
        line("folded", format!("Host:\r\n {host}\r\n")),
        line("space before the colon", format!("Host : {host}\r\n")),
        line("space before the name", format!(" Host: {host}\r\n")),
        line("forwarded", format!("Host: unknown.invalid\r\nX-Forwarded-Host: {host}\r\n")),
        target("absolute", &format!("http://{host}/"), host),
        target("absolute, another", &format!("http://{host}/"), "unknown.invalid"),
        target("absolute, unknown", "http://unknown.invalid/", host),
        target("absolute with a user", &format!("http://a@{host}/"), host),
        target("an authority", &format!("{host}:80"), host),
        target("an asterisk", "*", host),
        target("no slash", "a", host),
        target("two slashes", &format!("//{host}/"), host),
        target("a file", "file:///etc/hostname", host),
    ]
}

async fn hosts(attack: Arc<Attack>) -> Result<()> {
    let cases = host_cases(attack.host());
    for came in run(&attack, cases).await {
        attack.tally.event(&format!("{}: {}", came.case.name, came.word()));
    }
    Ok(())
}

/// Returns the requests with which servers often reveal too much.
fn errors(host: &str) -> Vec<Case> {
    let case =
        |name: &str, bytes: String| Case { name: name.to_owned(), bytes: bytes.into_bytes() };
    let get = |name: &str, path: &str, fields: &str| case(name, head("GET", path, host, fields));
    vec![
        get("not found", "/no/such/page", ""),
        get("expectation", "/", "Expect: something\r\n"),
        get("forwards", "/", "Max-Forwards: 0\r\n"),
        get("long", &format!("/{}", "a".repeat(20_000)), ""),
        get("upgrade", "/", "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        get("range", "/", "Range: bytes=9-1\r\n"),
        case("trace", head("TRACE", "/", host, "")),
        case("options", head("OPTIONS", "*", host, "")),
        case("connect", head("CONNECT", "127.0.0.1:22", host, "")),
        case("unknown method", head("BREW", "/", host, "")),
        case("length", head("POST", "/", host, "Content-Length: 99999999999\r\n")),
        case("no HTTP", "hello\r\n\r\n".to_owned()),
    ]
}

async fn leak(attack: Arc<Attack>) -> Result<()> {
    if attack.extra.secrets.is_empty() {
        bail!(
            "origin-leak needs --secret TEXT: what no answer may hold, such as the origin's address"
        );
    }
    let host = attack.host();
    let mut cases = errors(host);
    cases.extend(host_cases(host));
    cases.extend(every_case(host));
    let mut leaks = 0u32;
    for came in run(&attack, cases).await {
        for secret in &attack.extra.secrets {
            let found = came.bytes.windows(secret.len().max(1)).any(|w| w == secret.as_bytes());
            if found {
                leaks = leaks.saturating_add(1);
                attack.tally.event(&format!("LEAK {}: {secret}", came.case.name));
            }
        }
    }
    if leaks == 0 {
        attack.tally.event("leaks: none");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut cases = errors("a.example");
        cases.extend(host_cases("a.example"));
        cases.extend(every_case("a.example"));
        let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), cases.len());
    }
}
