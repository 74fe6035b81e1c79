//! Trusted proxies in front of Seawall: the clients that they name, whose headers count, and the
//! effect of a ban then.
//!
//! The trusted proxy is `127.5.0.1`. Headers of all other addresses do not count.

use std::io::Write;

use seawall_tests::{
    Answer, Peer, Recorder, SITE, Secret, Server, Setup, Visitor, credulous, get, wait_until,
};

const HOP: &str = "127.5.0.1";
const STRANGER: &str = "127.5.9.9";

const POLICY: &str = "policy 1
floor {
  rule trap { when path == \"/trap\" then ban 1h }
  rule cut  { when path == \"/drop\" then drop }
  rule slow { when path == \"/hold\" then tarpit 30s }
  rule one  { when path == \"/bob\" and client.ip == 192.0.2.66 then block 403 }
  limit few { where path == \"/few\" per client to 2/7d then block 429 hold 1h }
}
";

fn start(origin: &Recorder, how: &str, limits: &str) -> Server {
    let section = format!("[trusted_proxies]\nnetworks = [\"{HOP}\"]\n{how}\n");
    Setup::new(origin.address, POLICY).section(&section).limits(limits).start()
}

fn by_proxy(origin: &Recorder, limits: &str) -> Server {
    start(origin, "proxy_protocol = true", limits)
}

/// A header of version 1 for a client.
fn v1(ip: &str) -> String {
    let family = if ip.contains(':') { "TCP6 " } else { "TCP4 " };
    let ours = if ip.contains(':') { "2001:db8::1" } else { "198.51.100.1" };
    format!("PROXY {family}{ip} {ours} 4711 80\r\n")
}

/// A header of version 2 for a client, with something added that is nobody's business.
fn v2(ip: [u8; 4]) -> Vec<u8> {
    let rest = [&ip[..], &[198, 51, 100, 1, 0x12, 0x67, 0, 80], &[0xea, 0, 3, 1, 2, 3]].concat();
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..], &length, &rest].concat()
}

/// Asks from `source`, the bytes of `header` first.
fn ask(server: &Server, source: &str, header: &[u8], path: &str) -> std::io::Result<Answer> {
    let mut visitor = server.visitor(source);
    visitor.ask([header, get(path).as_bytes()].concat())
}

/// The status of an answer; 0 where none came.
fn status(answer: std::io::Result<Answer>) -> u16 {
    answer.map_or(0, |answer| answer.status)
}

#[test]
fn the_client_of_a_proxy_header_is_the_one_that_the_origin_sees() {
    let origin = Recorder::start();
    let server = by_proxy(&origin, "");
    for (header, expected) in [
        (v1("192.0.2.66").into_bytes(), "192.0.2.66"),
        (v1("2001:db8::66").into_bytes(), "2001:db8::66"),
        (v2([192, 0, 2, 67]), "192.0.2.67"),
        (b"PROXY UNKNOWN\r\n".to_vec(), HOP),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0".to_vec(), HOP),
    ] {
        let claims = "X-Forwarded-For: 203.0.113.1\r\nForwarded: for=203.0.113.2\r\n\
                      X-Real-IP: 203.0.113.3\r\nX-Forwarded-Proto: https\r\nProxy: 203.0.113.4\r\n";
        let asked = format!("GET /x HTTP/1.1\r\nHost: {SITE}\r\n{claims}\r\n");
        let bytes = [&header, asked.as_bytes()].concat();
        assert_eq!(server.visitor(HOP).ask(bytes).unwrap().status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.values("x-forwarded-for"), [expected]);
        assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
        assert_eq!(seen.values("forwarded").len(), 1);
        assert!(!seen.head.contains("203.0.113."), "{}", seen.head);
    }
    assert_eq!(status(ask(&server, HOP, v1("192.0.2.66").as_bytes(), "/bob")), 403);
    assert_eq!(status(ask(&server, HOP, v1("192.0.2.67").as_bytes(), "/bob")), 200);
}

#[test]
fn a_strangers_proxy_header_is_no_request_and_no_hop_may_leave_it_out() {
    let origin = Recorder::start();
    let server = by_proxy(&origin, "timeouts.proxy_protocol_timeout = \"1s\"");
    for header in [v1("192.0.2.66").into_bytes(), v2([192, 0, 2, 66])] {
        assert_eq!(status(ask(&server, STRANGER, &header, "/")), 400);
    }
    assert_eq!(status(ask(&server, STRANGER, b"", "/")), 200);
    assert_eq!(status(ask(&server, HOP, b"", "/")), 0);
    assert_eq!(status(ask(&server, HOP, b"PROXY TCP4 x y 1 2\r\n", "/")), 0);
    wait_until("both are counted", || {
        server.proxy().connections.rejected.proxy_protocol_invalid == 2
    });
    let mut silent = server.visitor(HOP);
    silent.send("PROXY TCP4 192.0").unwrap();
    assert!(silent.read_until_end().is_empty());
    wait_until("it is counted", || server.proxy().connections.rejected.proxy_protocol_timeout == 1);
    // A header in front of a header is no request either.
    let twice = [v1("192.0.2.66"), v1("192.0.2.67")].concat();
    assert_eq!(status(ask(&server, HOP, twice.as_bytes(), "/")), 400);
    assert_eq!(origin.lines().len(), 1);
}

#[test]
fn a_proxy_header_in_pieces_takes_nothing_of_the_request() {
    let origin = Recorder::start();
    let server = by_proxy(&origin, "");
    for header in [v1("192.0.2.66").into_bytes(), v2([192, 0, 2, 66])] {
        let mut visitor = server.visitor(HOP);
        let bytes = [&header, get("/whole").as_bytes()].concat();
        for byte in &bytes {
            visitor.connect().unwrap().write_all(std::slice::from_ref(byte)).unwrap();
        }
        assert_eq!(visitor.read_answer(false).unwrap().status, 200);
        assert_eq!(visitor.status("/again"), 200, "the header stands in front once");
    }
    assert_eq!(origin.lines(), ["GET /whole", "GET /again"].repeat(2));
}

#[test]
fn a_ban_meets_the_client_behind_a_proxy_header_and_not_the_hop() {
    let origin = Recorder::start();
    let server = by_proxy(&origin, "");
    let (bad, good) = (v1("192.0.2.66"), v1("192.0.2.67"));
    let mut old = server.visitor(HOP);
    assert_eq!(status(old.ask(format!("{bad}{}", get("/")))), 200);
    assert_eq!(status(ask(&server, HOP, bad.as_bytes(), "/trap")), 0);
    wait_until("what is under way is ended", || server.proxy().connections.closed.banned == 1);
    assert!(old.get("/").is_err());
    assert_eq!(status(ask(&server, HOP, bad.as_bytes(), "/")), 0);
    assert!(server.proxy().connections.rejected.banned >= 1);
    assert_eq!(status(ask(&server, HOP, good.as_bytes(), "/")), 200);
    // The hop itself cannot be banned: that would be everybody.
    assert_eq!(server.setup.run(&["bans", "add", HOP, "--for", "1h"]).code, Some(1));
}

#[test]
fn places_are_counted_for_the_client_behind_the_hop() {
    let origin = Recorder::start();
    let limits =
        "connections.max_connections_per_client = 2\nconnections.max_connections_per_network = 3";
    let server = by_proxy(&origin, limits);
    let hold = |ip: &str| {
        let mut visitor = server.visitor(HOP);
        visitor.ask(format!("{}{}", v1(ip), get("/"))).map(|answer| (answer.status, visitor))
    };
    let mut held: Vec<_> =
        ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(|ip| hold(ip).unwrap()).into();
    assert!(hold("192.0.2.1").is_err());
    assert!(hold("192.0.2.3").is_err());
    assert_eq!(server.proxy().connections.rejected.max_connections_per_client, 1);
    assert_eq!(server.proxy().connections.rejected.max_connections_per_network, 1);
    // Another network's clients, over the same hop, and many more than one client may hold.
    for n in 1..=6 {
        held.push(hold(&format!("198.51.{n}.1")).unwrap());
    }
    assert!(held.iter().all(|(status, _)| *status == 200));
}

#[test]
fn a_network_has_so_many_connections_and_its_neighbours_too() {
    let origin = Recorder::start();
    let server = Setup::new(origin.address, POLICY)
        .limits("connections.max_connections_per_network = 3")
        .start();
    let mut held: Vec<_> = (1..=3).map(|n| server.visitor(&format!("127.5.7.{n}"))).collect();
    held.iter_mut().for_each(|visitor| assert_eq!(visitor.status("/"), 200));
    assert!(server.visitor("127.5.7.4").get("/").is_err());
    assert_eq!(server.visitor("127.5.8.4").status("/"), 200);
    assert_eq!(server.proxy().connections.rejected.max_connections_per_network, 1);
    held.pop();
    wait_until("the place is free", || server.visitor("127.5.7.4").get("/").is_ok());
}

#[test]
fn a_proxy_header_stands_before_tls() {
    let origin = Recorder::start();
    let section = format!("[trusted_proxies]\nnetworks = [\"{HOP}\"]\nproxy_protocol = true\n");
    let setup = Setup::new(origin.address, POLICY).section(&section);
    let server = setup.tls("self_signed = true").start();
    let secret = |source: &str, header: &[u8]| {
        let mut line = Visitor::new(source, server.address_tls);
        line.send(header)?;
        let stream = line.connect()?.try_clone()?;
        Secret::over(stream, SITE, credulous(&["http/1.1"]))
    };
    for (header, expected) in
        [(v1("192.0.2.66").into_bytes(), "192.0.2.66"), (v2([192, 0, 2, 67]), "192.0.2.67")]
    {
        let mut visitor = secret(HOP, &header).unwrap();
        assert!(visitor.ask(&get("/x")).unwrap().starts_with("HTTP/1.1 200 "));
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.values("x-forwarded-for"), [expected]);
        assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
        assert!(secret(STRANGER, &header).is_err(), "a stranger's is no TLS");
    }
    assert!(secret(HOP, b"").is_err(), "a hop may not leave it out");
    let mut stranger = secret(STRANGER, b"").unwrap();
    assert!(stranger.ask(&get("/x")).unwrap().starts_with("HTTP/1.1 200 "));
    // Who was banned over plain HTTP has no handshake here.
    assert_eq!(status(ask(&server, HOP, v1("192.0.2.66").as_bytes(), "/trap")), 0);
    assert!(secret(HOP, v1("192.0.2.66").as_bytes()).is_err());
    assert!(secret(HOP, v1("192.0.2.67").as_bytes()).is_ok());
}

#[test]
fn a_real_haproxy_in_front_names_the_client_in_every_form() {
    let origin = Recorder::start();
    let by_proxy = by_proxy(&origin, "");
    let by_header = start(&origin, "header = \"x-forwarded-for\"", "");
    let Some(front) = Peer::in_front([by_proxy.address, by_header.address]) else {
        // Past the test harness, which keeps the words of tests that pass to itself.
        let _ = writeln!(std::io::stderr(), "hops: skipped: haproxy is not installed");
        return;
    };
    for number in 1..=4 {
        let mut to = front.address;
        to.set_ip([127, 0, 0, number].into());
        for client in ["127.9.1.1", "127.9.1.2"] {
            let mut visitor = Visitor::new(client, to);
            let claims = "X-Forwarded-For: 203.0.113.9\r\n";
            let asked = format!("GET /x HTTP/1.1\r\nHost: {SITE}\r\n{claims}\r\n");
            assert_eq!(visitor.ask(asked).unwrap().status, 200, "form {number}");
            assert_eq!(visitor.status("/again"), 200);
            for request in origin.requests().iter().rev().take(2) {
                assert_eq!(request.values("x-forwarded-for"), [client], "form {number}");
            }
        }
    }
    assert_eq!(by_proxy.proxy().connections.rejected.proxy_protocol_invalid, 0);
}

/// A request that names a client in a field.
fn named(field: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {SITE}\r\n{field}\r\nX-Forwarded-Proto: https\r\n\r\n")
}

#[test]
fn a_listed_hops_header_names_the_client_and_a_strangers_does_not() {
    let origin = Recorder::start();
    for (word, fields) in [
        (
            "x-forwarded-for",
            "X-Forwarded-For: 203.0.113.9, 192.0.2.66\r\nX-Forwarded-For: 127.5.0.1",
        ),
        (
            "forwarded",
            "Forwarded: for=203.0.113.9, for=\"192.0.2.66:80\";proto=https, for=127.5.0.1",
        ),
        ("x-real-ip", "X-Real-IP: 192.0.2.66\r\nX-Forwarded-For: 203.0.113.9"),
    ] {
        let server = start(&origin, &format!("header = \"{word}\""), "");
        // One connection of the hop, two clients on it.
        let mut hop = server.visitor(HOP);
        assert_eq!(hop.ask(named(fields, "/bob")).unwrap().status, 403, "{word}");
        assert_eq!(hop.ask(named(fields, "/x")).unwrap().status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.values("x-forwarded-for"), ["192.0.2.66"], "{word}");
        assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
        assert_eq!(seen.values("forwarded"), ["for=192.0.2.66;proto=https"]);
        assert!(!seen.head.contains("203.0.113"), "{}", seen.head);
        assert_eq!(hop.ask(named(&fields.replace("2.66", "2.67"), "/bob")).unwrap().status, 200);
        let mut stranger = server.visitor(STRANGER);
        assert_eq!(stranger.ask(named(fields, "/bob")).unwrap().status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.values("x-forwarded-for"), [STRANGER]);
        assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
        assert!(!seen.head.contains("192.0.2.66"), "{}", seen.head);
    }
}

#[test]
fn limits_and_bans_count_the_client_of_a_header_and_the_hop_keeps_its_connection() {
    let origin = Recorder::start();
    let limits =
        "connections.max_connections_per_client = 2\nconnections.max_connections_per_network = 2";
    let server = start(&origin, "header = \"x-forwarded-for\"", limits);
    let mut hops: Vec<_> = (0..4).map(|_| server.visitor(HOP)).collect();
    hops.iter_mut().for_each(|hop| assert_eq!(hop.status("/"), 200, "a hop has no cap"));
    let mut hop = hops.pop().unwrap();
    let mut ask = |client: &str, path: &str| {
        let answer = hop.ask(named(&format!("X-Forwarded-For: {client}"), path)).unwrap();
        assert_ne!(answer.field("connection"), Some("close"), "the line is everybody's");
        answer.status
    };
    let few: Vec<u16> = (0..3).map(|_| ask("192.0.2.1", "/few")).collect();
    assert_eq!(few, [200, 200, 429]);
    assert_eq!(ask("192.0.2.2", "/few"), 200);
    // Nothing resets a line that others use: who is dropped or banned is refused on it.
    assert_eq!((ask("192.0.2.3", "/drop"), ask("192.0.2.3", "/")), (403, 200));
    assert_eq!((ask("192.0.2.3", "/hold"), ask("192.0.2.3", "/")), (403, 200));
    assert_eq!((ask("192.0.2.4", "/trap"), ask("192.0.2.4", "/")), (403, 403));
    assert_eq!(ask("192.0.2.5", "/"), 200);
    assert_eq!(server.proxy().connections.closed.banned, 0);
    assert_eq!(server.status().bans.active, 1);
}
