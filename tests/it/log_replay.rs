//! A replay of an access log as requests, with every response counted.
//!
//! The log is `fixtures/traffic/synthetic.log`, or the one that `SEAWALL_ACCESS_LOG` names (gzip is
//! possible). Each client of it has its own loopback address, and sends its lines in order on one
//! connection. A few threads share the clients. If the User-Agent is a browser's, the request gets
//! the headers of a browser that the log does not contain. The policy is the shipped one.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use seawall_admin_api::StatusReport;
use seawall_tests::{Line, Origin, ROOT, SITE, Server, Setup, Stopwatch, read_log, wait_until};

const THREADS: usize = 4;
/// Stands for a connection that was reset instead of answered.
const RESET: u16 = 0;

/// How many lines got which status.
type Statuses = BTreeMap<u16, u64>;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A server under the policy that is shipped.
fn shipped(origin: &Origin) -> Server {
    let policies = repository().join("policies");
    let component = policies.join("wasm/header-oddness.wasm");
    assert!(component.is_file(), "{} is missing: `cargo xtask rules`", component.display());
    let setup = Setup::new(origin.address, "").limits("connections.max_connections = 4000");
    copy_folder(&policies, &setup.policy(""));
    std::fs::rename(setup.policy("baseline.wall"), setup.policy(ROOT)).unwrap();
    setup.start()
}

/// Sends the lines of some clients, one client after the other.
fn replay(server: &Server, clients: &[Vec<&Line>]) -> Statuses {
    let mut statuses = Statuses::new();
    for lines in clients {
        let mut visitor = server.visitor(&lines[0].source());
        for line in lines {
            let status = match visitor.ask(line.request(SITE)) {
                Ok(answer) => answer.status,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => RESET,
                Err(error) => panic!("no answer to {line:?}: {error}"),
            };
            *statuses.entry(status).or_default() += 1;
        }
    }
    statuses
}

fn replay_all(server: &Server, lines: &[Line]) -> Statuses {
    let mut clients: BTreeMap<usize, Vec<&Line>> = BTreeMap::new();
    lines.iter().for_each(|line| clients.entry(line.client).or_default().push(line));
    let mut shares: Vec<Vec<Vec<&Line>>> = vec![Vec::new(); THREADS];
    clients.into_values().enumerate().for_each(|(n, lines)| shares[n % THREADS].push(lines));
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            shares.iter().map(|share| scope.spawn(|| replay(server, share))).collect();
        let mut sum = Statuses::new();
        for (status, count) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *sum.entry(status).or_default() += count;
        }
        sum
    })
}

/// Decisions of all kinds.
fn decided(status: &StatusReport) -> u64 {
    status.decisions.values().sum()
}

#[test]
fn every_line_of_a_log_is_answered_and_accounted_for() {
    let path = match std::env::var_os("SEAWALL_ACCESS_LOG") {
        Some(path) => PathBuf::from(path),
        None => repository().join("tests/fixtures/traffic/synthetic.log"),
    };
    let lines = read_log(&path);
    assert!(lines.len() >= 200, "{} lines", lines.len());
    let origin = Origin::start();
    let server = shipped(&origin);
    let watch = Stopwatch::start();
    let statuses = replay_all(&server, &lines);
    println!("{} lines in {:?}: {statuses:?}", lines.len(), watch.elapsed());

    let sent = lines.len() as u64;
    assert_eq!(statuses.values().sum::<u64>(), sent);
    let of = |status: u16| statuses.get(&status).copied().unwrap_or(0);
    // An answer is there a moment before its decision is counted. The origin answers 200 to
    // everything, so those of 400 are ours: heads that mean two things.
    wait_until("all are counted", || decided(&server.status()) + of(400) == sent);
    let status = server.status();
    let decided = decided(&status);
    assert_eq!(decided + of(400), sent);
    let StatusReport { proxy, externs, decisions, .. } = status;
    let requests = &proxy.requests;
    assert_eq!(requests.total, decided);
    assert_eq!((requests.forwarded, decisions["allow"]), (of(200), of(200)));
    assert_eq!(origin.requests() as u64, of(200));
    let dropped = proxy.connections.closed.policy_drop;
    assert_eq!(requests.local_responses + dropped, sent - of(200) - of(400));
    assert_eq!(dropped, of(RESET));
    assert!(of(200) > 0 && of(403) > 0, "the log has visitors and others: {statuses:?}");
    assert_eq!(requests.rejected.sum(), 0, "{:?}", requests.rejected);
    assert_eq!(requests.upstream_errors.sum(), 0, "{:?}", requests.upstream_errors);
    let rejected = &proxy.connections.rejected;
    assert_eq!((rejected.max_connections, rejected.max_connections_per_client), (0, 0));
    assert_eq!(proxy.panics, 0);
    assert_eq!(externs[0].name, "header_oddness");
    let failures = &externs[0].failures;
    // A thread that had to wait for a processor may have met the wall-clock backstop.
    let mut others = failures.iter().filter(|(kind, _)| *kind != "time");
    assert!(others.all(|(_, count)| *count == 0), "{failures:?}");
}
