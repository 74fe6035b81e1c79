//! Origins that are killed, stopped or restart often: clients get a response in time, retries do
//! not flood an origin, and it gets requests again soon after its return.
//!
//! The deadlines are the configured ones, with tolerance for a busy machine. The tests also compare
//! counters.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_admin_api::{OriginState, OriginStatus};
use seawall_tests::{
    ChildOrigin, Origin, SITE, Server, Setup, StopAtEnd, Stopwatch, get, wait_until,
};

use crate::h2::{SELF_SIGNED, client, status, within};

const POLICY: &str = "policy 1\n";
/// Within this a visitor is told, in milliseconds.
const TOLD_MS: u128 = 1_000;
/// Within this a site is back.
const BACK_MS: u128 = 2_000;
/// For a machine that has other things to do.
const SLACK_MS: u128 = 5_000;

/// Asks from `visitors` addresses at once while `act` runs; says what they were answered and the
/// longest that one waited, in milliseconds.
fn under_load(
    server: &Server,
    visitors: usize,
    act: impl FnOnce(),
) -> (BTreeMap<u16, usize>, u128) {
    let (stop, seen) = (AtomicBool::new(false), Mutex::new((BTreeMap::new(), 0)));
    std::thread::scope(|scope| {
        for n in 1..=visitors {
            let (stop, seen) = (&stop, &seen);
            scope.spawn(move || {
                let mut visitor = server.visitor(&format!("127.7.2.{n}"));
                while !stop.load(Ordering::Relaxed) {
                    let watch = Stopwatch::start();
                    let status = visitor.status("/");
                    let mut seen = seen.lock().unwrap();
                    *seen.0.entry(status).or_insert(0) += 1;
                    seen.1 = seen.1.max(watch.elapsed().as_millis());
                    drop(seen);
                    if status != 200 {
                        std::thread::park_timeout(Duration::from_millis(2));
                    }
                }
            });
        }
        let _stop = StopAtEnd(&stop);
        act();
    });
    seen.into_inner().unwrap()
}

/// What the status says of the origin number `at`.
fn origin_at(server: &Server, at: usize) -> OriginStatus {
    server.status().origins[at].clone()
}

fn pause(ms: u64) {
    std::thread::park_timeout(Duration::from_millis(ms));
}

#[test]
fn a_killed_origin_costs_few_attempts_and_is_back_within_two_seconds() {
    const CAP: u64 = 16;
    let child = ChildOrigin::start();
    let address = child.address;
    let limits = format!("origins.max_requests_per_origin = {CAP}");
    let server = Setup::new(address, POLICY).limits(&limits).start();
    assert_eq!(server.answers("/"), 200);
    drop(child);
    let before = origin_at(&server, 0).requests;
    let watch = Stopwatch::start();
    let (answers, longest) = under_load(&server, 8, || pause(3_000));
    let seconds = watch.elapsed().as_secs();
    assert!(answers.keys().all(|status| matches!(status, 502 | 503)), "{answers:?}");
    assert!(answers.values().sum::<usize>() > 200, "they went on asking: {answers:?}");
    assert!(longest <= TOLD_MS + SLACK_MS, "{longest} ms");
    let sent = origin_at(&server, 0).requests - before;
    // For each second that it took longer, the trials of one.
    let allowed = 2 * CAP + 2 * seconds.saturating_sub(3);
    assert!(sent <= allowed, "{sent} attempts in {seconds} s; {answers:?}");
    assert_eq!(origin_at(&server, 0).state, OriginState::Down);
    let _child = ChildOrigin::at(address);
    let watch = Stopwatch::start();
    wait_until("it is back", || server.answers("/") == 200);
    let back = watch.elapsed().as_millis();
    assert!(back <= BACK_MS + SLACK_MS, "{back} ms");
    wait_until("it says so", || origin_at(&server, 0).state == OriginState::Up);
}

#[test]
fn a_stopped_origin_is_found_out_and_those_who_wait_are_told() {
    let child = ChildOrigin::start();
    let server = Setup::new(child.address, POLICY).health("/health").start();
    let mut waiting: Vec<_> = (1..=8).map(|n| server.visitor(&format!("127.7.3.{n}"))).collect();
    waiting.iter_mut().for_each(|visitor| visitor.send(get("/__slow/30000")).unwrap());
    wait_until("all are there", || origin_at(&server, 0).requests_active == 8);
    child.stop();
    let watch = Stopwatch::start();
    for visitor in &mut waiting {
        let answer = visitor.read_answer(false).unwrap();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    }
    let told = watch.elapsed().as_millis();
    assert!(told <= TOLD_MS + SLACK_MS, "{told} ms");
    assert_eq!(server.proxy().requests.rejected.health_check_failed, 8);
    // Those who come now do not wait either.
    let sent = origin_at(&server, 0).requests;
    for _ in 0..50 {
        let watch = Stopwatch::start();
        assert_eq!(server.answers("/"), 503);
        assert!(watch.elapsed().as_millis() <= SLACK_MS);
    }
    // A check that came too late to say anything does not hold it down: then there are trials.
    let trials = 4 + 2 * server.proxy().health_checks.inconclusive;
    assert!(origin_at(&server, 0).requests - sent <= trials, "only trials were sent");
    child.go_on();
    let watch = Stopwatch::start();
    wait_until("it is back", || server.answers("/") == 200);
    let back = watch.elapsed().as_millis();
    assert!(back <= BACK_MS + SLACK_MS, "{back} ms");
}

