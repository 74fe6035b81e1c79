//! Origins that are down, hang or close early: the client gets a response in time, and no requests
//! accumulate.

use seawall_tests::{Origin, SITE, Server, Setup, Visitor, get, wait_until};

const POLICY: &str = "policy 1\nfloor { rule no { when path == \"/no\" then block 403 } }\n";

#[test]
fn an_origin_that_is_down_is_502_and_its_sites_refusals_go_on() {
    let server = Setup::new(Origin::nowhere(), POLICY).start();
    assert_eq!((server.answers("/"), server.answers("/no")), (502, 403));
    assert_eq!(server.proxy().requests.upstream_errors.connect_or_reset, 1);
}

#[test]
fn an_origin_that_comes_back_is_asked_again() {
    let address = Origin::nowhere();
    let server = Setup::new(address, POLICY).start();
    assert_eq!(server.answers("/"), 502);
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    assert_eq!(server.answers("/"), 200);
}

#[test]
fn an_origin_that_hangs_is_504() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY)
        .limits("origins.response_header_timeout = \"2s\"")
        .start();
    assert_eq!((server.answers("/gate"), server.answers("/")), (504, 200));
    assert_eq!(server.proxy().requests.upstream_errors.timeout, 1);
    wait_until("nobody is in flight", || server.proxy().requests.active == 0);
}

#[test]
fn an_origin_that_breaks_off_is_502_or_a_cut_answer_and_never_a_whole_one() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    assert_eq!((server.answers("/close"), server.answers("/reset")), (502, 502));
    assert!(server.visitor("127.7.0.1").get("/half").is_err());
    assert_eq!(server.answers("/"), 200);
    assert_eq!(origin.requests(), 4, "no request is sent twice");
}

#[test]
fn a_kept_connection_that_the_origin_closed_costs_no_visitor_an_answer() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    let mut visitor = server.visitor("127.7.0.1");
    for _ in 0..5 {
        assert_eq!(visitor.status("/"), 200);
        assert_eq!(server.answers("/close"), 502);
    }
    assert_eq!(visitor.status("/"), 200);
}

/// Requests to `/gate` that are under way.
fn hang(server: &Server, origin: &Origin, count: usize) -> Vec<Visitor> {
    let mut hanging: Vec<_> =
        (1..=count).map(|n| server.visitor(&format!("127.7.1.{n}"))).collect();
    hanging.iter_mut().for_each(|visitor| visitor.send(get("/gate")).unwrap());
    wait_until("all are at the gate", || origin.gate().came() == count);
    hanging
}

#[test]
fn past_its_places_in_flight_and_without_a_queue_a_site_answers_503_at_once() {
    let (origin, other) = (Origin::start(), Origin::start());
    let server = Setup::new(origin.address, POLICY)
        .site("b.example", other.address)
        .limits("origins.max_requests_per_origin = 4\nqueue.max_requests_per_site = 0")
        .start();
    let mut hanging = hang(&server, &origin, 4);
    assert_eq!(server.proxy().requests.active, 4);
    // The origin has 30 seconds: these answers do not wait for it.
    for _ in 0..20 {
        let answer = server.visitor("127.7.0.1").get("/").unwrap();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    }
    assert_eq!(server.answers("/no"), 403);
    let asked = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
    assert_eq!(server.visitor("127.7.0.1").ask(asked).unwrap().status, 200, "another site's");
    assert_eq!(server.proxy().requests.active, 4, "they still hang");
    assert_eq!(server.proxy().requests.rejected.origin_busy, 20);
    origin.gate().open();
    for visitor in &mut hanging {
        assert_eq!(visitor.read_answer(false).unwrap().status, 200);
    }
    wait_until("there are places", || server.answers("/") == 200);
}

#[test]
fn a_visitor_who_leaves_gives_the_place_back() {
    let origin = Origin::start();
    let server =
        Setup::new(origin.address, POLICY).limits("origins.max_requests_per_origin = 2").start();
    let hanging = hang(&server, &origin, 2);
    assert_eq!(server.answers("/"), 503);
    drop(hanging);
    wait_until("the places are free", || server.answers("/") == 200);
}

#[test]
fn bodies_reach_the_origin_whole() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    let mut visitor = server.visitor("127.7.0.1");
    let head = format!("POST /post HTTP/1.1\r\nHost: {SITE}\r\n");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let sized = format!("{head}Content-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for asked in [&chunked, &sized, &chunked] {
        assert_eq!(visitor.ask(asked).unwrap().status, 200);
    }
    assert_eq!(origin.requests(), 3);
}
