//! Sites share resources: a site that wants all of them takes nothing from a site that needs
//! little.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall_admin_api::SiteTraffic;
use seawall_tests::{
    Origin, SITE, Secret, Server, Setup, StopAtEnd, Stopwatch, Visitor, credulous, get, wait_for,
    wait_until,
};

const POLICY: &str = "policy 1\nfloor { rule no { when path == \"/no\" then block 403 } }\n";
const OTHER: &str = "b.example";
/// What the origin answers to `/large`.
const LARGE_BYTES: usize = 8 << 20;

fn ask(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// Two sites, the second of this share.
fn two(first: &Origin, second: &Origin, share: u32, limits: &str) -> Server {
    let section = format!(
        "[[site]]\nhosts = [\"{OTHER}\"]\norigins = [\"http://{}\"]\nweight = {share}\n",
        second.address
    );
    Setup::new(first.address, POLICY).section(&section).limits(limits).start()
}

/// A number of a site's: [`SITE`] or [`OTHER`].
fn of_site(server: &Server, site: &str) -> SiteTraffic {
    server.status().site(site).unwrap().traffic.clone()
}

/// A request from a client of its own, sent and not yet answered.
fn send(server: &Server, source: &str, request: &str) -> Visitor {
    let mut visitor = server.visitor(source);
    visitor.send(request).unwrap();
    visitor
}

/// Reads so many bytes at most, and says how many came.
fn read(from: &mut TcpStream, most: usize) -> usize {
    let (mut room, mut had) = (vec![0; 65_536], 0);
    while had < most {
        let room_left = room.len().min(most - had);
        match from.read(&mut room[..room_left]) {
            Ok(0) | Err(_) => break,
            Ok(more) => had += more,
        }
    }
    had
}

fn status_of(visitor: &mut Visitor) -> u16 {
    visitor.read_answer(false).map_or(0, |answer| answer.status)
}

#[test]
fn a_site_uses_what_others_leave_and_they_find_theirs_at_once() {
    let (first, second) = (Origin::start(), Origin::start());
    let server =
        two(&first, &second, 1, "requests.max_concurrent_requests = 16\nqueue.timeout = \"20s\"");
    let mut flood: Vec<_> =
        (1..=40).map(|n| send(&server, &format!("127.9.1.{n}"), &get("/gate"))).collect();
    wait_until("nearly all places are taken", || first.gate().came() >= 14);
    wait_until("the others wait", || of_site(&server, SITE).queue_length == 25);
    assert_eq!(of_site(&server, SITE).requests_active, 15, "one is kept for its neighbour");
    for n in 1..=20 {
        let answer = server.visitor(&format!("127.9.2.{n}")).ask(ask(OTHER, "/")).unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(
        of_site(&server, OTHER).counts.rejected.queue_timeout
            + of_site(&server, OTHER).counts.rejected.queue_full,
        0
    );
    first.gate().open();
    assert!(flood.iter_mut().all(|visitor| status_of(visitor) == 200));
    assert_eq!(first.requests(), 40);
    assert_eq!(of_site(&server, SITE).counts.queued_total, 25);
    wait_until("nobody has a place", || of_site(&server, SITE).requests_active == 0);
}

#[test]
fn who_finds_no_place_waits_a_while_and_no_longer() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\nqueue.max_requests_per_site = 2\nqueue.timeout = \"5s\"";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let mut held = send(&server, "127.9.3.1", &get("/gate"));
    wait_until("it is at the gate", || origin.gate().came() == 1);
    let mut waiting: Vec<_> =
        (2..=3).map(|n| send(&server, &format!("127.9.3.{n}"), &get("/"))).collect();
    wait_until("both wait", || of_site(&server, SITE).queue_length == 2);
    let full = server.visitor("127.9.3.4").get("/").unwrap();
    assert_eq!((full.status, full.field("retry-after")), (503, Some("1")));
    assert!(waiting.iter_mut().all(|visitor| status_of(visitor) == 503));
    assert_eq!(of_site(&server, SITE).counts.rejected.queue_timeout, 2);
    assert_eq!(of_site(&server, SITE).counts.rejected.queue_full, 1);
    assert_eq!(server.proxy().requests.rejected.origin_busy, 3);
    origin.gate().open();
    assert_eq!(status_of(&mut held), 200);
    assert_eq!(origin.requests(), 1, "the origin has heard of nobody else");
    assert_eq!(of_site(&server, SITE).queue_length, 0);
}

#[test]
fn whom_a_site_knew_before_goes_before_those_who_come_with_the_flood() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\nqueue.max_requests_per_site = 3\nqueue.timeout = \"20s\"\nqueue.known_client_min_age = \"0ms\"";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let is_calm = || !server.status().sites[0].traffic.congested;
    // Whom it serves while it is not calm does not become known to it.
    wait_until("it is served while all is calm", || {
        let is_served = is_calm() && server.visitor("127.9.4.1").status("/") == 200;
        wait_until("it is over", || of_site(&server, SITE).requests_active == 0);
        is_served && is_calm()
    });
    let mut held = send(&server, "127.9.4.9", &get("/gate"));
    wait_until("it is at the gate", || origin.gate().came() == 1);
    // One after the other, since who came last goes first.
    let join = |n: u64| {
        let visitor = send(&server, &format!("127.9.4.{}", 10 + n), &get("/new"));
        wait_until("it waits", || of_site(&server, SITE).queue_length == n);
        visitor
    };
    let mut flood: Vec<_> = (1..=3).map(join).collect();
    let mut known = send(&server, "127.9.4.1", &get("/known"));
    wait_until("one had to go", || of_site(&server, SITE).counts.rejected.queue_preempted == 1);
    assert_eq!(status_of(&mut flood[2]), 503, "who came last goes first");
    assert_eq!(server.visitor("127.9.4.14").status("/new"), 503);
    origin.gate().open();
    assert_eq!((status_of(&mut held), status_of(&mut known)), (200, 200));
    assert_eq!([0, 1].map(|n| status_of(&mut flood[n])), [200, 200]);
    let paths: Vec<_> = origin.heads().iter().map(|head| head[..10].to_owned()).collect();
    let gate = paths.iter().position(|path| path.starts_with("GET /gate")).unwrap();
    assert!(paths[gate + 1].starts_with("GET /known"), "{paths:?}");
    assert!(server.status().sites[0].traffic.congested);
}

