//! No address of a client is stored or shown anywhere.
//!
//! The test runs attacks with the most detailed log: plain and over TLS, in HTTP/1 and HTTP/2, from
//! their own addresses and from those that a trusted proxy names, in every form. Then it searches
//! everything that the program wrote for these addresses. [`Server`] does this search at the end of
//! all other tests.

use std::io::Read;
use std::net::IpAddr;

use seawall_tests::{
    Origin, ROOT, Recorder, SITE, Secret, Server, Setup, Signal, Visitor, Written, credulous, get,
    guest, overwrite, trace_of, wait_until, written_below,
};

use serde_json::json;

use crate::h2::{floods, raw_from, until_ended, within};

const POLICY: &str = "policy 1
extern f() -> int { module \"f.wasm\" fuel 50k memory 1MiB on_failure return 9 }
list bad: cidr = { 127.9.8.6 }
floor {
  rule seen   { when true then log \"somebody came\" }
  rule listed { when client.ip in @bad then drop note \"known\" }
  rule burns  { when path == \"/burn\" and f() == 9 then block 410 }
  rule trap   { when path == \"/trap\" then ban 1h }
  rule slow   { when path == \"/hold\" then tarpit 20ms }
  limit flood { per client to 20/7d then block 429 hold 1h }
}
";
/// Where the visitors come from.
const SOURCES: [&str; 6] =
    ["127.9.8.1", "127.9.8.2", "127.9.8.3", "127.9.8.4", "127.9.8.5", "127.9.8.6"];
/// Where those come from that flood over HTTP/2, and those that are banned.
const FLOODER: &str = "127.9.8.7";
const BANNED: [&str; 3] = ["127.9.8.8", "203.0.113.78", "2001:db8:4d2:3456:9abc:def0:1357:2469"];
/// The hop in front, and whom it names.
const HOP: &str = "127.9.7.1";
const NAMED: [&str; 4] = [
    "203.0.113.77",
    "198.51.100.201",
    "2001:db8:4d2:3456:9abc:def0:1357:2468",
    "2001:db8:beef:1::77",
];
/// Whom nobody trusted names, in fields and headers that are not believed.
const CLAIMED: [&str; 2] = ["192.0.2.153", "2001:db8:77:88::99"];
/// The site whose origin agrees to WebSockets.
const SOCKETS: &str = "w.example";

/// A PROXY header for a client, of version 1 or 2.
fn header(version: u8, ip: IpAddr) -> Vec<u8> {
    let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
    if version == 1 {
        return format!("PROXY {family} {ip} {ip} 4711 443\r\n").into_bytes();
    }
    let (family, bytes) = match ip {
        IpAddr::V4(v4) => (0x11, v4.octets().to_vec()),
        IpAddr::V6(v6) => (0x21, v6.octets().to_vec()),
    };
    let rest = [&bytes[..], &bytes, &[0x12, 0x67, 1, 187]].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[family], &length, &rest].concat()
}

/// What may stand before a request of `source`: nothing where it comes itself, and a header of each
/// version where the hop names it.
fn ways(source: &str) -> Vec<(&str, Vec<u8>)> {
    let ip: IpAddr = source.parse().unwrap();
    if ip.is_loopback() {
        return vec![(source, Vec::new())];
    }
    vec![(HOP, header(1, ip)), (HOP, header(2, ip))]
}

/// Sends something from `source` and reads what comes, whatever that is.
fn send(server: &Server, (source, before): &(&str, Vec<u8>), bytes: impl AsRef<[u8]>) {
    let mut visitor = server.visitor(source);
    // What comes of it is not the question here.
    let _ = visitor.ask([before, bytes.as_ref()].concat());
}

/// The same over TLS.
fn send_secretly(server: &Server, (source, before): &(&str, Vec<u8>), request: &str) {
    let mut line = Visitor::new(source, server.address_tls);
    let _gone = line.send(before);
    let Ok(stream) = line.connect().and_then(|stream| stream.try_clone()) else { return };
    if let Ok(mut secret) = Secret::over(stream, SITE, credulous(&["http/1.1"])) {
        let _ = secret.ask(request);
    }
}

/// Fields in which somebody claims to be somebody else.
fn claims(source: &str) -> String {
    let [v4, v6] = CLAIMED;
    format!(
        "X-Forwarded-For: {source}, {v4}\r\nForwarded: for=\"[{v6}]\";by={source}\r\n\
         X-Real-IP: {v4}\r\nCF-Connecting-IP: {v6}\r\nUser-Agent: {source}\r\n\
         Referer: http://{v4}/\r\n"
    )
}

/// All that goes wrong with a visitor of ours, one after the other.
fn attack(server: &Server, source: &str) {
    let post = format!("POST / HTTP/1.1\r\nHost: {SITE}\r\n");
    for way in &ways(source) {
        for path in ["/", "/burn", "/close", "/reset", "/half", "/gate", "/away", "/%zz", "/hold"] {
            send(server, way, get(path));
        }
        send_secretly(server, way, &get("/burn"));
        let claims = claims(source);
        for bytes in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n".to_owned(),
            "\u{16}\u{3}\u{1} no http at all\r\n\r\n".to_owned(),
            format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            format!("{post}Content-Length: 10\r\n\r\nhalf"),
            format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-For: {source}\r\n"),
            format!("GET /{source} HTTP/1.1\r\nHost: {SITE}\r\n{claims}\r\n"),
            format!("GET /?{source} HTTP/1.1\r\nHost: {source}\r\n{claims}\r\n"),
            // A header in front of a header, and one that is none.
            format!("PROXY TCP4 {} {} 1 2\r\n{}", CLAIMED[0], CLAIMED[0], get("/")),
            format!("PROXY TCP6 {source} nobody\r\n{}", get("/")),
        ] {
            let mut visitor = server.visitor(way.0);
            let _ = visitor.send([&way.1, bytes.as_bytes()].concat());
            visitor.leave();
        }
        for bytes in crate::smuggling::bytes().iter().step_by(9) {
            let mut visitor = server.visitor(way.0);
            let _ = visitor.send([&way.1[..], bytes].concat());
            visitor.leave();
        }
        let mut visitor = server.visitor(way.0);
        let _ = visitor.send(&way.1);
        for _ in 0..30 {
            let _ = visitor.get("/");
        }
    }
}

/// A head that is never finished, a WebSocket that is in use when its client is banned, and a client
/// that goes on knocking.
fn ban(server: &Server, source: &str) {
    let ask = format!(
        "GET /ws HTTP/1.1\r\nHost: {SOCKETS}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         {}\r\nhello",
        claims(source)
    );
    for way in &ways(source) {
        let mut slow = server.visitor(way.0);
        let _ = slow.send([&way.1, &b"GET / HTTP/1.1\r\nX-Slow: "[..]].concat());
        let _ = slow.read_until_end();
        let mut socket = server.visitor(way.0);
        let _ = socket.send([&way.1, ask.as_bytes()].concat());
        // Once it has begun, if this is not somebody who is banned already.
        let _ = socket.connect().map(|stream| stream.read(&mut [0]));
        for _ in 0..5 {
            send(server, way, get("/trap"));
            send_secretly(server, way, &get("/trap"));
        }
        let _ = socket.read_until_end();
    }
}

/// Everything that is done to the server, by everybody.
pub(crate) fn afternoon(server: &Server) {
    for source in SOURCES.into_iter().chain(NAMED) {
        attack(server, source);
    }
    for (_, make) in floods() {
        within(async { until_ended(raw_from(FLOODER, server).await, make).await });
    }
    for source in BANNED {
        ban(server, source);
    }
}

/// Nothing that was written holds an address of these.
#[track_caller]
fn assert_clean(all: &[Written]) {
    let sources = SOURCES.into_iter().chain(NAMED).chain(BANNED).chain(CLAIMED);
    for source in sources.chain([FLOODER, HOP]) {
        let trace = trace_of(source.parse().unwrap(), all);
        assert_eq!(trace, None, "an address was written");
    }
    for net in ["127.9.8", "203.0.113", "198.51.100", "192.0.2", "2001:db8", "2001:0db8"] {
        for Written { name, bytes, .. } in all {
            let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
            assert!(!text.contains(net), "{net} in {name}:\n{text}");
        }
    }
}

/// A server that all this can be done to.
pub(crate) fn setup(origin: &Origin, sockets: &Recorder) -> Setup {
    let setup = Setup::new(origin.address, POLICY)
        .site(SOCKETS, sockets.address)
        .limits(
            "origins.response_header_timeout = \"300ms\"\ntimeouts.request_header_timeout = \"100ms\"\ntimeouts.proxy_protocol_timeout = \"200ms\"\n\
             timeouts.tls_handshake_timeout = \"5s\"\nconnections.max_connections_per_client = 8",
        )
        .section(&format!("[trusted_proxies]\nnetworks = [\"{HOP}\"]\nproxy_protocol = true\n"))
        .tls("self_signed = true")
        .log_level("trace");
    setup.write("f.wasm", guest("endless-loop"));
    setup
}

#[test]
fn no_address_of_a_visitor_is_said_or_kept() {
    let (origin, sockets) = (Origin::start(), Recorder::start());
    let setup = setup(&origin, &sockets);
    let mut server = setup.start();
    afternoon(&server);
    overwrite(&setup.policy(ROOT), POLICY.replace("block", "blokc"));
    server.wait_error();
    overwrite(&setup.policy(ROOT), POLICY.replace("410", "418"));
    server.wait_generation(2);
    afternoon(&server);
    // The attack was one: each kind of refusal happened.
    let status = server.status();
    let (connections, requests) = (&status.proxy.connections, &status.proxy.requests);
    let (rejected, closed) = (&connections.rejected, &connections.closed);
    for (count, name) in [
        (requests.local_responses, "local responses"),
        (requests.rejected.unknown_host, "unknown host"),
        (requests.upstream_errors.timeout, "timeout of the origin"),
        (requests.upstream_errors.connect_or_reset, "reset by the origin"),
        (requests.websocket_upgrades, "WebSocket"),
        (closed.policy_drop, "drop"),
        (closed.policy_ban, "ban"),
        (closed.banned, "closed by a ban"),
        (closed.h2_frame_flood, "flood of frames"),
        (closed.invalid_chunked_body, "invalid body"),
        (closed.request_header_timeout, "timeout of a header"),
        (rejected.banned, "rejected by a ban"),
        (rejected.proxy_protocol_invalid, "PROXY header"),
        (rejected.max_connections_per_client, "connections of a client"),
        (status.proxy.tls.handshakes.success, "handshake"),
    ] {
        assert!(count > 0, "{name}: {status:#?}");
    }
    assert!(status.bans.active >= 3, "{status:#?}");
    wait_until("the log talks", || server.lines().len() > 10);

    let mut hanging = server.visitor(SOURCES[0]);
    hanging.send(get("/gate")).unwrap();
    let run = |words: &[&str]| Written::new(words.join(" "), setup.run(words).out);
    let mut said = vec![
        run(&["status"]),
        Written::new("status --json", json!(status).to_string()),
        run(&["status", "--json"]),
        run(&["reload"]),
        run(&["history"]),
        run(&["diff", "1", "2"]),
    ];
    server.signal(Signal::Terminate);
    assert_eq!(server.wait_end().code(), Some(0));
    said.push(Written::new("standard error", server.lines().join("\n")));
    said.extend(written_below(server.folder()));
    let snapshot = said.iter().any(|written| written.name.ends_with("/state/snapshot"));
    assert!(snapshot, "the bans and counts of everybody are kept, and cannot be read");
    assert_clean(&said);
}
