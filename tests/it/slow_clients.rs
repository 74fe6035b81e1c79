//! Deliberately slow clients: each reaches a timeout, costs little until then, and delays no other
//! client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use seawall_tests::{
    LONG, Origin, Recorder, SITE, Secret, Server, Setup, Stopwatch, Visitor, credulous, get,
    wait_until,
};

/// What a busy machine may take longer than a deadline.
const SLACK: Duration = Duration::from_secs(10);
/// Connections that drip their heads.
const DRIPS: usize = 20;
/// Milliseconds of processor time that one of them may cost.
const DRIP_CPU_MS_MAX: u64 = 300;

fn start(origin: std::net::SocketAddr, limits: &str) -> Server {
    Setup::new(origin, "policy 1\n").limits(limits).tls("self_signed = true").start()
}

/// How often heads were refused for this.
fn refused(server: &Server, why: &str) -> u64 {
    server.proxy().requests.header_errors[why]
}

/// 31 KiB of a head at once, then a byte with each write, until the other side has had enough. How
/// many bytes that took, and what it said.
fn drip(server: &Server, source: &str) -> (usize, Vec<u8>) {
    let mut visitor = server.visitor(source);
    let start = format!("GET / HTTP/1.1\r\nHost: {SITE}\r\nX-Pad: ");
    visitor.send(format!("{start}{}", "x".repeat((31 << 10) - start.len()))).unwrap();
    let mut dripped = 0;
    // One KiB more would be too long a head: that is not what ends it.
    while dripped < 1_000 && visitor.send("x").is_ok() {
        dripped += 1;
        // A little later, so that each is a read of its own; it does not matter that all are.
        std::thread::park_timeout(Duration::from_millis(5));
    }
    (dripped, visitor.read_until_end())
}

#[test]
fn a_dripped_head_ends_by_its_reads_and_costs_little() {
    let origin = Origin::start();
    // What ends them is not to be the time that they take.
    let server = start(origin.address, "timeouts.request_header_timeout = \"1m\"");
    assert_eq!(server.answers("/"), 200);
    let before = server.cpu_ms();
    std::thread::scope(|scope| {
        let drips: Vec<_> = (0..DRIPS)
            .map(|n| {
                let server = &server;
                scope.spawn(move || drip(server, &format!("127.3.2.{}", n + 1)))
            })
            .collect();
        for dripping in drips {
            let (dripped, said) = dripping.join().unwrap();
            // A reset may take the answer with it.
            assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 400 "), "{dripped}");
        }
    });
    wait_until("all are counted", || refused(&server, "drip") == DRIPS as u64);
    let each = (server.cpu_ms() - before) / DRIPS as u64;
    assert!(each <= DRIP_CPU_MS_MAX, "{each} ms each");
    assert_eq!((server.answers("/"), origin.requests()), (200, 2));
}

/// Sends `piece` again and again until the connection ends, and says what `watch` shows then.
fn trickle(visitor: &mut Visitor, piece: &[u8], watch: Stopwatch) -> Duration {
    while visitor.send(piece).is_ok() && watch.elapsed() < LONG {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    watch.elapsed()
}

#[test]
fn a_body_that_hardly_comes_is_cut_at_its_deadline() {
    let origin = Recorder::start();
    let grace = Duration::from_millis(500);
    let server = start(
        origin.address,
        "requests.min_request_body_rate_grace = \"500ms\"\nrequests.min_request_body_rate = 100_000",
    );
    let post = format!("POST / HTTP/1.1\r\nHost: {SITE}\r\n");
    for (head, piece) in [
        (format!("{post}Content-Length: 1000000\r\n\r\n"), &b"x"[..]),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n"), b"1\r\nx\r\n"),
        // What waits inside a chunk's extension is no faster.
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n1;"), b"x"),
    ] {
        let mut slow = server.visitor("127.3.2.1");
        // Before the server can have begun to wait.
        let watch = Stopwatch::start();
        slow.send(&head).unwrap();
        let took = trickle(&mut slow, piece, watch);
        assert!(took >= grace && took < grace + SLACK, "{took:?}: {head}");
        assert_eq!(server.answers("/"), 200);
    }
    wait_until("all are counted", || server.proxy().connections.closed.min_body_rate == 3);
    wait_until("the origin is free of them", || server.proxy().requests.active == 0);
    let whole: Vec<_> = origin.lines().into_iter().filter(|line| line != "GET /").collect();
    assert!(whole.is_empty(), "no half body is a whole one: {whole:?}");
    // One that comes in its time takes as long as it likes in all.
    let mut steady = server.visitor("127.3.2.2");
    steady.send(format!("{post}Content-Length: 400000\r\n\r\n")).unwrap();
    for _ in 0..40 {
        steady.send([b'x'; 10_000]).unwrap();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(steady.read_answer(false).unwrap().status, 200);
}

#[test]
fn whoever_does_not_read_is_cut_at_the_deadline_and_whoever_reads_gets_all() {
    let origin = Origin::start();
    let stall = Duration::from_millis(2_000);
    let server = start(origin.address, "timeouts.send_timeout = \"2s\"");
    let mut silent = server.visitor("127.3.2.1");
    silent.send(get("/large")).unwrap();
    wait_until("it is under way", || origin.requests() == 1);
    let watch = Stopwatch::start();
    wait_until("it is cut", || server.proxy().connections.closed.send_timeout == 1);
    assert!(watch.elapsed() < stall + SLACK, "{:?}", watch.elapsed());
    wait_until("the origin is free of it", || server.proxy().requests.active == 0);
    assert!(silent.read_until_end().len() < 8 << 20);

    // A byte at a time is as good as nothing.
    let mut sipping = server.visitor("127.3.2.2");
    sipping.send(get("/large")).unwrap();
    let watch = Stopwatch::start();
    let mut byte = [0];
    while server.proxy().connections.closed.send_timeout == 1 && watch.elapsed() < LONG {
        let _read = sipping.connect().unwrap().read(&mut byte);
    }
    assert_eq!(server.proxy().connections.closed.send_timeout, 2);

    let mut reading = TcpStream::connect(server.address).unwrap();
    reading.set_read_timeout(Some(LONG)).unwrap();
    reading.write_all(get("/large").as_bytes()).unwrap();
    let mut all = vec![0; 8 << 20];
    reading.read_exact(&mut all).unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn over_tls_a_body_has_the_same_deadline() {
    let origin = Recorder::start();
    let server = start(
        origin.address,
        "requests.min_request_body_rate_grace = \"300ms\"\nrequests.min_request_body_rate = 100_000",
    );
    let mut secret = Secret::connect(server.address_tls, SITE, credulous(&["http/1.1"])).unwrap();
    let post = format!("POST / HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 1000\r\n\r\nx");
    assert!(secret.ask(&post).is_err(), "nothing is answered");
    assert_eq!(server.proxy().connections.closed.min_body_rate, 1);
    assert_eq!(server.answers("/"), 200);
}