/// Whether the other side has ended it, or answered.
fn is_told(visitor: &mut Visitor) -> bool {
    let stream = visitor.connect().unwrap();
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn connections_count_for_their_site_and_leave_room_for_others() {
    let (first, second) = (Origin::start(), Origin::start());
    let limits = "connections.max_connections = 64\norigins.response_header_timeout = \"1m\"";
    let server = two(&first, &second, 1, limits);
    // Each is busy: one that only waits has to make room where there is little left. One after the
    // other, since who comes while all places are taken is refused before his site is known.
    let keep = |n: u32| {
        let source = format!("127.9.{}.{}", 10 + n / 200, 1 + n % 200);
        let (before, mut visitor) = (first.gate().came(), send(&server, &source, &get("/gate")));
        let is_held = || first.gate().came() > before;
        wait_until("it is held or ended", || is_held() || is_told(&mut visitor));
        is_held().then_some(visitor)
    };
    let held: Vec<_> = (0..200).filter_map(keep).collect();
    assert!((50..=62).contains(&held.len()), "{} of 64 are held", held.len());
    assert_eq!(of_site(&server, SITE).connections_active, held.len() as u64);
    assert_eq!(
        of_site(&server, SITE).counts.connections_closed.over_share,
        200 - held.len() as u64
    );
    let only_they = || server.proxy().connections.active == held.len() as u64;
    for n in 1..=40 {
        wait_until("the earlier connections are closed", only_they);
        let answer = server.visitor(&format!("127.9.20.{n}")).ask(ask(OTHER, "/")).unwrap();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(of_site(&server, OTHER).counts.connections_closed.over_share, 0);
    assert_eq!(of_site(&server, SITE).connections_active, held.len() as u64, "they are held still");
    first.gate().open();
    drop(held);
    wait_until("all are given back", || {
        [SITE, OTHER].iter().all(|site| of_site(&server, site).connections_active == 0)
    });
}

#[test]
fn connections_that_say_nothing_leave_a_site_more_than_its_share() {
    let origin = Origin::start();
    let mut setup = Setup::new(origin.address, POLICY).limits("connections.max_connections = 64");
    for n in 0..31 {
        setup = setup.site(&format!("s{n}.example"), origin.address);
    }
    let server = setup.start();
    let say_nothing = |n: u32| {
        let mut visitor = server.visitor(&format!("127.9.21.{n}"));
        drop(visitor.connect());
        visitor
    };
    let _silent: Vec<_> = (1..=60).map(say_nothing).collect();
    wait_until("they are there", || server.proxy().connections.active >= 60);
    // A fair share is two connections.
    let keep = |n: u32| {
        wait_for("a visitor is served", || {
            let mut visitor = server.visitor(&format!("127.9.22.{n}"));
            visitor.get("/").ok().map(|answer| (visitor, answer.status))
        })
    };
    let kept: Vec<_> = (1..=20).map(keep).collect();
    assert!(kept.iter().all(|(_, status)| *status == 200));
    assert_eq!(of_site(&server, SITE).counts.connections_closed.over_share, 0);
}

#[test]
fn a_flood_of_newcomers_that_say_nothing_does_not_keep_a_known_client_out() {
    let origin = Origin::start();
    let limits = "connections.max_connections = 64\nqueue.known_client_min_age = \"0ms\"\nqueue.congestion_cooldown = \"1s\"";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let known = || server.visitor("127.9.23.1").get("/").map(|answer| answer.status);
    // While a busy machine has workers come late, nobody becomes known.
    let mut calm = Stopwatch::start();
    wait_until("it is known", || {
        if !known().is_ok_and(|status| status == 200) || server.proxy().overload.stage > 0 {
            calm = Stopwatch::start();
        }
        calm.elapsed() > Duration::from_millis(1_500)
    });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = StopAtEnd(&stop);
        for n in 0..2 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                // Each connection is left open for as long as a hundred others come.
                let mut open = VecDeque::new();
                for nth in 0_u32.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut visitor = server.visitor(&format!("127.9.{}.{}", 24 + n, nth % 250));
                    drop(visitor.connect());
                    open.push_back(visitor);
                    open.drain(..open.len().saturating_sub(100));
                }
            });
        }
        wait_until("they keep people out", || {
            server.proxy().connections.rejected.max_connections > 200
        });
        wait_until("room was made for it twenty times", || {
            assert_eq!(known().unwrap(), 200);
            server.proxy().connections.closed.evicted >= 20
        });
    });
}