#[test]
fn over_http_2_those_who_wait_are_told_too_and_the_connection_goes_on() {
    let child = ChildOrigin::start();
    let server = Setup::new(child.address, POLICY).health("/health").tls(SELF_SIGNED).start();
    within(async {
        let mut client = client(&server).await;
        let mut other = client.clone();
        let waits = status(&mut other, "/__slow/30000");
        let acts = async {
            while origin_at(&server, 0).requests_active == 0 {
                tokio::task::yield_now().await;
            }
            child.stop();
            Stopwatch::start()
        };
        let (told, watch) = tokio::join!(waits, acts);
        assert_eq!(told, 503);
        let told = watch.elapsed().as_millis();
        assert!(told <= TOLD_MS + SLACK_MS, "{told} ms");
        child.go_on();
        while status(&mut client, "/").await != 200 {
            assert!(watch.elapsed().as_millis() <= TOLD_MS + BACK_MS + 2 * SLACK_MS);
            // A connection has a thousand requests.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(server.proxy().requests.rejected.health_check_failed, 1);
}

#[test]
fn a_second_origin_answers_for_one_that_stops() {
    let (child, other) = (ChildOrigin::start(), Origin::start());
    let server = Setup::new(child.address, POLICY).origin(other.address).health("/health").start();
    let (answers, longest) = under_load(&server, 4, || {
        pause(300);
        child.stop();
        pause(2_500);
        child.go_on();
        wait_until("it is asked again", || origin_at(&server, 0).state == OriginState::Up);
    });
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&200], "{answers:?}");
    assert!(longest <= TOLD_MS + SLACK_MS, "{longest} ms");
    // A check that came too late to say anything does not hold it down: it may fall once more.
    let (falls, unknown) =
        (origin_at(&server, 0).down_transitions, server.proxy().health_checks.inconclusive);
    assert!((1..=1 + unknown).contains(&falls), "{falls} falls, {unknown} checks too late");
    let retries = server.proxy().retries.total;
    assert!((1..=4 * falls).contains(&retries), "who waited there: {retries}, {falls} falls");
}

#[test]
fn a_second_origin_answers_for_one_that_is_killed() {
    let (child, other) = (ChildOrigin::start(), Origin::start());
    let address = child.address;
    let server = Setup::new(address, POLICY).origin(other.address).start();
    for _ in 0..4 {
        assert_eq!(server.answers("/"), 200);
    }
    drop(child);
    let (answers, longest) = under_load(&server, 8, || pause(2_000));
    assert_eq!(answers.keys().collect::<Vec<_>>(), [&200], "{answers:?}");
    assert!(longest <= TOLD_MS + SLACK_MS, "{longest} ms");
    let retries = server.proxy().retries.total;
    assert!((1..=40).contains(&retries), "{retries}");
    assert_eq!(server.proxy().retries.denied, 0);
    let _child = ChildOrigin::at(address);
    wait_until("it is asked again", || {
        assert_eq!(server.answers("/"), 200);
        origin_at(&server, 0).state == OriginState::Up
    });
}

/// Is there and is not there, by turns.
#[derive(Debug)]
struct Flapping {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Flapping {
    fn every(period: Duration) -> Self {
        let address = Origin::nowhere();
        let (stop, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&came));
        let thread = std::thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let listener = TcpListener::bind(address).unwrap();
                listener.set_nonblocking(true).unwrap();
                let up = Stopwatch::start();
                while up.elapsed() < period {
                    match listener.accept() {
                        Ok((mut stream, _)) => {
                            counts.fetch_add(1, Ordering::Relaxed);
                            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
                                          Connection: close\r\n\r\nok";
                            let mut request = [0; 4_096];
                            stream.set_nonblocking(false).unwrap();
                            let _ = std::io::Read::read(&mut stream, &mut request);
                            let _ = stream.write_all(answer.as_bytes());
                        }
                        Err(_) => std::thread::park_timeout(Duration::from_millis(1)),
                    }
                }
                drop(listener);
                std::thread::park_timeout(period);
            }
        });
        Self { address, stop, came, thread: Some(thread) }
    }
}

