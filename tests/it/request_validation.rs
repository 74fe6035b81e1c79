//! Unusual requests: those that are rejected, and the form in which the origin gets the others.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use seawall_tests::{Recorder, SITE, Server, Setup, Stopwatch, Visitor, get, wait_until};

const POLICY: &str = "policy 1
floor {
  rule no   { when path == \"/no\" then block 403 }
  rule trap { when path == \"/trap\" then ban 1h }
}
";

fn start(origin: &Recorder, limits: &str) -> Server {
    Setup::new(origin.address, POLICY).limits(limits).start()
}

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: {SITE}\r\n{fields}\r\n")
}

#[test]
fn what_is_refused_is_refused_with_its_status_and_shows_nothing() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let mut said = String::new();
    for (asked, status) in [
        (head("GET / HTTP/1.1", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400),
        (head("GET / HTTP/1.1", "X-A: b\rc\r\n"), 400),
        (head("GET / HTTP/1.1", "X-A: b\nc: d\r\n"), 400),
        (head("GET / HTTP/1.1", "X-A: b\r\n c\r\n"), 400),
        (head("GET / HTTP/1.1", "X A: b\r\n"), 400),
        (head("GET / HTTP/1.1", "X-A : b\r\n"), 400),
        (head("GET / HTTP/1.1", "X-A: b\0c\r\n"), 400),
        (head("POST / HTTP/1.1", "Content-Length: 1\r\nContent-Length: 1\r\n"), 400),
        (head("POST / HTTP/1.1", "Content-Length: 01\r\n"), 400),
        (head("POST / HTTP/1.1", "Content-Length: +1\r\n"), 400),
        (head("POST / HTTP/1.1", "Content-Length: -1\r\n"), 400),
        (head("GET / HTTP/1.1", "Host: a.example\r\n"), 400),
        (head("GET http://b.example/ HTTP/1.1", ""), 400),
        (head("POST / HTTP/1.0", "Transfer-Encoding: chunked\r\n"), 400),
        (head("OPTIONS * HTTP/1.1", "Content-Length: x\r\n"), 400),
        (head("GET * HTTP/1.1", ""), 400),
        (head("GET /<b> HTTP/1.1", ""), 400),
        (head("GET /`b HTTP/1.1", ""), 400),
        (head("GET /?<b> HTTP/1.1", ""), 400),
        (head("GET /?\"b HTTP/1.1", ""), 400),
        (head("CONNECT a.example:443 HTTP/1.1", ""), 400),
        (head(&format!("{} / HTTP/1.1", "M".repeat(33)), ""), 400),
        (head(&format!("GET /{} HTTP/1.1", "x".repeat(40_000)), ""), 431),
        (head("POST /ws HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"), 400),
    ] {
        let mut visitor = server.visitor("127.3.0.1");
        // The rest of what is too long may meet a connection that has ended.
        let _ = visitor.send(&asked);
        let answer = visitor.read_answer(false).unwrap();
        assert_eq!(answer.status, status, "{}", asked.escape_debug());
        assert_eq!(answer.field("connection"), Some("close"));
        said.push_str(&format!("{}{}", answer.head, answer.text()));
    }
    assert_eq!(origin.bytes(), 0);
    assert_names_nobody(&said, &origin);
}

/// Neither the origin's address nor any product stands in what was said.
#[track_caller]
fn assert_names_nobody(said: &str, origin: &Recorder) {
    let said = said.to_ascii_lowercase();
    let port = origin.address.port().to_string();
    for word in ["127.0.0.1", &port, "seawall", "pingora", "server:", "via:", "x-powered"] {
        assert!(!said.contains(word), "`{word}` in {said}");
    }
}

#[test]
fn what_is_sound_reaches_the_origin_as_it_was_sent_less_what_is_between_two_hops() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let mut said = String::new();
    let long = "M".repeat(32);
    for (asked, line, body) in [
        (head("GET /te HTTP/1.1", "TE: trailers\r\nConnection: TE\r\n"), "GET /te", ""),
        (
            head("GET /hop HTTP/1.1", "Connection: x-hop\r\nX-Hop: no\r\nKeep-Alive: no\r\n"),
            "GET /hop",
            "",
        ),
        (head("GET /h2c HTTP/1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\n"), "GET /h2c", ""),
        (head("HEAD /head HTTP/1.1", ""), "HEAD /head", ""),
        (head("OPTIONS * HTTP/1.1", ""), "OPTIONS *", ""),
        (head("GET http://a.example/abs?q HTTP/1.1", ""), "GET /abs?q", ""),
        (head("GET http://a.example?q HTTP/1.1", ""), "GET /?q", ""),
        // As browsers send them: what is odd in a target is the origin's to understand.
        (
            head("GET /a/%2e%2E//x?%zz={a}|[b]^`\\'(!*)$&+,;:@~ HTTP/1.1", ""),
            "GET /a/%2e%2E//x?%zz={a}|[b]^`\\'(!*)$&+,;:@~",
            "",
        ),
        (head("GET /caf\u{e9}?\u{e9} HTTP/1.1", ""), "GET /caf\u{e9}?\u{e9}", ""),
        (head("GET /old HTTP/1.0", ""), "GET /old", ""),
        (head(&format!("{long} /long HTTP/1.1"), ""), &format!("{long} /long"), ""),
        (head("POST /cl HTTP/1.1", "Content-Length: 4\r\n") + "body", "POST /cl", "body"),
        (head("GET /cl HTTP/1.1", "Content-Length: 4\r\n") + "body", "GET /cl", "body"),
        (
            head("POST /te HTTP/1.1", "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n")
                + "4;ext=\"x\"\r\nbody\r\n0\r\nX-T: no\r\n\r\n",
            "POST /te",
            "body",
        ),
    ] {
        let mut visitor = server.visitor("127.3.0.1");
        let answer = visitor.ask(&asked).unwrap();
        said.push_str(&format!("{}{}", answer.head, answer.text()));
        assert_eq!(answer.status, 200, "{asked}");
        let seen = origin.requests().pop().unwrap();
        assert_eq!((seen.line.as_str(), seen.body.as_slice()), (line, body.as_bytes()), "{asked}");
        assert_eq!(seen.values("host"), [SITE]);
        assert_eq!(seen.trailer_bytes, 0);
        for name in ["te", "trailer", "upgrade", "keep-alive", "x-hop"] {
            assert!(seen.values(name).is_empty(), "{name}: {}", seen.head);
        }
    }
    assert!(origin.unsound().is_empty(), "{:?}", origin.unsound());
    assert_names_nobody(&said, &origin);
}

