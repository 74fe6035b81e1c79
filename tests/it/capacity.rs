//! Attempts to use up a limit: connections, requests at an origin, uploads and tunnels.

use std::io::Read;

use bytes::Bytes;
use http::Method;
use seawall_tests::{Origin, Recorder, SITE, Server, Setup, Visitor, get, wait_for, wait_until};

use crate::h2::{ask, client, request, within};

const POLICY: &str = "policy 1\n";

fn server(origin: &Origin, limits: &str) -> Server {
    Setup::new(origin.address, POLICY).limits(limits).start()
}

/// A POST of `bytes` of which the first byte is sent.
fn begin_upload(server: &Server, source: &str, bytes: usize) -> Visitor {
    let mut visitor = server.visitor(source);
    let head = format!("POST /up HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: {bytes}\r\n\r\nx");
    visitor.send(head).unwrap();
    visitor
}

/// A request of `source` that waits at the gate.
fn at_gate(server: &Server, source: &str) -> Visitor {
    let mut visitor = server.visitor(source);
    visitor.send(get("/gate")).unwrap();
    visitor
}

/// An answer is there a moment before its place is free.
fn all_are_over(server: &Server) {
    wait_until("all are over", || server.proxy().requests.active == 0);
}

#[test]
fn connections_that_say_nothing_make_room_for_visitors() {
    let origin = Origin::start();
    let server = server(&origin, "connections.max_connections = 40");
    let mut kept = server.visitor("127.5.0.1");
    assert_eq!(kept.status("/"), 200);
    let mut waiting = at_gate(&server, "127.5.0.2");
    let connect = |n: usize| {
        let mut visitor = server.visitor(&format!("127.5.1.{n}"));
        // Past the cap one may be reset before it knows that it was there.
        drop(visitor.connect());
        visitor
    };
    let silent: Vec<_> = (1..=60).map(connect).collect();
    for n in 0..5 {
        // A connection that has just come has time for its request: it is not evicted.
        let answer = wait_for("a visitor is served", || {
            server.visitor(&format!("127.5.2.{n}")).get("/").ok()
        });
        assert_eq!(answer.status, 200);
    }
    assert!(server.proxy().connections.closed.evicted > 0);
    wait_until("the evicted connections are closed", || server.proxy().connections.active <= 40);
    // One that asked before goes after those that never did, and a busy one not at all.
    assert_eq!(kept.get("/").unwrap().status, 200);
    origin.gate().open();
    assert_eq!(waiting.read_answer(false).unwrap().status, 200);
    drop(silent);
}

#[test]
fn with_few_files_there_are_fewer_places_and_always_one_for_the_admin() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).open_files(512).start();
    let said = server.wait_line("files may be open");
    assert!(said.contains("512 files") && said.contains("112 connections"), "{said}");
    let connect = |n: usize| {
        let mut visitor = server.visitor(&format!("127.5.{}.{}", 20 + n / 200, 1 + n % 200));
        drop(visitor.connect());
        visitor
    };
    let silent: Vec<_> = (0..800).map(connect).collect();
    assert_eq!(server.setup.run(&["status"]).code, Some(0));
    let served = |n: usize| server.visitor(&format!("127.5.40.{n}")).get("/").ok();
    for n in 1..=5 {
        assert_eq!(wait_for("a visitor is served", || served(n)).status, 200);
    }
    assert_eq!(server.proxy().connections.accept_errors, 0);
    assert!(server.proxy().connections.active <= 112 + 64);
    drop(silent);
}

#[test]
fn who_comes_too_fast_is_reset_and_the_neighbour_is_not() {
    let origin = Origin::start();
    let server = server(&origin, "connections.connection_rate_per_client = 5");
    let served = |source: &str| server.visitor(source).get("/").is_ok();
    let refused = (0..200).filter(|_| !served("127.5.3.1")).count();
    assert!((1..=190).contains(&refused), "{refused}");
    assert!((0..5).all(|_| served("127.5.3.2")));
    assert_eq!(server.proxy().connections.rejected.connection_rate, refused as u64);
}

#[test]
fn a_small_body_that_comes_slowly_holds_no_place_at_its_origin() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\norigins.max_uploads_per_origin = 1\nrequests.min_request_body_rate_grace = \"1m\"";
    let server = server(&origin, limits);
    let mut slow: Vec<_> =
        (1..=5).map(|n| begin_upload(&server, &format!("127.5.4.{n}"), 1_000)).collect();
    wait_until("all are begun", || server.proxy().requests.total == 5);
    assert_eq!(server.visitor("127.5.4.9").status("/"), 200);
    assert_eq!(origin.requests(), 1, "the origin has heard of nobody else");
    for visitor in &mut slow {
        all_are_over(&server);
        visitor.send([b'x'; 999]).unwrap();
        assert_eq!(visitor.read_answer(false).unwrap().status, 200);
    }
    assert_eq!(origin.requests(), 6);
}

