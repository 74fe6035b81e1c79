//! The data plane from the client's side: real sockets, a test origin, a real ruleset.

mod origin;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_config::TrustedProxies;
use seawall_model::{Generation, Tick, VerdictKind};
use seawall_ruleset::{
    ActiveGeneration, Entry, Purpose, ReadError, RuleSetBuilder, RuleSetHandle, Sandbox,
    SandboxLimits, ServerSettings, SourceStore, Sources,
};
use seawall_state::{DecisionCounters, Seed, State};

use self::origin::Origin;
use crate::routing::test_site;
use crate::{BindError, DataPlane, HeadError, ProxyConfig, ProxyHandle, ProxyLimits};

const POLICY: &str = r#"
policy 1
floor {
    rule blocked { when path == "/blocked" then block 403 }
    rule busy    { when path == "/busy" then block 503 }
    rule dropped { when path == "/drop" then drop }
    rule held    { when path == "/hold" then tarpit 5s }
}
"#;

struct OnePage(&'static str);

impl SourceStore for OnePage {
    fn read(&self, _: &str, _: u64, _: &str) -> Result<Arc<[u8]>, ReadError> {
        Ok(self.0.as_bytes().into())
    }

    fn list(&self, _: &str, _: &str, _: usize) -> Result<Vec<Entry>, ReadError> {
        Ok(Vec::new())
    }

    fn is_file(&self, _: &str, _: &str) -> bool {
        true
    }
}

fn live(policy: &'static str, generation: u64) -> ActiveGeneration {
    let sandbox = Sandbox::new(SandboxLimits::default());
    let workshop = RuleSetBuilder::new(ServerSettings::default(), sandbox);
    let sources = Sources::gather("root.wall", &OnePage(policy));
    let assembly = workshop.build(&sources, Purpose::Run, None);
    let rules = assembly.rules.unwrap_or_else(|| panic!("{:?}", assembly.diagnostics));
    ActiveGeneration {
        generation: Generation(generation),
        state: Arc::new(State::new(Seed([7; 16]), rules.counter_specs())),
        tally: Arc::new(DecisionCounters::new(rules.rule_names().len())),
        rules: Arc::new(rules),
    }
}

struct World {
    origin: Origin,
    handle: Arc<RuleSetHandle>,
    address: SocketAddr,
    running: ProxyHandle,
}

fn config(origin: SocketAddr, limits: ProxyLimits) -> ProxyConfig {
    ProxyConfig {
        listen_tls: Vec::new(),
        handed: Vec::new(),
        shown: None,
        listen: vec![([127, 0, 0, 1], 0).into()],
        workers: 1,
        trusted: TrustedProxies::default(),
        exempt: Vec::new(),
        sites: vec![test_site("a.example", &origin.to_string())],
        limits,
        memory: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge: it makes the ticks")]
fn now() -> seawall_model::Now {
    let start = Instant::now();
    Arc::new(move || Tick::TEST_START.plus_ms(start.elapsed().as_millis() as u64))
}

type Bound = (DataPlane, Arc<RuleSetHandle>);

fn bind(config: ProxyConfig) -> Result<Bound, BindError> {
    let handle = Arc::new(RuleSetHandle::new(live(POLICY, 1)));
    let plane = DataPlane::bind(config, Arc::clone(&handle), now())?;
    Ok((plane, handle))
}

impl World {
    fn with(limits: ProxyLimits) -> Self {
        let origin = Origin::start();
        let (plane, handle) = bind(config(origin.address, limits)).unwrap();
        let address = plane.addresses()[0].1;
        Self { origin, handle, address, running: plane.start().unwrap() }
    }

    fn new() -> Self {
        Self::with(ProxyLimits::default())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends bytes on a new connection and returns all that comes until its end.
    fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // A connection that is rejected at accept may be reset before this is written.
        let _ = stream.write_all(bytes.as_ref());
        let mut seen = Vec::new();
        // A reset may end it; the bytes before it count.
        let _ = stream.read_to_end(&mut seen);
        String::from_utf8(seen).unwrap()
    }
}

/// Returns a request that keeps the connection.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

/// Returns a request that is the last of its connection.
fn last(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect()
}

/// Waits for an effect of another thread.
#[expect(clippy::disallowed_methods, reason = "a test waits on an event with a generous bound")]
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn one_connection_gets_every_answer_in_its_order() {
    let world = World::new();
    let asked = [get("/1"), get("/blocked"), get("/2"), get("/busy"), last("/3")].concat();
    let answers = world.ask(asked);
    assert_eq!(statuses(&answers), ["200", "403", "200", "503", "200"], "{answers}");
    assert_eq!(world.origin.paths(), ["/1", "/2", "/3"]);
    let lower = answers.to_ascii_lowercase();
    assert!(!lower.contains("pingora") && !lower.contains("127.0.0.1"), "{answers}");
    assert!(answers.contains("\r\n\r\nw-"), "{answers}");
}

#[test]
fn every_decision_is_counted_once() {
    let world = World::new();
    world.ask([get("/1"), get("/blocked"), last("/2")].concat());
    world.ask(get("/drop"));
    let tally = Arc::clone(&world.handle.load().tally);
    wait_until(|| tally.decisions_all() == 4);
    let kinds = [VerdictKind::Allow, VerdictKind::Block, VerdictKind::Drop];
    assert_eq!(kinds.map(|kind| tally.decisions(kind)), [2, 1, 1]);
}

#[test]
fn a_reload_reaches_the_next_request_of_an_open_connection() {
    let world = World::new();
    let mut stream = world.connect();
    let mut room = [0; 4096];
    stream.write_all(get("/late").as_bytes()).unwrap();
    let n = stream.read(&mut room).unwrap();
    assert!(room[..n].starts_with(b"HTTP/1.1 200"));
    let policy = "policy 1\nfloor { rule late { when path == \"/late\" then block 410 } }\n";
    world.handle.publish(live(policy, 2));
    stream.write_all(get("/late").as_bytes()).unwrap();
    let n = stream.read(&mut room).unwrap();
    assert!(room[..n].starts_with(b"HTTP/1.1 410"), "{}", room[..n].escape_ascii());
}

#[test]
fn a_tarpit_holds_so_many_and_drops_the_rest() {
    let limits = ProxyLimits { max_tarpits: 1, ..ProxyLimits::default() };
    let world = World::with(limits);
    let mut first = world.connect();
    first.write_all(get("/hold").as_bytes()).unwrap();
    wait_until(|| world.running.counters().tarpits.active == 1);
    let mut second = world.connect();
    second.write_all(get("/hold").as_bytes()).unwrap();
    let error = second.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(world.running.counters().tarpits.rejected, 1);
    let error = first.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "held, then closed unanswered");
    wait_until(|| world.running.counters().tarpits.active == 0);
    assert_eq!(world.running.counters().tarpits.total, 1);
}

#[test]
fn drop_is_a_reset_and_says_nothing() {
    let world = World::new();
    let mut stream = world.connect();
    stream.write_all(get("/drop").as_bytes()).unwrap();
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(world.running.counters().connections.closed.policy_drop, 1);
}

#[test]
fn a_host_that_is_no_site_reaches_no_origin() {
    let world = World::new();
    for host in ["b.example", "127.0.0.1", "a.example.evil", "x.a.example"] {
        let answer = world.ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(statuses(&answer), ["421"], "{host}");
    }
    assert_eq!(statuses(&world.ask("GET / HTTP/1.0\r\n\r\n")), ["421"]);
    for host in ["A.example", "a.example:80", "a.example."] {
        let asked = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(statuses(&world.ask(asked)), ["200"], "{host}");
    }
    assert_eq!(world.origin.paths().len(), 3);
}

#[test]
fn what_could_smuggle_is_refused_and_its_rest_is_no_request() {
    let world = World::new();
    let inner = get("/smuggled");
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: +4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
    ] {
        let asked = format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n0\r\n\r\n{inner}");
        assert_eq!(statuses(&world.ask(asked)), ["400"], "{fields}");
    }
    assert!(world.origin.paths().is_empty());
    let refused = world.running.counters().requests.header_errors;
    assert_eq!(refused.values().sum::<u64>(), 4);
    assert_eq!(refused[HeadError::LengthAndEncoding.word()], 1);
}

#[test]
fn bodies_arrive_whole_and_what_follows_them_is_the_next_request() {
    let world = World::new();
    let head = "POST /post HTTP/1.1\r\nHost: a.example\r\n";
    let asked = [
        &format!("{head}Content-Length: 5\r\n\r\nhello"),
        &format!("{head}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nworld\r\n0\r\nT: t\r\n\r\n"),
        &last("/after"),
    ]
    .map(String::as_str)
    .concat();
    let answers = world.ask(asked);
    assert_eq!(statuses(&answers), ["200", "200", "200"], "{answers}");
    assert_eq!(world.origin.paths(), ["/post", "/post", "/after"]);
    assert_eq!(world.origin.bodies(), ["hello", "world", ""]);
}

#[test]
fn a_refused_post_with_an_unread_body_still_reads_its_answer() {
    let world = World::new();
    let head = "POST /blocked HTTP/1.1\r\nHost: a.example\r\nContent-Length: 60000\r\n\r\n";
    let mut asked = head.as_bytes().to_vec();
    asked.extend(vec![b'x'; 60_000]);
    for _ in 0..20 {
        assert_eq!(statuses(&world.ask(&asked)), ["403"]);
    }
}

#[test]
fn the_origin_learns_the_client_from_us_only() {
    let world = World::new();
    let claims = "X-Forwarded-For: 198.51.100.1\r\nX-Real-IP: 198.51.100.2\r\n";
    world.ask(format!(
        "GET / HTTP/1.1\r\nHost: a.example\r\n{claims}Connection: close, x-hop\r\nX-Hop: 1\r\n\r\n"
    ));
    let head = world.origin.heads()[0].to_ascii_lowercase();
    assert_eq!(head.matches("x-forwarded-for: 127.0.0.1\r\n").count(), 1, "{head}");
    assert!(!head.contains("198.51.100") && !head.contains("x-hop"), "{head}");
}

#[test]
fn an_origin_that_is_down_or_hangs_is_told_in_time() {
    let mut limits = ProxyLimits::default();
    limits.settings.origins.response_header_timeout = Duration::from_millis(300);
    let world = World::with(limits.clone());
    let answer = world.ask(get("/hang"));
    assert_eq!(statuses(&answer), ["504"], "{answer}");
    assert_eq!(world.running.counters().requests.upstream_errors.timeout, 1);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (plane, ..) = bind(config(closed, limits)).unwrap();
    let address = plane.addresses()[0].1;
    let world = World { address, running: plane.start().unwrap(), ..world };
    let answer = world.ask(get("/"));
    assert_eq!(statuses(&answer), ["502"], "{answer}");
    assert!(!answer.contains("127.0.0.1"), "{answer}");
    // The response can be read to its end before the server has released the request.
    wait_until(|| world.running.counters().requests.active == 0);
}

#[test]
fn an_origin_with_enough_to_do_gets_no_more() {
    let mut limits = ProxyLimits::default();
    limits.settings.origins.max_requests_per_origin = 1;
    let world = World::with(limits);
    let mut first = world.connect();
    first.write_all(get("/wait").as_bytes()).unwrap();
    wait_until(|| !world.origin.paths().is_empty());
    let answer = world.ask(last("/"));
    assert_eq!(statuses(&answer), ["503"], "{answer}");
    assert!(answer.contains("Retry-After: 1\r\n"), "{answer}");
    // Its client has left, and it is in progress all the same.
    drop(first);
    wait_until(|| world.running.counters().requests.canceled == 1);
    assert_eq!(statuses(&world.ask(last("/"))), ["503"]);
    world.origin.release();
    wait_until(|| world.running.counters().requests.active == 0);
    assert_eq!(statuses(&world.ask(last("/"))), ["200"]);
}

#[test]
fn a_client_that_holds_its_places_is_reset() {
    let mut limits = ProxyLimits::default();
    limits.settings.connections.max_connections_per_client = 2;
    let world = World::with(limits);
    let held = [world.connect(), world.connect()];
    wait_until(|| world.running.counters().connections.active == 2);
    assert_eq!(world.ask(get("/")), "");
    wait_until(|| world.running.counters().connections.rejected.max_connections_per_client == 1);
    drop(held);
    wait_until(|| world.running.counters().connections.active == 0);
    assert_eq!(statuses(&world.ask(last("/"))), ["200"]);
}

#[test]
fn a_port_in_use_is_told_in_plain_words() {
    let world = World::new();
    let taken = ProxyConfig {
        listen: vec![world.address],
        ..config(world.origin.address, ProxyLimits::default())
    };
    let error = bind(taken).err().unwrap().to_string();
    assert!(error.contains(&world.address.to_string()) && error.contains("is in use"), "{error}");
}

#[test]
fn a_websocket_opens_after_the_origin_agreed_and_not_before() {
    let world = World::new();
    let mut stream = world.connect();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let asked = format!("GET /ws HTTP/1.1\r\nHost: a.example\r\n{fields}\r\nearly");
    stream.write_all(asked.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"early") {
        let mut room = [0; 512];
        let n = stream.read(&mut room).unwrap();
        assert!(n > 0, "{}", seen.escape_ascii());
        seen.extend_from_slice(&room[..n]);
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"), "{}", seen.escape_ascii());
    assert_eq!(world.running.counters().requests.websocket_upgrades, 1);
}

#[test]
fn an_upgrade_that_the_origin_declines_opens_nothing() {
    let world = World::new();
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let inner = last("/blocked");
    let asked = format!("GET /plain HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{inner}");
    // The bytes after it are evaluated as a request of their own.
    assert_eq!(statuses(&world.ask(asked)), ["200", "403"]);
    assert_eq!(world.origin.paths(), ["/plain"]);
}

#[test]
fn a_stop_lets_requests_end_and_cuts_those_that_do_not() {
    let world = World::new();
    let (mut hangs, mut waits, mut idle) = (world.connect(), world.connect(), world.connect());
    hangs.write_all(get("/hang").as_bytes()).unwrap();
    waits.write_all(get("/wait").as_bytes()).unwrap();
    wait_until(|| {
        world.origin.paths().len() == 2 && world.running.counters().connections.active == 3
    });
    let World { origin, running, .. } = world;
    let drain = std::thread::spawn(move || running.shutdown(Duration::from_secs(5)));
    // The idle connection is closed at once, which shows that the shutdown has begun.
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    origin.release();
    let mut answer = Vec::new();
    waits.read_to_end(&mut answer).unwrap();
    assert_eq!(statuses(&String::from_utf8(answer).unwrap()), ["200"]);
    let drained = drain.join().unwrap();
    assert_eq!((drained.completed, drained.aborted), (1, 1));
    let _ = hangs.read(&mut [0; 1]);
}