impl Drop for Flapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn flapping_origins_are_not_stormed() {
    let (one, two) =
        (Flapping::every(Duration::from_millis(200)), Flapping::every(Duration::from_millis(200)));
    let server = Setup::new(one.address, POLICY).origin(two.address).start();
    let watch = Stopwatch::start();
    let (answers, longest) = under_load(&server, 8, || pause(4_000));
    let seconds = watch.elapsed().as_secs();
    assert!(answers.keys().all(|status| matches!(status, 200 | 502 | 503)), "{answers:?}");
    assert!(answers.get(&200).is_some_and(|count| *count > 50), "{answers:?}");
    assert!(longest <= TOLD_MS + SLACK_MS, "{longest} ms");
    let requests = answers.values().sum::<usize>() as u64;
    let retries = server.proxy().retries.total;
    // What was saved at first, and what requests and seconds earn.
    let earned = 100 + requests / 5 + 10 * (seconds + 2);
    assert!(retries <= earned, "{retries} retries of {requests}");
    let sent = origin_at(&server, 0).requests + origin_at(&server, 1).requests;
    assert!(sent <= requests + retries, "{sent} attempts, {requests} requests, {retries} retries");
    let came = one.came.load(Ordering::Relaxed) + two.came.load(Ordering::Relaxed);
    assert!(came as u64 <= sent + server.proxy().health_checks.sum(), "{came} came");
    assert!(
        origin_at(&server, 0).down_transitions > 0 && origin_at(&server, 1).down_transitions > 0
    );
}

#[test]
fn a_site_that_says_itself_that_it_is_not_well_is_left_alone_until_it_is() {
    // `/half` breaks its answer off, but what counts is the status; `/close` says nothing at all.
    let origin = Origin::start();
    let limits = "health_check.timeout = \"5s\"";
    let well = Setup::new(origin.address, POLICY).health("/half").limits(limits).start();
    wait_until("it was asked", || well.proxy().health_checks.sum() >= 3);
    assert_eq!((well.answers("/"), well.proxy().health_checks.failure), (200, 0));
    let unwell = Setup::new(origin.address, POLICY).health("/close").start();
    wait_until("its circuit breaker opens", || origin_at(&unwell, 0).state == OriginState::Down);
    assert_eq!((unwell.answers("/"), unwell.proxy().requests.rejected.no_healthy_origin), (503, 1));
}

#[test]
fn so_many_checks_in_a_row_must_fail_as_the_limits_say() {
    let origin = Origin::start();
    let limits = "health_check.fall = 3\nhealth_check.interval = \"100ms\"";
    let server = Setup::new(origin.address, POLICY).health("/close").limits(limits).start();
    wait_until("its circuit breaker opens", || server.answers("/") == 503);
    let checks = server.proxy().health_checks.failure;
    assert!(checks >= 3, "{checks}");
    assert_eq!(origin_at(&server, 0).down_transitions, 1);
}

#[test]
fn a_policy_reads_how_the_origins_of_a_site_do() {
    let policy = "policy 1\nfloor { rule ill { when path == \"/heavy\" and origin.errors >= 50% \
                  then block 429 } }\n";
    let server = Setup::new(Origin::nowhere(), policy).start();
    assert_eq!(server.answers("/heavy"), 502, "nothing is known yet");
    wait_until("it is refused", || server.answers("/heavy") == 429);
    assert_ne!(server.answers("/"), 429);
}

#[test]
fn a_check_is_of_our_own_and_says_nothing_of_visitors() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).health("/up?deep=no").start();
    assert_eq!(server.answers("/page"), 200);
    wait_until("it was asked", || server.proxy().health_checks.sum() >= 2);
    wait_until("it came", || origin.heads().iter().any(|head| head.starts_with("GET /up")));
    let heads = origin.heads();
    let check = heads.iter().find(|head| head.starts_with("GET /up")).unwrap();
    let expected = format!(
        "GET /up?deep=no HTTP/1.1\r\nHost: {SITE}\r\nUser-Agent: seawall-health\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(check, &expected);
}

#[test]
fn an_origin_that_does_not_fail_is_not_asked_by_us() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    assert_eq!(server.answers("/"), 200);
    pause(1_500);
    assert_eq!((origin.requests(), server.proxy().health_checks.sum()), (1, 0));
}

#[test]
fn a_kept_connection_carries_one_sites_requests_only() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).site("b.example", origin.address).start();
    let mut visitor = server.visitor("127.7.0.1");
    let other = "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
    // One worker after another may serve: each keeps connections of its own.
    for _ in 0..10 {
        assert_eq!(visitor.status("/"), 200);
    }
    let first = origin.connections();
    assert_eq!(first, 1);
    for _ in 0..10 {
        assert_eq!(visitor.ask(other).unwrap().status, 200);
    }
    assert_eq!(origin.connections(), 2);
    assert_eq!(visitor.status("/"), 200);
    assert_eq!(origin.connections(), 2, "and each site's is used again");
}
