//! SIGHUP reloads. SIGTERM waits for active requests; a second SIGTERM does not.

use std::time::Duration;

use seawall_tests::{
    Origin, ROOT, Server, Setup, Signal, Stopwatch, Visitor, get, overwrite, wait_until,
};

const POLICY: &str = "policy 1\nfloor { rule no { when path == \"/no\" then block 403 } }\n";
/// DESIGN's promise.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// What a busy machine may take longer.
const SLACK: Duration = Duration::from_secs(10);

/// A server with a request in flight that ends when the gate opens.
fn in_flight(origin: &Origin) -> (Server, Visitor) {
    let server = Setup::new(origin.address, POLICY).start();
    let mut visitor = server.visitor("127.8.0.1");
    visitor.send(get("/gate")).unwrap();
    wait_until("it is in flight", || origin.gate().came() == 1);
    (server, visitor)
}

#[test]
fn hang_up_reloads_and_serves_on() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    let mut visitor = server.visitor("127.8.0.1");
    assert_eq!(visitor.status("/"), 200);
    server.signal(Signal::HangUp);
    server.wait_line("no change: generation 1 stays active");
    overwrite(&server.setup.policy(ROOT), "policy 1\nfloor {");
    server.wait_error();
    // A change that was refused is not refused again by itself, but by a signal it is.
    let before = server.status().policy.reloads.rejected;
    server.signal(Signal::HangUp);
    wait_until("the signal's refusal", || server.status().policy.reloads.rejected == before + 1);
    overwrite(&server.setup.policy(ROOT), POLICY.replace("/no", "/page"));
    server.signal(Signal::HangUp);
    server.wait_generation(2);
    assert_eq!((visitor.status("/no"), visitor.status("/page")), (200, 403));
}

#[test]
fn terminate_lets_the_request_in_flight_end() {
    let origin = Origin::start();
    let (mut server, mut visitor) = in_flight(&origin);
    let mut idle = server.visitor("127.8.0.2");
    assert_eq!(idle.status("/"), 200);
    server.signal(Signal::Terminate);
    let watch = Stopwatch::start();
    server.wait_line("shutting down: waiting up to 14 s for active requests");
    wait_until("nobody is let in", || server.visitor("127.8.0.3").connect().is_err());
    assert!(idle.read_rest().unwrap_or_default().is_empty(), "an idle connection is closed");
    assert!(server.is_running(), "it waits for the request");
    origin.gate().open();
    let answer = visitor.read_answer(false).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(server.wait_end().code(), Some(0));
    assert!(watch.elapsed() < STOP_WITHIN + SLACK, "{:?}", watch.elapsed());
    server.wait_line("stopped: 1 requests completed, 0 aborted");
    assert!(!server.folder().join("run/admin.sock").exists());
}

#[test]
fn terminate_cuts_what_does_not_end_within_its_time() {
    let origin = Origin::start();
    let (mut server, mut visitor) = in_flight(&origin);
    server.signal(Signal::Terminate);
    let watch = Stopwatch::start();
    assert_eq!(server.wait_end().code(), Some(0));
    assert!(watch.elapsed() < STOP_WITHIN + SLACK, "{:?}", watch.elapsed());
    server.wait_line("stopped: 0 requests completed, 1 aborted");
    assert!(visitor.read_answer(false).is_err());
}

#[test]
fn a_second_terminate_ends_at_once() {
    let origin = Origin::start();
    let (mut server, mut visitor) = in_flight(&origin);
    server.signal(Signal::Terminate);
    server.wait_line("shutting down: waiting up to 14 s for active requests");
    server.signal(Signal::Terminate);
    assert_eq!(server.wait_end().code(), Some(0));
    server.wait_line("stopped at once");
    assert!(visitor.read_answer(false).is_err());
}

#[test]
fn interrupt_stops_too_and_the_port_is_free_at_once() {
    let origin = Origin::start();
    let mut server = Setup::new(origin.address, POLICY).start();
    assert_eq!(server.answers("/"), 200);
    server.signal(Signal::Interrupt);
    assert_eq!(server.wait_end().code(), Some(0));
    let again = server.setup.clone().listen(server.address).start();
    assert_eq!(again.address, server.address);
    assert_eq!(again.answers("/"), 200);
}
