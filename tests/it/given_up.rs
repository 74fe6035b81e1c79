//! Requests whose client leaves while the origin works on them: they keep their origin slot.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use http::Method;
use seawall_tests::{SITE, Server, Setup, Visitor, get, wait_until};
use socket2::SockRef;

use crate::h2::{SELF_SIGNED, client, request, within};

const POLICY: &str = "policy 1\n";
/// Places at the origin.
const PLACES: usize = 4;

/// An origin that does not notice who leaves, as PHP does not: it works, then it answers.
#[derive(Default)]
struct Work {
    now: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

impl Work {
    fn start(work_ms: u64) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, work) = (listener.local_addr().unwrap(), Arc::new(Self::default()));
        let shared = Arc::clone(&work);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), work) = (stream, Arc::clone(&shared)) else { return };
                std::thread::spawn(move || work.serve(stream, work_ms));
            }
        });
        (address, work)
    }

    fn serve(&self, mut stream: TcpStream, work_ms: u64) {
        let mut held = Vec::new();
        loop {
            while !held.windows(4).any(|four| four == b"\r\n\r\n") {
                let mut room = [0; 4096];
                match stream.read(&mut room) {
                    Ok(n) if n > 0 => held.extend_from_slice(&room[..n]),
                    _ => return,
                }
            }
            held.clear();
            self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
            std::thread::park_timeout(Duration::from_millis(work_ms));
            self.now.fetch_sub(1, SeqCst);
            self.done.fetch_add(1, SeqCst);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

fn start(address: SocketAddr, more: &str) -> Server {
    let limits = format!("origins.max_requests_per_origin = {PLACES}\n{more}");
    Setup::new(address, POLICY).limits(&limits).start()
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    ByReset,
    ByClosing,
    HalfClosing,
}

/// Sends a request, waits until it is under way or waits in the line, and leaves.
fn give_up(server: &Server, nth: usize, how: Leaves) -> Visitor {
    let before = server.proxy().requests.total;
    let mut visitor = server.visitor(&format!("127.7.3.{}", nth % 200 + 1));
    visitor.send(get("/")).unwrap();
    wait_until("the request is judged", || server.proxy().requests.total > before);
    let stream = visitor.connect().unwrap();
    match how {
        Leaves::ByReset => SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap(),
        Leaves::HalfClosing => stream.shutdown(Shutdown::Write).unwrap(),
        Leaves::ByClosing => {}
    }
    visitor
}

fn at_work_at_most_as_many_as_there_are_places(how: Leaves) {
    let (address, work) = Work::start(300);
    let server = start(address, "");
    let mut half_closed = Vec::new();
    for nth in 0..PLACES * 4 {
        let visitor = give_up(&server, nth, how);
        if matches!(how, Leaves::HalfClosing) {
            half_closed.push(visitor);
        }
    }
    assert_eq!(server.answers("/"), 200, "a visitor gets in");
    wait_until("nobody is in flight", || server.proxy().requests.active == 0);
    let (most, done) = (work.most.load(SeqCst), work.done.load(SeqCst));
    assert!(most <= PLACES, "{how:?}: {most} at work at once");
    let given_up = server.proxy().requests.canceled;
    assert!(given_up > 0 && done as u64 >= given_up, "{how:?}: {given_up} of {done}");
    assert_eq!(server.status().sites[0].traffic.counts.requests_canceled_total, given_up);
    assert_eq!(server.proxy().requests.canceled_timeouts, 0);
}

#[test]
fn who_resets_after_asking_keeps_the_place_until_the_origin_answered() {
    at_work_at_most_as_many_as_there_are_places(Leaves::ByReset);
}

#[test]
fn who_closes_after_asking_keeps_the_place_until_the_origin_answered() {
    at_work_at_most_as_many_as_there_are_places(Leaves::ByClosing);
}

#[test]
fn who_half_closes_after_asking_keeps_the_place_until_the_origin_answered() {
    at_work_at_most_as_many_as_there_are_places(Leaves::HalfClosing);
}

#[test]
fn a_stream_that_is_taken_back_keeps_the_place_until_the_origin_answered() {
    let (address, work) = Work::start(300);
    let limits = format!("origins.max_requests_per_origin = {PLACES}");
    let server = Setup::new(address, POLICY).tls(SELF_SIGNED).limits(&limits).start();
    within(async {
        for nth in 1..=PLACES * 3 {
            let mut client = client(&server).await;
            let request = request(Method::GET, SITE, "/");
            let (answer, _) = client.send_request(request, true).unwrap();
            let is_judged = || server.proxy().requests.total == nth as u64;
            while !is_judged() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // Tells the other side that nobody wants it.
            drop(answer);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    wait_until("nobody is in flight", || server.proxy().requests.active == 0);
    let most = work.most.load(SeqCst);
    assert!(most <= PLACES, "{most} at work at once");
    assert!(server.proxy().requests.canceled > 0);
    assert_eq!(server.status().origins[0].failures, 0, "it answered each of them");
    assert_eq!(server.answers("/"), 200);
}

#[test]
fn a_given_up_request_counts_for_its_client() {
    let (address, _work) = Work::start(60_000);
    let server = start(address, "requests.max_concurrent_requests_per_client = 2");
    let leave = |server: &Server| {
        let mut visitor = server.visitor("127.7.0.9");
        visitor.send(get("/")).unwrap();
        visitor
    };
    for nth in 1..=2 {
        let visitor = leave(&server);
        wait_until("it is under way", || server.proxy().requests.active == nth);
        drop(visitor);
        wait_until("it is given up", || server.proxy().requests.canceled == nth);
    }
    assert_eq!(server.visitor("127.7.0.9").status("/"), 429);
    assert_eq!(server.proxy().requests.active, 2);
}

#[test]
fn an_origin_that_never_answers_a_given_up_request_failed_it() {
    let (address, _work) = Work::start(60_000);
    let server = start(address, "origins.response_header_timeout = \"1s\"");
    drop({
        let mut visitor = server.visitor("127.7.0.9");
        visitor.send(get("/")).unwrap();
        wait_until("it is under way", || server.proxy().requests.active == 1);
        visitor
    });
    wait_until("it came to nothing", || server.proxy().requests.canceled_timeouts == 1);
    wait_until("its place is free", || server.proxy().requests.active == 0);
    assert_eq!(server.status().origins[0].failures, 1);
}

#[test]
fn who_leaves_while_waiting_for_a_place_leaves_the_line_at_once() {
    let (address, work) = Work::start(1_500);
    let server = start(address, "queue.timeout = \"1m\"");
    let held: Vec<Visitor> = (1..=PLACES + 3)
        .map(|n| {
            let mut visitor = server.visitor(&format!("127.7.4.{n}"));
            visitor.send(get("/")).unwrap();
            let due = n as u64;
            wait_until("it was judged", || server.proxy().requests.total == due);
            visitor
        })
        .collect();
    wait_until("three wait", || server.status().sites[0].traffic.queue_length == 3);
    drop(held);
    wait_until("nobody waits", || server.status().sites[0].traffic.queue_length == 0);
    wait_until("nobody is in flight", || server.proxy().requests.active == 0);
    assert_eq!(work.done.load(SeqCst), PLACES, "the others were never sent");
}

#[test]
fn an_upload_that_is_given_up_midway_closes_its_connection_and_keeps_nothing() {
    let (address, _work) = Work::start(60_000);
    let server = start(address, "");
    let mut visitor = server.visitor("127.7.0.9");
    let head = get("/").replace("GET", "POST").trim_end().to_owned();
    visitor.send(format!("{head}\r\nContent-Length: 1000000\r\n\r\n")).unwrap();
    visitor.send(vec![b'x'; 100_000]).unwrap();
    wait_until("it is under way", || server.proxy().requests.active == 1);
    drop(visitor);
    wait_until("its place is free", || server.proxy().requests.active == 0);
    assert_eq!(server.proxy().requests.canceled, 0);
}
