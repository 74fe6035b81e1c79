//! The open loop against a server with a known behaviour.

use super::*;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers every head it is sent; while the gate is held, no answer leaves.
struct Server {
    target: Target,
    gate: Arc<tokio::sync::Mutex<()>>,
    peers: Arc<Mutex<Vec<std::net::SocketAddr>>>,
    runtime: tokio::runtime::Runtime,
}

async fn serve(mut stream: TcpStream, gate: Arc<tokio::sync::Mutex<()>>, close: bool) {
    let mut held = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut held).await {
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            held.drain(..end + 4);
            let _open = gate.lock().await;
            if stream.write_all(OK).await.is_err() || close {
                return;
            }
        }
    }
}

impl Server {
    /// `close`: each connection after one answer, without saying so in the answer.
    fn start(close: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        let peers = Arc::new(Mutex::new(Vec::new()));
        let (theirs, seen) = (gate.clone(), peers.clone());
        runtime.spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                seen.lock().push(peer);
                tokio::spawn(serve(stream, theirs.clone(), close));
            }
        });
        let target = Target::new(address, crate::guard::Ground::Loopback).unwrap();
        Self { target, gate, peers, runtime }
    }

    fn plan(&self, rate: u32, visitors: usize, kind: Kind) -> Plan {
        Plan {
            target: self.target,
            target_tls: None,
            host: "alice.example".to_owned(),
            path: "/".to_owned(),
            rate,
            visitors,
            kinds: vec![kind],
        }
    }

    fn run(&self, plan: Plan, time: Duration) -> LegitReport {
        let running = Running::start(plan, Phase::default()).unwrap();
        self.runtime.block_on(async { tokio::time::sleep(time).await });
        running.stop().unwrap()
    }
}

#[test]
fn every_request_that_was_due_is_accounted_for() {
    let server = Server::start(false);
    let report = server.run(server.plan(200, 7, Kind::H1), Duration::from_secs(1));
    let quiet = report.phases.quiet;
    assert!(quiet.due > 20, "{quiet:?}");
    assert_eq!((quiet.ok, quiet.bad), (quiet.due, 0));
    assert_eq!(quiet.answers["200"], quiet.due);
    assert_eq!(quiet.latency_us.unwrap().count, quiet.due);
    assert_eq!(report.phases.attack.due, 0);
    let mut sources: Vec<_> = server.peers.lock().iter().map(|peer| peer.ip()).collect();
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len(), 7, "each visitor has an address of its own");
}

/// A closed loop would send one request into the stall and report one slow answer.
#[test]
fn a_stall_of_a_second_is_a_p99_of_a_second() {
    let server = Server::start(false);
    let running = Running::start(server.plan(200, 20, Kind::H1), Phase::default()).unwrap();
    let gate = server.gate.clone();
    server.runtime.block_on(async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let held = gate.lock().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(held);
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    let quiet = running.stop().unwrap().phases.quiet;
    assert_eq!((quiet.ok, quiet.bad), (quiet.due, 0));
    let latency = quiet.latency_us.unwrap();
    // Half of all requests were due in the stall, evenly: 1 % of them waited 0.98 s or more.
    assert!(latency.p99 >= 900_000, "{latency:?}");
    assert!(latency.max >= 950_000, "{latency:?}");
    assert!(latency.p50 < latency.p99, "{latency:?}");
}

#[test]
fn a_kept_connection_that_has_gone_is_replaced_and_counted() {
    let server = Server::start(true);
    // So many that none has two requests at once where the load comes late for a moment: it would
    // keep two connections, and find both gone.
    let report = server.run(server.plan(100, 25, Kind::H1), Duration::from_secs(1));
    let quiet = report.phases.quiet;
    // The close is mostly seen before the connection is used again, else the request is sent again.
    assert_eq!((quiet.ok, quiet.bad), (quiet.due, 0));
    assert!(server.peers.lock().len() as u64 >= quiet.due, "{quiet:?}");
}

#[test]
fn a_refused_connection_is_an_error_and_no_latency() {
    let server = Server::start(false);
    let plan = server.plan(100, 2, Kind::H1New);
    drop(server);
    let running = Running::start(plan, Phase::default()).unwrap();
    std::thread::park_timeout(Duration::from_millis(400));
    let quiet = running.stop().unwrap().phases.quiet;
    assert!(quiet.due > 0);
    assert_eq!((quiet.ok, quiet.bad), (0, quiet.due));
    assert_eq!(quiet.errors["connect: refused"], quiet.due);
    assert!(quiet.latency_us.is_none());
}

/// A client without a response tries again, and the time until it is served counts.
#[test]
fn a_new_client_tries_until_he_is_served_and_says_how_long_that_took() {
    let server = Server::start(false);
    let (gate, plan) = (server.gate.clone(), server.plan(1, 1, Kind::H1));
    let report = server.runtime.block_on(async {
        let held = gate.lock_owned().await;
        let new_clients = tokio::spawn(Running::new_clients(plan, Instant::now()));
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        drop(held);
        new_clients.await.unwrap().unwrap()
    });
    assert!(report.tries >= 2 && report.failed["timeout"] >= 1, "{report:?}");
    assert!(report.first_answer_ms.unwrap() >= 1_200, "{report:?}");
    let peers = server.peers.lock();
    assert!(peers.iter().all(|peer| peer.ip().to_string().starts_with("127.96.")), "{peers:?}");
}

#[test]
fn kinds_with_tls_need_a_port_with_tls() {
    let server = Server::start(false);
    let said = Running::start(server.plan(1, 1, Kind::H2Tls), Phase::default()).err().unwrap();
    assert!(said.to_string().contains("--legit-tls"), "{said}");
}

#[test]
fn every_kind_of_visitor_is_served() {
    use crate::testing::{acceptor, listener, serve_plain, serve_tls};
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let ((plain, at), (tls, at_tls)) =
        runtime.block_on(async { (listener().await, listener().await) });
    runtime.spawn(async move {
        while let Ok((stream, _)) = plain.accept().await {
            tokio::spawn(serve_plain(stream, 200));
        }
    });
    let (acceptor, accepted) = (acceptor(), Arc::new(Mutex::new(0u64)));
    let count = accepted.clone();
    runtime.spawn(async move {
        while let Ok((stream, _)) = tls.accept().await {
            *count.lock() += 1;
            tokio::spawn(serve_tls(stream, acceptor.clone(), 200));
        }
    });
    for kind in <Kind as clap::ValueEnum>::value_variants() {
        *accepted.lock() = 0;
        let plan = Plan {
            target: at,
            target_tls: Some(at_tls),
            host: "alice.example".to_owned(),
            path: "/".to_owned(),
            rate: 50,
            visitors: 3,
            kinds: vec![*kind],
        };
        let running = Running::start(plan, Phase::default()).unwrap();
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(600)).await });
        let quiet = running.stop().unwrap().phases.quiet;
        assert!(quiet.due > 10, "{kind:?}: {quiet:?}");
        assert_eq!((quiet.answers.get("200"), quiet.bad), (Some(&quiet.due), 0), "{kind:?}");
        let connections = *accepted.lock();
        match kind {
            Kind::H1 | Kind::H1New | Kind::H2 => assert_eq!(connections, 0, "{kind:?}"),
            Kind::H1TlsNew => assert_eq!(connections, quiet.due),
            Kind::H1Tls | Kind::H2Tls => assert!((3..=quiet.due).contains(&connections)),
        }
    }
}
