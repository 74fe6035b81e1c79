//! Behaviour of real clients, load balancers and origins, each as it was reported for other
//! software.

#![expect(clippy::disallowed_methods, reason = "origins and clients here are slow by intention")]

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use seawall_tests::{
    ROOT, Recorder, SITE, Server, Setup, Stopwatch, Visitor, get, overwrite, wait_until,
};

use crate::answers::says;

const POLICY: &str = "policy 1\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin that answers each request with the same bytes.
fn answers(answer: impl Into<String>) -> SocketAddr {
    let answer = answer.into();
    says(move |to| to.write_all(answer.as_bytes()))
}

/// An origin that answers one request of a connection so, and closes it.
fn answers_and_closes(answer: impl Into<String>) -> SocketAddr {
    let answer = answer.into();
    says(move |to| {
        to.write_all(answer.as_bytes())?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    })
}

/// All that a visitor is told who sends `request` and waits for the end of the connection.
fn told(server: &Server, request: &str) -> String {
    let mut visitor = server.visitor("127.17.0.1");
    visitor.send(request).unwrap();
    String::from_utf8(visitor.read_until_end()).unwrap()
}

fn in_http_1_0(fields: &str) -> String {
    format!("GET /page HTTP/1.0\r\nHost: {SITE}\r\n{fields}\r\n")
}

/// Case 02. RFC 9112 §6.1: who speaks HTTP/1.0 knows no chunks.
#[test]
fn http10_client_gets_no_chunks() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    let chunked = format!(
        "{head}Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-A: b\r\n\r\n"
    );
    let until_close = format!("{head}Connection: close\r\n\r\nhello world");
    let old = "HTTP/1.0 200 OK\r\n\r\nhello world".to_owned();
    for answer in [chunked, until_close, old] {
        let server = Setup::new(answers_and_closes(answer.clone()), POLICY).start();
        for fields in ["", "Connection: close\r\n", "Connection: keep-alive\r\n"] {
            let said = told(&server, &in_http_1_0(fields));
            let (head, body) = said.split_once("\r\n\r\n").unwrap();
            let head = head.to_ascii_lowercase();
            assert_eq!(body, "hello world", "{answer:?} to {fields:?}");
            assert!(!head.contains("transfer-encoding") && !head.contains("trailer"), "{head}");
            assert!(head.contains("connection: close"), "{head}");
        }
    }
    // With a length the connection can be kept, where the client asks for it.
    let server = Setup::new(answers(OK), POLICY).start();
    let mut visitor = server.visitor("127.17.0.1");
    for _ in 0..2 {
        let answer = visitor.ask(in_http_1_0("Connection: keep-alive\r\n")).unwrap();
        assert_eq!(answer.text(), "ok");
    }
    // HTTP/1.1 is answered as before.
    let server = Setup::new(answers_and_closes(format!("{head}\r\nhello world")), POLICY).start();
    let said = told(&server, &get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    assert!(said.to_ascii_lowercase().contains("transfer-encoding: chunked\r\n"), "{said}");
}