#[test]
fn larger_uploads_have_places_of_their_own() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\norigins.max_uploads_per_origin = 1\nrequests.request_buffer_bytes = 4_096\n\
                  requests.min_request_body_rate_grace = \"1m\"";
    let server = server(&origin, limits);
    let begin = |source: &str| {
        let mut visitor = begin_upload(&server, source, 100_000);
        visitor.send([b'x'; 9_999]).unwrap();
        visitor
    };
    let mut first = begin("127.5.5.1");
    wait_until("it is with its origin", || server.proxy().requests.active == 1);
    assert_eq!(begin("127.5.5.2").read_answer(false).unwrap().status, 503);
    assert_eq!(server.visitor("127.5.5.3").status("/"), 200);
    first.send(vec![b'x'; 90_000]).unwrap();
    assert_eq!(first.read_answer(false).unwrap().status, 200);
    assert_eq!(server.proxy().requests.rejected.origin_busy, 1);
}

#[test]
fn websockets_have_places_of_their_own() {
    let origin = Recorder::start();
    let limits = "origins.max_requests_per_origin = 1\norigins.max_tunnels_per_origin = 2";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let open = |n: u8| {
        let mut visitor = server.visitor(&format!("127.5.6.{n}"));
        let asked = format!(
            "GET /ws HTTP/1.1\r\nHost: {SITE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        visitor.send(asked).unwrap();
        let mut status = [0; 12];
        visitor.connect().unwrap().read_exact(&mut status).unwrap();
        (visitor, String::from_utf8_lossy(&status).into_owned())
    };
    let held = [open(1), open(2)];
    assert!(held.iter().all(|(_, status)| status == "HTTP/1.1 101"), "{held:?}");
    assert_eq!(open(3).1, "HTTP/1.1 503");
    assert_eq!(server.visitor("127.5.6.4").status("/"), 200);
    drop(held);
    wait_until("a place is free again", || open(5).1 == "HTTP/1.1 101");
}

#[test]
fn a_client_and_a_network_have_their_share_of_requests_under_way() {
    let origin = Origin::start();
    let server = server(
        &origin,
        "requests.max_concurrent_requests_per_client = 2\nrequests.max_concurrent_requests_per_network = 3",
    );
    let mut held = vec![at_gate(&server, "127.5.7.1"), at_gate(&server, "127.5.7.1")];
    wait_until("both are there", || origin.gate().came() == 2);
    let answer = server.visitor("127.5.7.1").get("/").unwrap();
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("1")));
    held.push(at_gate(&server, "127.5.7.2"));
    wait_until("the neighbour's too", || origin.gate().came() == 3);
    assert_eq!(server.visitor("127.5.7.3").status("/"), 429, "its network has three");
    assert_eq!(server.visitor("127.5.8.1").status("/"), 200);
    origin.gate().open();
    for visitor in &mut held {
        assert_eq!(visitor.read_answer(false).unwrap().status, 200);
    }
    assert_eq!(server.proxy().requests.rejected.max_concurrent_requests_per_client, 2);
    all_are_over(&server);
    assert_eq!(server.visitor("127.5.7.1").status("/"), 200);
}

#[test]
fn all_requests_under_way_have_their_cap() {
    let origin = Origin::start();
    let server = server(&origin, "requests.max_concurrent_requests = 1");
    let mut held = at_gate(&server, "127.5.9.1");
    wait_until("it is there", || origin.gate().came() == 1);
    assert_eq!(server.visitor("127.5.10.1").status("/"), 503);
    origin.gate().open();
    assert_eq!(held.read_answer(false).unwrap().status, 200);
    assert_eq!(server.proxy().requests.rejected.origin_busy, 1);
    all_are_over(&server);
    assert_eq!(server.visitor("127.5.10.1").status("/"), 200);
}

#[test]
fn over_http_2_a_body_is_read_first_and_answers_that_nobody_takes_earn_no_turn() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 8\norigins.max_uploads_per_origin = 1";
    let server =
        Setup::new(origin.address, POLICY).limits(limits).tls("self_signed = true").start();
    within(async {
        let mut one = client(&server).await;
        let mut open = Vec::new();
        for _ in 0..2 {
            let mut ready = one.clone().ready().await.unwrap();
            let (answer, mut body) =
                ready.send_request(request(Method::POST, SITE, "/up"), false).unwrap();
            body.send_data(Bytes::from_static(b"x"), false).unwrap();
            open.push((answer, body));
        }
        let mut other = client(&server).await;
        assert_eq!(ask(&mut other, request(Method::GET, SITE, "/"), None).await.unwrap().0, 200);
        assert_eq!(origin.requests(), 1, "the origin has heard of no body");
        // Its two turns are taken: the third waits until one of them ends.
        let mut ready = one.clone().ready().await.unwrap();
        let (mut third, _) = ready.send_request(request(Method::GET, SITE, "/"), true).unwrap();
        let soon = std::time::Duration::from_millis(300);
        assert!(tokio::time::timeout(soon, &mut third).await.is_err());
        for (answer, mut body) in open {
            body.send_data(Bytes::from(vec![b'x'; 3_000]), true).unwrap();
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        assert_eq!(third.await.unwrap().status(), 200);
        // Answers that are taken: more turns than at first, so that eight wait at the gate.
        for _ in 0..8 {
            let status = ask(&mut one, request(Method::GET, SITE, "/"), None).await.unwrap().0;
            assert_eq!(status, 200);
        }
        let mut held = Vec::new();
        for _ in 0..8 {
            let mut ready = one.clone().ready().await.unwrap();
            held.push(ready.send_request(request(Method::GET, SITE, "/gate"), true).unwrap().0);
        }
        while origin.gate().came() < 8 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        origin.gate().open();
        for answer in held {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
    });
}
