//! Accepting connections and requests: hosts, headers, connections, and the information that client
//! and origin get about each other.

use std::io::ErrorKind;

use seawall_tests::{Origin, SITE, Server, Setup, Visitor, get, wait_until};

const POLICY: &str = "policy 1
floor {
  rule no  { when path == \"/no\" then block 403 }
  rule cut { when path == \"/drop\" then drop }
}
";

fn start(origin: &Origin, limits: &str) -> Server {
    Setup::new(origin.address, POLICY).limits(limits).start()
}

#[test]
fn an_unknown_host_reaches_no_site() {
    let origin = Origin::start();
    let server = start(&origin, "");
    for host in ["b.example", "127.0.0.1", "a.example.evil", "x.a.example", "localhost"] {
        let asked = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(server.visitor("127.6.0.1").ask(asked).unwrap().status, 421, "{host}");
    }
    assert_eq!(server.proxy().requests.rejected.unknown_host, 5);
    assert_eq!(origin.requests(), 0);
    for host in ["A.Example", "a.example:80", "a.example."] {
        let asked = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(server.visitor("127.6.0.1").ask(asked).unwrap().status, 200, "{host}");
    }
    assert_eq!(origin.requests(), 3);
}

#[test]
fn each_host_reaches_its_own_site() {
    let (one, two) = (Origin::start(), Origin::start());
    let server = Setup::new(one.address, POLICY).site("*.b.example", two.address).start();
    let mut visitor = server.visitor("127.6.0.1");
    for host in [SITE, "x.b.example", "y.b.example"] {
        let asked = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(visitor.ask(asked).unwrap().status, 200);
    }
    assert_eq!((one.requests(), two.requests()), (1, 2));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let inner = get("/smuggled");
    let heads = [
        format!("GET / HTTP/1.1\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nHost: {SITE}\r\n\r\n{inner}"),
        format!("GET http://b.example/ HTTP/1.1\r\nHost: {SITE}\r\n\r\n{inner}"),
        post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &inner),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &inner),
        post("Transfer-Encoding: xchunked\r\n", &inner),
        post("Transfer-Encoding : chunked\r\n", &inner),
        post("Content-Length: 0\r\nContent-Length: 40\r\n", &inner),
        post("Content-Length: +4\r\n", &inner),
        post("Content-Length: 4, 4\r\n", &inner),
        post("Content-Length:\r\n 4\r\n", &inner),
        post("Content_Length: 4\r\n", &inner),
        post("Connection: content-length\r\nContent-Length: 4\r\n", &inner),
        format!("GET / HTTP/1.1\nHost: {SITE}\n\n{inner}"),
        format!("CONNECT {SITE}:443 HTTP/1.1\r\nHost: {SITE}\r\n\r\n{inner}"),
    ];
    for head in &heads {
        let mut visitor = server.visitor("127.6.0.1");
        visitor.send(head).unwrap();
        assert_eq!(visitor.read_answer(false).unwrap().status, 400, "{head}");
        // A reset may follow, another answer may not.
        assert!(visitor.read_rest().unwrap_or_default().is_empty(), "{head}");
    }
    assert_eq!(origin.requests(), 0);
    assert_eq!(server.answers("/"), 200);
}

fn post(fields: &str, inner: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: {SITE}\r\n{fields}\r\n0\r\n\r\n{inner}")
}

#[test]
fn requests_in_a_row_are_answered_in_their_order() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let mut visitor = server.visitor("127.6.0.1");
    visitor.send(["/a", "/no", "/b", "/no", "/c"].map(get).concat()).unwrap();
    let statuses: Vec<u16> = (0..5).map(|_| visitor.read_answer(false).unwrap().status).collect();
    assert_eq!(statuses, [200, 403, 200, 403, 200]);
    let paths: Vec<String> = origin.heads().iter().map(|head| head[..6].to_owned()).collect();
    assert_eq!(paths, ["GET /a", "GET /b", "GET /c"]);
}