#[test]
fn a_body_that_its_method_gives_no_meaning_ends_its_origins_connection() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let mut visitor = server.visitor("127.3.0.1");
    for (method, fields, rest, connection) in [
        ("GET", "", "", &[][..]),
        ("GET", "Content-Length: 0\r\n", "", &[]),
        ("POST", "Content-Length: 4\r\n", "body", &[]),
        ("GET", "Content-Length: 4\r\n", "body", &["close"]),
        ("DELETE", "Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n", &["close"]),
    ] {
        let asked = head(&format!("{method} /x HTTP/1.1"), fields) + rest;
        let answer = visitor.ask(&asked).unwrap();
        assert_eq!(answer.status, 200, "{asked}");
        assert_ne!(answer.field("connection"), Some("close"), "the client keeps its own");
        assert_eq!(origin.requests().pop().unwrap().values("connection"), connection, "{asked}");
    }
}

#[test]
fn whoever_waits_for_100_continue_gets_it_from_us_or_a_refusal() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let asked = |path: &str| {
        head(&format!("POST {path} HTTP/1.1"), "Expect: 100-continue\r\nContent-Length: 4\r\n")
    };
    let mut visitor = server.visitor("127.3.0.1");
    visitor.send(asked("/yes")).unwrap();
    // An interim answer has no length.
    let mut interim = vec![0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    visitor.connect().unwrap().read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 ") && interim.ends_with(b"\r\n\r\n"));
    visitor.send("body").unwrap();
    let answer = visitor.read_answer(false).unwrap();
    assert_eq!(answer.status, 200);
    let request = origin.requests().pop().unwrap();
    assert_eq!((request.body.as_slice(), request.values("expect").len()), (&b"body"[..], 0));
    assert_eq!(visitor.get("/again").unwrap().status, 200, "the connection goes on");
    let mut visitor = server.visitor("127.3.0.1");
    assert_eq!(visitor.ask(asked("/no")).unwrap().status, 403);
    assert_eq!(origin.lines(), ["POST /yes", "GET /again"]);
}

#[test]
fn an_answer_to_head_has_no_body_and_the_next_is_in_step() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let mut visitor = server.visitor("127.3.0.1");
    for path in ["/a", "/no", "/b"] {
        let answer = visitor.ask(head(&format!("HEAD {path} HTTP/1.1"), "")).unwrap();
        assert!(answer.field("content-length").is_some(), "{answer:?}");
        assert_eq!(visitor.get(path).unwrap().status, answer.status);
    }
}

