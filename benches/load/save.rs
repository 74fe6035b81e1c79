//! Time from a save to its first verdict. A policy of 1,000 rules with a list of 200,000 networks
//! is edited under load. The time runs from the return of the save to the first response by the new
//! policy.
//!
//! It runs the real program (`SEAWALL_BIN`, otherwise the one built beside the bench) over loopback
//! sockets. Visitors send requests without a pause meanwhile; one failed request ends the bench.
//! `SEAWALL_SAVES` is the number of timed saves of each kind.

#![expect(clippy::print_stdout, reason = "a bench tells the person at the terminal")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what fails here is a bench that measured nothing"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall_benches::policy;
use seawall_tests::{Origin, ROOT, Server, Setup, StopAtEnd, Stopwatch, overwrite, rename_over};

const RULES: usize = 1_000;
const NETWORKS: u32 = 200_000;
/// Saves of each kind.
const SAVES: usize = 120;
const VISITORS: u8 = 2;
const LIST: &str = "lists/bad.txt";

/// Returns the policy of an edit: `/edit` is rejected with a status of its own.
fn root(edit: usize) -> String {
    format!(
        "{}\nlist bad: cidr = file \"{LIST}\" max 300k\n\
         floor {{\n  rule listed {{ when client.ip in @bad then drop }}\n  \
         rule edit {{ when path == \"/edit\" then block {} }}\n  \
         limit flood {{ per client to 1M/10s burst 100 then block 429 hold 1m keys 200k }}\n}}\n",
        policy(RULES),
        status_of(edit)
    )
}

fn status_of(edit: usize) -> u16 {
    u16::try_from(410 + edit % 80).unwrap()
}

/// Returns networks that cover neither a loopback address nor each other.
fn list(edit: usize) -> String {
    let line = |n: u32| format!("{}/28\n", std::net::Ipv4Addr::from(0x0B00_0000 + n * 16));
    let text: String = (0..NETWORKS).map(line).collect();
    // The last network differs for each edit: a request from it shows that the edit is active.
    format!("{text}127.77.0.{}/32\n", 1 + edit % 250)
}

/// How long each of many took.
#[derive(Default)]
struct Took(Vec<Duration>);

impl Took {
    fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = (sorted.len() * percent).div_ceil(100).clamp(1, sorted.len());
        sorted[at - 1].as_secs_f64() * 1e3
    }

    fn row(&self, what: &str) -> String {
        let (n, p50, p99, most) = (self.0.len(), self.at(50), self.at(99), self.at(100));
        format!("| {what} | {n} | {p50:.1} | {p99:.1} | {most:.1} |")
    }
}

/// Sends requests without a pause on one connection, and records the duration of each response.
fn visit(server: &Server, n: u8, stop: &AtomicBool, all: &Mutex<Took>) {
    let mut visitor = server.visitor(&format!("127.9.1.{n}"));
    let mut took = Took::default();
    while !stop.load(Ordering::Relaxed) {
        let watch = Stopwatch::start();
        let answer = visitor.get("/page").unwrap_or_else(|error| panic!("a visitor: {error}"));
        took.0.push(watch.elapsed());
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    all.lock().unwrap().0.extend(took.0);
}

/// Returns the visitors' times while `during` runs.
fn under_load<T>(server: &Server, during: impl FnOnce() -> T) -> (T, Took) {
    let (stop, all) = (AtomicBool::new(false), Mutex::new(Took::default()));
    let done = std::thread::scope(|scope| {
        let _stopping = StopAtEnd(&stop);
        for n in 1..=VISITORS {
            let (stop, all) = (&stop, &all);
            scope.spawn(move || visit(server, n, stop, all));
        }
        during()
    });
    (done, all.into_inner().unwrap())
}

/// Saves so often, and times each save until it is active. Returns the times with the server's own
/// share.
fn saves(edits: std::ops::Range<usize>, server: &Server, save: impl Fn(usize)) -> (Took, Took) {
    let (mut whole, mut reload) = (Took::default(), Took::default());
    for edit in edits {
        save(edit);
        let watch = Stopwatch::start();
        let mut prober = server.visitor("127.9.2.1");
        while prober.status("/edit") != status_of(edit) {}
        whole.0.push(watch.elapsed());
        let last = server.status().policy.last_reload.unwrap();
        reload.0.push(Duration::from_millis(last.duration_ms));
    }
    (whole, reload)
}

fn saves_of_a_list(edits: std::ops::Range<usize>, server: &Server) -> (Took, Took) {
    let (mut whole, mut reload) = (Took::default(), Took::default());
    for edit in edits {
        let text = list(edit);
        let listed = format!("127.77.0.{}", 1 + edit % 250);
        rename_over(&server.setup.policy(LIST), text);
        let watch = Stopwatch::start();
        // A listed client is dropped.
        let mut prober = server.visitor(&listed);
        while prober.get("/edit").is_ok() {}
        whole.0.push(watch.elapsed());
        let last = server.status().policy.last_reload.unwrap();
        reload.0.push(Duration::from_millis(last.duration_ms));
    }
    (whole, reload)
}

fn main() {
    // `cargo bench -- NAME` asks for benches whose name holds it.
    let asked = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    if asked.is_some_and(|name| !"save to enforced".contains(&name)) {
        return;
    }
    let n = std::env::var("SEAWALL_SAVES").map_or(SAVES, |n| n.parse().unwrap());
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &root(0));
    setup.write(LIST, list(0));
    let server = setup.start();
    let path = setup.policy(ROOT);
    let quiet = || std::thread::park_timeout(Duration::from_secs(3));
    let ((), calm) = under_load(&server, quiet);
    let ((written, by_write), during) =
        under_load(&server, || saves(1..n + 1, &server, |edit| overwrite(&path, root(edit))));
    let ((renamed, by_rename), _) = under_load(&server, || {
        saves(n + 1..2 * n + 1, &server, |edit| rename_over(&path, root(edit)))
    });
    let ((listed, by_list), during_lists) =
        under_load(&server, || saves_of_a_list(1..n + 1, &server));
    let generation = server.status().policy.generation;
    assert_eq!(generation, 3 * n as u64 + 1, "each save was a generation of its own");
    println!(
        "\nsave to enforced: {RULES} rules, a list of {NETWORKS} networks, {VISITORS} visitors without a pause"
    );
    println!("| what is saved | times | p50 ms | p99 ms | most |\n|---|---|---|---|---|");
    println!("{}", written.row("the policy, written over"));
    println!("{}", by_write.row("… of which the reload took"));
    println!("{}", renamed.row("the policy, renamed into place"));
    println!("{}", by_rename.row("… of which the reload took"));
    println!("{}", listed.row("the list, renamed into place"));
    println!("{}", by_list.row("… of which the reload took"));
    println!("{}", calm.row("a visitor's request, without saves"));
    println!("{}", during.row("a visitor's request, policies are saved"));
    println!("{}", during_lists.row("a visitor's request, lists are saved"));
}