#[test]
fn a_dropped_request_is_reset_without_a_word() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let error = server.visitor("127.6.0.1").get("/drop").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!((server.proxy().connections.closed.policy_drop, origin.requests()), (1, 0));
}

#[test]
fn a_denied_post_with_a_body_still_reads_its_answer() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let mut asked =
        format!("POST /no HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 60000\r\n\r\n").into_bytes();
    asked.extend(vec![b'x'; 60_000]);
    for _ in 0..20 {
        assert_eq!(server.visitor("127.6.0.1").ask(&asked).unwrap().status, 403);
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn the_origin_learns_the_client_from_us_alone() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let asked = format!(
        "GET /echo HTTP/1.1\r\nHost: {SITE}\r\nX-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: \
         198.51.100.2, 198.51.100.3\r\nForwarded: for=198.51.100.4\r\nX-Real-IP: 198.51.100.5\r\n\
         X-Kept: yes\r\nConnection: x-hop\r\nX-Hop: no\r\n\r\n"
    );
    let seen = server.visitor("127.6.0.77").ask(asked).unwrap().text().to_ascii_lowercase();
    let forwarded: Vec<&str> =
        seen.lines().filter(|line| line.starts_with("x-forwarded-for:")).collect();
    assert_eq!(forwarded, ["x-forwarded-for: 127.6.0.77"], "{seen}");
    assert!(seen.contains("\r\nforwarded: for=127.6.0.77;"), "{seen}");
    assert!(seen.contains("\r\nx-kept: yes\r\n"), "{seen}");
    assert!(!seen.contains("198.51.100") && !seen.contains("x-hop"), "{seen}");
}

#[test]
fn no_answer_shows_the_origin_or_a_product() {
    let origin = Origin::start();
    let server = start(
        &origin,
        "timeouts.request_header_timeout = \"10s\"\norigins.response_header_timeout = \"10s\"",
    );
    let mut visitor = server.visitor("127.6.0.1");
    let mut answers = Vec::new();
    for path in ["/", "/away", "/close", "/reset", "/no"] {
        answers.push(visitor.get(path).unwrap());
    }
    for asked in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"] {
        answers.push(visitor.ask(asked).unwrap());
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 302, 502, 502, 403, 400, 421]);
    assert_eq!(answers[1].field("location"), Some("/elsewhere"));
    for answer in &answers {
        let said = format!("{}{}", answer.head, answer.text()).to_ascii_lowercase();
        for word in [
            "127.0.0.1",
            &origin.address.port().to_string(),
            "seawall",
            "pingora",
            "server:",
            "via:",
        ] {
            assert!(!said.contains(word), "`{word}` in {said}");
        }
    }
}

#[test]
fn a_head_that_takes_too_long_is_cut() {
    let origin = Origin::start();
    let server = start(&origin, "timeouts.request_header_timeout = \"300ms\"");
    let mut visitor = server.visitor("127.6.0.1");
    visitor.send(format!("GET / HTTP/1.1\r\nHost: {SITE}\r\n")).unwrap();
    // Somebody else is served while the head is waited for, and after.
    assert_eq!(server.answers("/"), 200);
    let said = visitor.read_rest().unwrap_or_default();
    assert!(said.is_empty(), "{}", said.escape_ascii());
    wait_until("it is counted", || server.proxy().connections.closed.request_header_timeout == 1);
    assert_eq!(server.answers("/"), 200);
    assert_eq!(origin.requests(), 2);
}

#[test]
fn a_head_at_its_size_is_taken_and_past_it_refused() {
    let origin = Origin::start();
    let server = start(
        &origin,
        "requests.max_request_header_bytes = 2048\nrequests.max_request_headers = 10",
    );
    let sized = |bytes: usize| {
        let start = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nX-Pad: ");
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    let fields = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: {SITE}\r\n{}\r\n", "X-A: b\r\n".repeat(count - 1))
    };
    let ask = |asked: String| server.visitor("127.6.0.1").ask(asked).unwrap().status;
    assert_eq!((ask(sized(2_048)), ask(sized(2_049))), (200, 431));
    assert_eq!((ask(fields(10)), ask(fields(11))), (200, 431));
    assert_eq!(origin.requests(), 2);
}