#[test]
fn over_tls_a_name_beyond_its_share_gets_no_handshake() {
    let (first, second) = (Origin::start(), Origin::start());
    let section =
        format!("[[site]]\nhosts = [\"{OTHER}\"]\norigins = [\"http://{}\"]\n", second.address);
    let limits = "connections.max_connections = 64\nconnections.max_connections_per_client = 1_000\norigins.response_header_timeout = \"1m\"";
    let server = Setup::new(first.address, POLICY)
        .section(&section)
        .limits(limits)
        .tls("self_signed = true")
        .start();
    let connect =
        |host: &str| Secret::connect(server.address_tls, host, credulous(&["http/1.1"])).ok();
    // Each is busy: one that only waits has to make room where there is little left.
    let keep = |_| {
        let mut secret = connect(SITE)?;
        secret.send(&get("/gate")).unwrap();
        Some(secret)
    };
    let held: Vec<_> = (0..150).filter_map(keep).collect();
    let handshakes = || server.proxy().tls.handshakes.success;
    let rejected = || server.proxy().connections.rejected.site_share;
    wait_until("all are counted", || handshakes() + rejected() == 150);
    assert!((50..=62).contains(&held.len()), "{} of 64 are held", held.len());
    assert_eq!(handshakes(), held.len() as u64, "both sides agree");
    wait_until("all others have gone", || server.proxy().connections.active == held.len() as u64);
    let mut neighbour = connect(OTHER).unwrap();
    let answer = neighbour.ask(&ask(OTHER, "/")).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn uploads_do_not_wait_behind_pages() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\nqueue.timeout = \"20s\"\nrequests.request_buffer_bytes = 1_024";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let mut held = send(&server, "127.9.5.1", &get("/gate"));
    wait_until("it is at the gate", || origin.gate().came() == 1);
    let mut waits = send(&server, "127.9.5.2", &get("/"));
    wait_until("it waits", || of_site(&server, SITE).queue_length == 1);
    let body = "x".repeat(100_000);
    let upload =
        format!("POST /up HTTP/1.1\r\nHost: {SITE}\r\nContent-Length: 100000\r\n\r\n{body}");
    assert_eq!(server.visitor("127.9.5.3").ask(upload).unwrap().status, 200);
    origin.gate().open();
    assert_eq!((status_of(&mut held), status_of(&mut waits)), (200, 200));
}