/// Sends an upload of `bytes`, all at once and blindly, as simple clients do, and reads the answer.
fn upload(server: &Server, bytes: usize) -> Result<u16, ErrorKind> {
    let mut asked = head("POST /no HTTP/1.1", &format!("Content-Length: {bytes}\r\n")).into_bytes();
    asked.resize(asked.len() + bytes, b'x');
    let mut visitor = server.visitor("127.3.0.1");
    visitor.ask(&asked).map(|answer| answer.status).map_err(|error| error.kind())
}

#[test]
fn five_hundred_refused_uploads_read_their_answers() {
    let origin = Recorder::start();
    // On a busy machine those that are being closed pile up, and are the client's until they are.
    let server = start(
        &origin,
        "connections.max_connections_per_client = 500\nconnections.max_connections_per_network = 500",
    );
    let failed: Vec<_> =
        (0..500).map(|_| upload(&server, 1 << 20)).filter(|answer| *answer != Ok(403)).collect();
    assert!(failed.is_empty(), "{} failed: {:?}", failed.len(), failed[0]);
    assert_eq!((server.proxy().requests.local_responses, origin.bytes()), (500, 0));
}

#[test]
fn whoever_reads_while_sending_has_the_answer_before_a_large_upload_is_cut() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let mut visitor = server.visitor("127.3.0.1");
    visitor.send(head("POST /no HTTP/1.1", "Content-Length: 1000000000\r\n")).unwrap();
    // Far more than is read of it; the connection takes what it takes.
    let mut sender = visitor.connect().unwrap().try_clone().unwrap();
    let sending = std::thread::spawn(move || while sender.write_all(&[b'x'; 65_536]).is_ok() {});
    assert_eq!(visitor.read_answer(false).unwrap().status, 403);
    sending.join().unwrap();
    assert_eq!(origin.bytes(), 0);
}

/// A WebSocket on which something has been said.
fn websocket(server: &Server, source: &str) -> Visitor {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let mut visitor = server.visitor(source);
    // What is sent before the other side has agreed waits for it.
    visitor.send(head("GET /ws HTTP/1.1", fields) + "early").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nearly") {
        let mut byte = [0];
        visitor.connect().unwrap().read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", seen.escape_ascii());
    visitor
}

fn echo(visitor: &mut Visitor) -> bool {
    let mut seen = [0; 5];
    visitor.send("hello").is_ok()
        && visitor.connect().unwrap().read_exact(&mut seen).is_ok()
        && &seen == b"hello"
}

#[test]
fn a_websocket_passes_both_ways_and_a_ban_ends_it() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let (mut one, mut two) = (websocket(&server, "127.3.1.1"), websocket(&server, "127.3.1.2"));
    for _ in 0..20 {
        assert!(echo(&mut one) && echo(&mut two));
    }
    assert_eq!(server.proxy().requests.websocket_upgrades, 2);
    assert!(server.visitor("127.3.1.1").get("/trap").is_err());
    let watch = Stopwatch::start();
    let ended = one.read_rest().unwrap_err();
    // A second is what is promised; a busy machine may take a little longer.
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    assert!(echo(&mut two), "another's goes on");
    assert_eq!(server.proxy().connections.closed.banned, 1);
    wait_until("its place is free", || server.proxy().requests.active == 1);
}

#[test]
fn a_websocket_on_which_nothing_moves_is_closed() {
    let origin = Recorder::start();
    let server = start(&origin, "timeouts.tunnel_idle_timeout = \"3s\"");
    let mut visitor = websocket(&server, "127.3.1.1");
    assert!(echo(&mut visitor));
    let _ = visitor.read_rest();
    assert!(!echo(&mut visitor));
    wait_until("it is counted", || server.proxy().connections.closed.tunnel_idle_timeout == 1);
}

#[test]
fn requests_in_a_row_behind_an_upgrade_that_was_declined_are_requests() {
    let origin = Recorder::start();
    let server = start(&origin, "");
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut visitor = server.visitor("127.3.0.1");
    visitor.send(head("GET /declined HTTP/1.1", fields) + &get("/no")).unwrap();
    assert_eq!(visitor.read_answer(false).unwrap().status, 200);
    // Judged like any other, or not at all, and never handed on unseen.
    assert!(visitor.read_answer(false).is_ok_and(|answer| answer.status == 403));
    assert_eq!(origin.lines(), ["GET /declined"]);
}