#[test]
fn a_client_has_so_many_connections_and_its_neighbour_too() {
    let origin = Origin::start();
    let server = start(&origin, "connections.max_connections_per_client = 2");
    let mut held: Vec<Visitor> = (0..2).map(|_| server.visitor("127.6.0.1")).collect();
    held.iter_mut().for_each(|visitor| assert_eq!(visitor.status("/"), 200));
    assert!(server.visitor("127.6.0.1").get("/").is_err());
    assert_eq!(server.answers("/"), 200);
    assert_eq!(server.proxy().connections.rejected.max_connections_per_client, 1);
    held.pop();
    wait_until("the place is free", || server.visitor("127.6.0.1").get("/").is_ok());
}

#[test]
fn a_connection_ends_with_its_last_request_and_says_so() {
    let origin = Origin::start();
    let server = start(&origin, "connections.max_requests_per_connection = 3");
    for paths in [["/", "/", "/"], ["/no", "/no", "/no"], ["/no", "/", "/no"]] {
        let mut visitor = server.visitor("127.6.0.1");
        visitor.send([paths.map(get).concat(), get("/past")].concat()).unwrap();
        let said: Vec<bool> = (0..3)
            .map(|_| visitor.read_answer(false).unwrap().field("connection") == Some("close"))
            .collect();
        assert_eq!(said, [false, false, true], "{paths:?}");
        assert!(visitor.read_until_end().is_empty(), "{paths:?}");
    }
    assert_eq!(
        (origin.requests(), server.proxy().connections.closed.max_requests_or_duration),
        (4, 3)
    );
}

#[test]
fn an_old_connection_ends_with_its_next_answer() {
    let origin = Origin::start();
    let server = start(&origin, "connections.max_connection_duration = \"1s\"");
    let mut visitor = server.visitor("127.6.0.1");
    // Asked until it is old; the answer that ends it is a whole one.
    wait_until("it is old", || {
        let answer = visitor.get("/").unwrap();
        assert_eq!(answer.status, 200);
        answer.field("connection") == Some("close")
    });
    assert_eq!(server.proxy().connections.closed.max_requests_or_duration, 1);
}

/// The most that an idle connection may take of the program's memory.
const IDLE_BYTES_MAX: u64 = 16 * 1024;

#[test]
fn an_idle_connection_takes_little_memory() {
    let origin = Origin::start();
    let server = start(&origin, "timeouts.idle_timeout = \"10m\"");
    // What the first connections bring with them is everybody's.
    assert_eq!(server.answers("/"), 200);
    let connect = |n: usize| {
        let mut visitor = server.visitor(&format!("127.6.{}.{}", 10 + n / 100, 1 + n % 100));
        visitor.connect().unwrap();
        visitor
    };
    let _some: Vec<Visitor> = (0..50).map(connect).collect();
    wait_until("they are there", || server.proxy().connections.active == 50);
    let before = server.resident_bytes();
    let _more: Vec<Visitor> = (50..450).map(connect).collect();
    wait_until("all are there", || server.proxy().connections.active == 450);
    let each = server.resident_bytes().saturating_sub(before) / 400;
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes each");
}

#[test]
fn a_port_in_use_is_told_with_its_address() {
    let origin = Origin::start();
    let server = start(&origin, "");
    let other = Setup::new(origin.address, POLICY).listen(server.address);
    other.write_config();
    let ran = other.run(&["run", "-c", "seawall.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains(&server.address.to_string()), "{}", ran.err);
    assert!(ran.err.contains("in use"), "{}", ran.err);
    assert_eq!(server.answers("/"), 200, "the first one goes on");
}

#[test]
fn an_admin_socket_that_somebody_answers_on_is_not_taken() {
    let origin = Origin::start();
    let server = start(&origin, "");
    // The same folder again, on another port.
    let ran = server.setup.run(&["run", "-c", "seawall.toml"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("another server uses this socket"), "{}", ran.err);
    assert_eq!(server.status().policy.generation, 1);
}