/// Whoever is handed the site's place must find the origin's free: the one is given back after the
/// other. Each hand-over is a chance to meet them in the wrong order.
#[test]
fn each_that_waits_for_the_only_place_finds_it_free() {
    let origin = Origin::start();
    let limits = "origins.max_requests_per_origin = 1\nqueue.timeout = \"1m\"";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    let mut held = send(&server, "127.9.6.1", &get("/gate"));
    wait_until("it is at the gate", || origin.gate().came() == 1);
    let mut wait: Vec<_> =
        (0..200).map(|n| send(&server, &format!("127.9.7.{n}"), &get("/"))).collect();
    wait_until("they wait", || of_site(&server, SITE).queue_length == 200);
    origin.gate().open();
    assert_eq!(status_of(&mut held), 200);
    let statuses: Vec<_> = wait.iter_mut().map(status_of).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[test]
fn bytes_go_by_share_and_a_page_does_not_wait_for_a_film() {
    let (first, second) = (Origin::start(), Origin::start());
    // Eight megabytes at three quarters of this take two and a half seconds.
    let server = two(&first, &second, 3, "bandwidth.egress_bytes_per_second = 4_000_000");
    let mut slow = send(&server, "127.9.30.1", &ask(SITE, "/large"));
    let fast = send(&server, "127.9.30.2", &ask(OTHER, "/large"));
    let began = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&began);
    let reading = std::thread::spawn(move || {
        let mut fast = fast;
        let stream = fast.connect().unwrap();
        let first = read(stream, 1);
        begins.store(true, Ordering::SeqCst);
        first + read(stream, LARGE_BYTES - first)
    });
    let (slow, mut had) = (slow.connect().unwrap(), 0);
    while !reading.is_finished() {
        let more = read(slow, 65_536);
        // What it had before there was anybody to share with is no matter of shares.
        if began.load(Ordering::SeqCst) {
            had += more;
        }
    }
    assert_eq!(reading.join().unwrap(), LARGE_BYTES);
    let percent = had * 100 / LARGE_BYTES;
    assert!((22..=50).contains(&percent), "of 3:1 the lesser has {percent} % when one is done");
    assert!(
        of_site(&server, SITE).counts.egress_throttled_total > 0
            && of_site(&server, OTHER).counts.egress_throttled_total > 0
    );
    assert!(of_site(&server, OTHER).counts.egress_bytes_total >= LARGE_BYTES as u64);
}

#[test]
fn processor_time_is_charged_to_who_used_it() {
    let (first, second) = (Origin::start(), Origin::start());
    let server = two(&first, &second, 1, "");
    let mut visitor = server.visitor("127.9.40.1");
    for _ in 0..50 {
        assert_eq!(visitor.get("/no").unwrap().status, 403);
    }
    assert!(of_site(&server, SITE).counts.cpu_us > 0);
    assert_eq!(of_site(&server, OTHER).counts.cpu_us, 0);
    assert_eq!(of_site(&server, SITE).counts.requests_total, 50);
    assert_eq!(of_site(&server, SITE).counts.requests_forwarded_total, 0);
}

#[test]
fn with_too_little_memory_new_clients_are_reset_and_the_admin_is_answered() {
    let origin = Origin::start();
    let limits = "overload.max_memory_bytes = 33_554_432";
    let server = Setup::new(origin.address, POLICY).limits(limits).start();
    assert!(server.resident_bytes() > 32 << 20, "a smaller program needs a smaller limit");
    wait_until("it is noticed", || server.proxy().overload.stage == 3);
    assert!(server.visitor("127.9.50.1").get("/").is_err());
    assert!(server.proxy().overload.pressure.memory >= 1.0);
    assert!(server.proxy().connections.rejected.overload > 0);
}

/// The stages of overload begin where the configuration says.
#[test]
fn stages_of_overload_begin_at_the_configured_percentages() {
    let origin = Origin::start();
    // Some 40 MB of this limit are used: between 2 and 79 percent.
    let memory = "overload.max_memory_bytes = \"512MiB\"";
    let usual = Setup::new(origin.address, POLICY).limits(memory).start();
    assert_eq!(usual.visitor("127.9.51.1").get("/").unwrap().status, 200);
    assert_eq!(usual.proxy().overload.stage, 0);
    for (percents, step) in [((1, 99, 100), 1), ((1, 2, 100), 2), ((1, 2, 3), 3)] {
        let (warning, shedding, critical) = percents;
        let limits = format!(
            "{memory}\noverload.warning_percent = {warning}\n\
             overload.shedding_percent = {shedding}\noverload.critical_percent = {critical}"
        );
        let server = Setup::new(origin.address, POLICY).limits(&limits).start();
        wait_until("the stage is reached", || server.proxy().overload.stage == step);
        let answered = server.visitor("127.9.51.1").get("/").is_ok();
        assert_eq!(answered, step == 1, "{percents:?}");
    }
}