/// Case 04. RFC 9110 §15.2: nor does it know interim answers.
#[test]
fn interim_answers_are_not_for_http_1_0() {
    for status in [100, 102, 103, 104, 199] {
        let interim = format!("HTTP/1.1 {status} Something\r\nLink: </a.css>\r\n\r\n");
        let server = Setup::new(answers(format!("{interim}{interim}{OK}")), POLICY).start();
        let said = told(&server, &in_http_1_0(""));
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\nok"), "{said}");
    }
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let server = Setup::new(answers(format!("{early}{OK}")), POLICY).start();
    let said = told(&server, &get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    assert!(said.starts_with("HTTP/1.1 103 ") && said.ends_with("\r\n\r\nok"), "{said}");
}

/// Case 03. An interim answer is not the answer.
#[test]
fn interim_answer_then_failure_ends_in_an_answer() {
    for status in [100, 102, 103] {
        let interim = format!("HTTP/1.1 {status} Something\r\n\r\n");
        let silent = |to: &mut dyn Write| {
            to.flush()?;
            std::thread::sleep(Duration::from_millis(1_500));
            Err(std::io::ErrorKind::TimedOut.into())
        };
        let begun = interim.clone();
        for (what, origin, expected) in [
            ("it closes", answers_and_closes(interim.clone()), "502"),
            ("garbage", answers_and_closes(format!("{interim}garbage\r\n\r\n")), "502"),
            (
                "it is silent",
                says(move |to| to.write_all(begun.as_bytes()).and_then(|()| silent(to))),
                "504",
            ),
        ] {
            let setup =
                Setup::new(origin, POLICY).limits("origins.response_header_timeout = \"700ms\"");
            let server = setup.start();
            let said = told(&server, &get("/"));
            let last = said.rsplit("HTTP/1.1 ").next().unwrap();
            assert!(last.starts_with(expected), "{status}, {what}: {said:?}");
            assert_eq!(said.matches("HTTP/1.1 ").count(), 2, "{status}, {what}: {said:?}");
        }
    }
}

/// RFC 2518 §10.1: `102 Processing` says that it takes longer.
#[test]
fn an_origin_that_says_it_is_at_work_is_waited_for() {
    let origin = says(|to| {
        for _ in 0..6 {
            to.write_all(b"HTTP/1.1 102 Processing\r\n\r\n")?;
            std::thread::sleep(Duration::from_millis(400));
        }
        to.write_all(OK.as_bytes())
    });
    let server =
        Setup::new(origin, POLICY).limits("origins.response_header_timeout = \"1s\"").start();
    let said = told(&server, &get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    assert!(said.ends_with("\r\n\r\nok") && said.matches(" 102 ").count() == 6, "{said}");
}

/// An origin that answers what asks for `/poll` so late, and all else at once.
pub(crate) fn polls(late: Duration) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || {
                let mut visitor = std::io::BufReader::new(stream);
                let mut line = String::new();
                let mut is_late = false;
                while std::io::BufRead::read_line(&mut visitor, &mut line).is_ok_and(|n| n > 0) {
                    is_late |= line.contains("/poll");
                    if line == "\r\n" {
                        if std::mem::take(&mut is_late) {
                            std::thread::sleep(late);
                        }
                        if visitor.get_mut().write_all(OK.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

/// Case 06: each site waits for its origins as long as it says, and each part of it.
#[test]
fn time_outs_of_a_site_and_of_a_path_are_its_own() {
    let origin = polls(Duration::from_millis(1_500));
    let lines = "response_header_timeout = \"500ms\"\n\
                 [[site.route]]\npath_prefix = \"/poll/long\"\nresponse_header_timeout = \"20s\"\n\
                 [[site.route]]\npath_prefix = \"/poll/\"\nresponse_header_timeout = \"700ms\"";
    let setup = Setup::new(origin, POLICY)
        .limits("origins.response_header_timeout = \"1m\"")
        .site_lines(lines);
    let server = setup.site("b.example", origin).start();
    for (path, expected) in
        [("/page", 200), ("/poll", 504), ("/poll/x", 504), ("/poll/long?a", 200)]
    {
        assert_eq!(server.answers(path), expected, "{path}");
    }
    // By the path that rules see, and not as it is written.
    assert_eq!(server.answers("/x/../%70oll/long"), 200);
    let other = get("/poll").replace(SITE, "b.example");
    assert_eq!(server.visitor("127.17.0.1").ask(other).unwrap().status, 200);
}

/// Case 06: late answers of polls say nothing about an origin that answers others meanwhile.
#[test]
fn late_polls_do_not_put_the_site_out_of_order() {
    let origin = polls(Duration::from_secs(3));
    let server =
        Setup::new(origin, POLICY).limits("origins.response_header_timeout = \"1s\"").start();
    let mut polling: Vec<Visitor> = (0..25)
        .map(|n| {
            let mut visitor = server.visitor(&format!("127.17.1.{n}"));
            visitor.send(get("/poll")).unwrap();
            visitor
        })
        .collect();
    let since = Stopwatch::start();
    let mut pages = 0;
    while since.elapsed() < Duration::from_millis(2_000) {
        assert_eq!(server.answers("/page"), 200, "after {pages} pages");
        pages += 1;
        std::thread::sleep(Duration::from_millis(100));
    }
    for visitor in &mut polling {
        assert_eq!(visitor.read_answer(false).unwrap().status, 504);
    }
    assert_eq!(server.answers("/page"), 200);
    assert_eq!(server.status().origins[0].failures, 0);
    wait_until("all are over", || server.proxy().requests.active == 0);
}

/// Case 15. nginx leaves such a field out, and so do we.
#[test]
fn underscore_in_a_header_name() {
    let origin = Recorder::start();
    let server = Setup::new(origin.address, POLICY).start();
    let fields = "api_key: abc\r\n__RequestVerificationToken: x\r\nx_forwarded_for: 192.0.2.1\r\n\
                  X-Api-Key: 1\r\n";
    let request = format!("GET /api HTTP/1.1\r\nHost: {SITE}\r\n{fields}\r\n");
    assert_eq!(server.visitor("127.17.0.1").ask(request).unwrap().status, 200);
    let forwarded = origin.requests().pop().unwrap();
    assert!(!forwarded.head.contains('_'), "{}", forwarded.head);
    assert_eq!(forwarded.values("x-api-key"), ["1"]);
    assert_eq!(forwarded.values("x-forwarded-for"), ["127.17.0.1"]);
    assert_eq!(server.proxy().requests.headers_removed, 3);
    // What would frame the request is refused: who stands before us may have read it so.
    for field in ["Content_Length: 0", "transfer_Encoding: chunked"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\n{field}\r\n\r\n");
        assert_eq!(server.visitor("127.17.0.1").ask(request).unwrap().status, 400, "{field}");
    }
}

/// Case 19. A person can find out what was wrong with a body.
#[test]
fn malformed_chunk_is_answered() {
    let origin = Recorder::start();
    let server = Setup::new(origin.address, POLICY).start();
    let post = |body: &str| {
        format!("POST /x HTTP/1.1\r\nHost: {SITE}\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
    };
    let bodies =
        ["g\r\n", "3\nabc\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "0\r\nbad trailer\r\n\r\n"];
    for body in bodies {
        let answer = server.visitor("127.17.0.1").ask(post(body)).unwrap();
        assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{body:?}");
    }
    assert_eq!(origin.lines(), Vec::<String>::new());
    // RFC 9112 §7.1.1 allows blanks before an extension.
    for body in ["3 ;a=b\r\nabc\r\n0\r\n\r\n", "3 \t ; a=b\r\nabc\r\n0 ;c\r\n\r\n"] {
        assert_eq!(server.visitor("127.17.0.1").ask(post(body)).unwrap().status, 200, "{body:?}");
        assert_eq!(origin.requests().pop().unwrap().body, b"abc");
    }
    // And after the origin has the beginning of it, as long as it has not answered.
    let mut visitor = server.visitor("127.17.0.1");
    let begun = format!("{:x}\r\n{}\r\n", 40_000, "x".repeat(40_000));
    visitor.send(post(&begun)).unwrap();
    wait_until("it was forwarded", || server.proxy().requests.active == 1);
    visitor.send("g\r\n").unwrap();
    assert_eq!(visitor.read_answer(false).unwrap().status, 400);
}

/// Case 22. A balancer must be the one that ends its connections.
#[test]
fn idle_hop_is_kept_longer_than_a_client() {
    let origin = Recorder::start();
    let hops = "[trusted_proxies]\nnetworks = [\"127.17.9.0/24\"]\nheader = \"x-forwarded-for\"\n";
    let limits = "timeouts.idle_timeout = \"300ms\"";
    let setup = Setup::new(origin.address, POLICY).limits(limits).section(hops);
    let server = setup.start();
    let mut hop = server.visitor("127.17.9.1");
    let mut client = server.visitor("127.17.0.1");
    assert_eq!((hop.status("/"), client.status("/")), (200, 200));
    assert!(client.read_until_end().is_empty());
    std::thread::sleep(Duration::from_millis(300));
    assert!(hop.send(get("/")).is_ok());
    assert_eq!(hop.read_answer(false).unwrap().status, 200);
    // As long as its operator says.
    let setup = Setup::new(origin.address, POLICY);
    let server = setup.section(&format!("{hops}idle_timeout = \"400ms\"\n")).start();
    let mut hop = server.visitor("127.17.9.1");
    assert_eq!(hop.status("/"), 200);
    assert!(hop.read_until_end().is_empty());
}

/// Addresses that many share have as many connections and requests as they need.
#[test]
fn known_shared_addresses_have_no_caps_of_a_client() {
    let origin = Recorder::start();
    let limits = "connections.max_connections_per_client = 2\nconnections.max_connections_per_network = 2\n\
                  connections.connection_rate_per_client = 2\n\
                  connections.exempt = [\"127.17.8.0/24\"]";
    let setup = Setup::new(origin.address, POLICY).limits(limits);
    let server = setup.start();
    let mut school: Vec<Visitor> = (0..9).map(|_| server.visitor("127.17.8.1")).collect();
    for visitor in &mut school {
        assert_eq!(visitor.status("/"), 200);
    }
    let mut clients: Vec<Visitor> = (0..9).map(|_| server.visitor("127.17.0.1")).collect();
    let served = clients.iter_mut().filter_map(|visitor| visitor.get("/").ok()).count();
    assert_eq!(served, 2);
}

/// What a policy sees of the connection, the client and the script.
#[test]
fn the_fields_of_the_field_have_their_values() {
    let origin = polls(Duration::from_secs(2));
    let policy = "policy 1
floor {
  rule old { when conn.proto == h10 then block 410 }
  rule secret { when scheme == https then block 411 }
  rule script { when path.script ends_with \"/wp-login.php\" then block 412 }
  rule many { when client.connections > 3 then block 413 }
  rule busy { when client.in_flight > 2 then block 414 }
}
";
    let hops = "[trusted_proxies]\nnetworks = [\"127.17.9.0/24\"]\nheader = \"x-forwarded-for\"\n";
    let setup = Setup::new(origin, policy).site_lines("scripts = [\"php\"]").section(hops);
    let server = setup.site("b.example", origin).start();
    let ask = |source: &str, request: &str| server.visitor(source).ask(request).unwrap().status;
    assert_eq!(ask("127.17.0.1", &in_http_1_0("")), 410);
    assert_eq!(ask("127.17.0.1", &get("/x/wp-login.php/y")), 412);
    assert_eq!(ask("127.17.0.1", &get("/wp-login.PHP%2fy")), 200, "as it is spelt, and no file");
    assert_eq!(ask("127.17.0.1", &get("/wp-login.php%2fy")), 412);
    let other = get("/x/wp-login.php").replace(SITE, "b.example");
    assert_eq!(ask("127.17.0.1", &other), 200, "its operator names no scripts");
    let forwarded = get("/").replace("\r\n\r\n", "\r\nX-Forwarded-Proto: https\r\n\r\n");
    assert_eq!((ask("127.17.9.1", &forwarded), ask("127.17.0.1", &forwarded)), (411, 200));
    let mut held: Vec<Visitor> = (0..4).map(|_| server.visitor("127.17.0.2")).collect();
    let statuses: Vec<u16> = held.iter_mut().map(|visitor| visitor.status("/")).collect();
    assert_eq!(statuses, [200, 200, 200, 413]);
    let mut polling: Vec<Visitor> = (0..2).map(|_| server.visitor("127.17.0.3")).collect();
    for visitor in &mut polling {
        visitor.send(get("/poll")).unwrap();
    }
    wait_until("two are under way", || server.proxy().requests.active == 2);
    assert_eq!(ask("127.17.0.3", &get("/")), 414);
    assert_eq!(ask("127.17.0.4", &get("/")), 200);
}

/// What is under way in a limit, over real connections.
#[test]
fn requests_under_way_are_held_to_their_limit() {
    let origin = polls(Duration::from_secs(120));
    let policy = |n: u32| {
        format!("policy 1\nfloor {{ limit many {{ per client concurrent {n} then block 429 }} }}\n")
    };
    let server = Setup::new(origin, &policy(2)).start();
    let ask = |source: &str| server.visitor(source).ask(get("/")).unwrap().status;
    let poll = |source: &str| {
        let mut visitor = server.visitor(source);
        visitor.send(get("/poll")).unwrap();
        visitor
    };
    let _polling: Vec<Visitor> = (0..2).map(|_| poll("127.17.0.1")).collect();
    wait_until("two are under way", || server.proxy().requests.active == 2);
    assert_eq!((ask("127.17.0.1"), ask("127.17.0.2")), (429, 200));
    overwrite(&server.setup.policy(ROOT), policy(3));
    server.wait_generation(2);
    assert_eq!(ask("127.17.0.1"), 200, "an edit gives one more, and forgets none");
    let _third = poll("127.17.0.1");
    wait_until("three are under way", || server.proxy().requests.active == 3);
    assert_eq!(ask("127.17.0.1"), 429);
}

/// RFC 9110 §6.5: a client that says `TE: trailers` gets them.
#[test]
fn trailers_of_an_answer_are_sent_on() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let server = Setup::new(answers(answer), POLICY).start();
    let fields = "\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let said = told(&server, &get("/").replace("\r\n\r\n", fields));
    assert!(said.to_ascii_lowercase().ends_with("0\r\nx-sum: 7\r\n\r\n"), "{said}");
}
