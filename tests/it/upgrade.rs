//! Upgrade: a child process replaces its parent. No connection is rejected or reset, and no state
//! is lost.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::Scope;
use std::time::Duration;

use http::Method;
use seawall_admin_api::{ReloadCause, UpgradeOutcome};
use seawall_tests::{
    Origin, ROOT, Ran, Server, Setup, Signal, StopAtEnd, Stopwatch, binary, fine, get, overwrite,
    refused, wait_until,
};

use crate::h2::{SELF_SIGNED, ask as ask_h2, client as client_h2, request};

/// How often one process takes the place of another here; another number for a long run.
const UPGRADES: &str = "SEAWALL_UPGRADES";
const UPGRADES_USUALLY: u64 = 4;
/// Asks as often as there are upgrades, and once more.
const COUNTED: &str = "127.21.0.1";
const BANNED: &str = "127.21.0.2";
/// Between two requests of one visitor.
const PAUSE: Duration = Duration::from_millis(8);

fn policy(few: u64) -> String {
    format!(
        "policy 1
floor {{
  rule trap {{ when path == \"/trap\" then ban 1h }}
  rule no   {{ when path == \"/no\" then block 403 }}
  limit few {{ per client where path == \"/few\" to {few}/7d then block 429 }}
}}
"
    )
}

/// The server by a path of its own, under which another program can be put.
fn setup(origin: &Origin, policy: &str) -> (Setup, PathBuf) {
    let setup = Setup::new(origin.address, policy).tls(SELF_SIGNED);
    let program = setup.path("seawall");
    symlink(binary(), &program).unwrap();
    (setup.clone().program(&program), program)
}

fn upgrade(server: &Server) -> Ran {
    server.setup.run(&["upgrade", "-c", "seawall.toml"])
}

/// What visitors saw.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    /// By HTTP/2: taken back unread by the server, which tells the client to send it elsewhere.
    handed_back: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Seen {
    fn note(&self, who: &str, status: Result<u16, String>, expected: u16) {
        match status {
            Ok(status) if status == expected => _ = self.answered.fetch_add(1, Relaxed),
            other => self.wrong.lock().unwrap().push(format!("{who}: {other:?}")),
        }
    }
}

/// Visitors with a connection for each request, and such that keep theirs as long as they may.
fn crowd<'s>(scope: &'s Scope<'s, '_>, server: &'s Server, seen: &'s Seen, over: &'s AtomicBool) {
    for (n, kept) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
        let source = format!("127.20.0.{n}");
        let mut visitor = server.visitor(&source);
        scope.spawn(move || {
            for nth in 0_u64.. {
                if over.load(Relaxed) {
                    return;
                }
                let (path, expected) = if nth % 2 == 0 { ("/", 200) } else { ("/no", 403) };
                let answer = visitor.get(path).map_err(|error| error.to_string());
                seen.note(&source, answer.map(|answer| answer.status), expected);
                if !kept {
                    visitor.leave();
                }
                // The fifth is quiet for longer than an upgrade takes.
                std::thread::park_timeout(PAUSE * if n == 5 { 60 } else { 1 });
            }
        });
    }
    scope.spawn(|| within_h2(server, seen, over));
}

/// One visitor by HTTP/2, who opens a connection when told that the last one takes no more.
fn within_h2(server: &Server, seen: &Seen, over: &AtomicBool) {
    // The whole run may take longer than any one wait of it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = client_h2(server).await;
        while !over.load(Relaxed) {
            let asked = request(Method::GET, seawall_tests::SITE, "/");
            match ask_h2(&mut client, asked, None).await {
                Err(error)
                    if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) =>
                {
                    seen.handed_back.fetch_add(1, Relaxed);
                    client = client_h2(server).await;
                }
                answer => seen.note("h2", answer.map(|a| a.0).map_err(|e| format!("{e:?}")), 200),
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

fn upgrades() -> u64 {
    std::env::var(UPGRADES).map_or(UPGRADES_USUALLY, |n| n.parse().unwrap())
}

#[test]
fn upgrades_under_load_refuse_nobody_reset_nobody_and_forget_nothing() {
    let (origin, count) = (Origin::start(), upgrades());
    let (setup, _) = setup(&origin, &policy(count + 1));
    let server = setup.limits("timeouts.idle_timeout = \"5s\"").start();
    assert!(server.visitor(BANNED).get("/trap").is_err());
    assert_eq!(server.visitor(COUNTED).status("/few"), 200);
    let (seen, over) = (Seen::default(), AtomicBool::new(false));
    let mut processes = vec![server.pid()];
    std::thread::scope(|scope| {
        let _end = StopAtEnd(&over);
        crowd(scope, &server, &seen, &over);
        scope.spawn(|| {
            while !over.load(Relaxed) {
                // It fails where nobody answers.
                assert!(server.status().policy.generation > 0);
                std::thread::park_timeout(PAUSE * 10);
            }
        });
        for nth in 1..=count {
            let before = seen.answered.load(Relaxed);
            println!("{}", fine(&upgrade(&server)).trim_end());
            assert_eq!(server.status().policy.generation, nth + 1);
            let pid = server.status().process.pid;
            // Whoever asked may hear it before the log does.
            server.wait_line(&format!("upgraded: process {pid} is serving"));
            assert_eq!(server.pid(), pid);
            assert!(!processes.contains(&server.pid()));
            processes.push(server.pid());
            assert!(server.visitor(BANNED).get("/").is_err(), "the ban holds");
            assert_eq!(server.visitor(COUNTED).status("/few"), 200);
            wait_until("it is served on", || seen.answered.load(Relaxed) > before + 100);
            wait_until("the one by HTTP/2 is sent elsewhere", || {
                seen.handed_back.load(Relaxed) >= nth
            });
        }
        assert_eq!(server.visitor(COUNTED).status("/few"), 429, "all were counted");
    });
    let wrong = seen.wrong.lock().unwrap();
    let (answered, handed_back) = (seen.answered.load(Relaxed), seen.handed_back.load(Relaxed));
    println!(
        "{count} upgrades: {answered} answered, {handed_back} handed back, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{} of {answered}: {wrong:#?}", wrong.len());
    assert!(handed_back >= count, "each was told to go elsewhere: {handed_back}");
    processes.pop();
    wait_until("the older processes have ended", || !processes.iter().any(|p| Server::lives(*p)));
    let status = server.status();
    let history = status.history;
    // The list has an end, and the start may be past it.
    let newest = history.iter().rev().take(usize::try_from(count).unwrap().min(49));
    assert!(
        newest.map(|past| past.cause).all(|cause| cause == ReloadCause::Upgrade),
        "{history:#?}"
    );
    wait_until("all have gone", || server.proxy().connections.active <= 1);
}

#[test]
fn a_signal_upgrades_too_and_the_older_process_lets_a_request_end() {
    let origin = Origin::start();
    let (setup, _) = setup(&origin, &policy(1));
    let mut server = setup.start();
    let first = server.pid();
    let mut waiting = server.visitor("127.20.1.1");
    waiting.send(get("/gate")).unwrap();
    let mut idle = server.visitor("127.20.1.2");
    assert_eq!(idle.status("/"), 200);
    wait_until("it is in flight", || origin.gate().came() == 1);
    server.signal(Signal::Upgrade);
    server.wait_line("draining old connections");
    assert!(server.is_running() && server.pid() != first);
    // An idle connection is not closed under its client's hands: it is told which answer is the
    // last, and until then each comes.
    wait_until("the last answer", || {
        let answer = idle.get("/").unwrap();
        assert_eq!(answer.status, 200);
        answer.field("connection") == Some("close")
    });
    origin.gate().open();
    assert_eq!(waiting.read_answer(false).unwrap().status, 200);
    waiting.leave();
    assert_eq!(server.wait_exit().code(), Some(0));
    assert_eq!(server.answers("/"), 200);
    // And the newer one is stopped like any other.
    let heir = server.pid();
    server.signal(Signal::Terminate);
    wait_until("its end", || !Server::lives(heir));
    assert!(!server.folder().join("run/admin.sock").exists());
}

#[test]
fn an_older_process_that_is_told_to_stop_stops() {
    let origin = Origin::start();
    let (setup, _) = setup(&origin, &policy(1));
    let mut server = setup.limits("timeouts.idle_timeout = \"1h\"").start();
    let mut idle = server.visitor("127.20.1.2");
    assert_eq!(idle.status("/"), 200);
    let first = server.pid();
    fine(&upgrade(&server));
    assert!(server.is_running());
    Signal::Terminate.send(first);
    assert_eq!(server.wait_exit().code(), Some(0));
    assert!(idle.read_rest().unwrap_or_default().is_empty());
    assert_eq!(server.answers("/"), 200, "the newer one goes on");
}

/// The upgrade changes nothing: whoever served serves, remembers and answers.
#[track_caller]
fn comes_to_nothing(server: &Server, parts: &[&str]) {
    let pid = server.pid();
    let mut kept = server.visitor("127.20.2.1");
    assert_eq!(kept.status("/"), 200);
    refused(&upgrade(server), parts);
    assert_eq!(pid, server.status().process.pid);
    let last = server.status().process.last_upgrade;
    assert!(matches!(last, Some(UpgradeOutcome::Rejected { .. })), "{last:?}");
    assert_eq!((kept.status("/"), server.answers("/no")), (200, 403));
    assert!(server.visitor(BANNED).get("/").is_err());
}

/// A program that says of itself that it is ready, and then does this.
fn fraud(then: &str) -> String {
    format!("#!/bin/sh\nprintf '\\002\\000\\000\\000\\000\\000\\000\\000\\000' >&0\n{then}\n")
}

#[test]
fn a_successor_that_cannot_serve_changes_nothing() {
    let origin = Origin::start();
    let (setup, program) = setup(&origin, &policy(1));
    let server = setup.start();
    assert!(server.visitor(BANNED).get("/trap").is_err());
    let put = |text: &str| {
        std::fs::remove_file(&program).unwrap();
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    };
    overwrite(&server.setup.policy(ROOT), "policy 1\nfloor {");
    comes_to_nothing(&server, &["upgrade failed", "exit status: 1"]);
    server.wait_line("the policy policies/root.wall is rejected");
    overwrite(&server.setup.policy(ROOT), policy(1));
    server.wait_no_error();
    let config = std::fs::read(server.folder().join("seawall.toml")).unwrap();
    overwrite(&server.folder().join("seawall.toml"), [&config[..], b"\n[nonsense]\n"].concat());
    // The words of the command line need it too, so it is asked by a signal.
    server.signal(Signal::Upgrade);
    server.wait_line("unknown");
    server.wait_line("upgrade failed:");
    overwrite(&server.folder().join("seawall.toml"), config);
    put("no program");
    comes_to_nothing(&server, &["the child process cannot be started"]);
    put("#!/bin/sh\nexit 7\n");
    comes_to_nothing(&server, &["exit status: 7"]);
    put("#!/bin/sh\necho nonsense >&0; sleep 60\n");
    comes_to_nothing(&server, &["invalid message from the other process"]);
    put(&fraud("exit 8"));
    comes_to_nothing(&server, &["the other process ended"]);
    put(&fraud("head -c 9 >/dev/null; kill -9 $$"));
    comes_to_nothing(&server, &["the other process ended"]);
    // And then one that can.
    std::fs::remove_file(&program).unwrap();
    symlink(binary(), &program).unwrap();
    fine(&upgrade(&server));
    assert!(server.visitor(BANNED).get("/").is_err());
    assert_eq!(server.answers("/"), 200);
}

#[test]
fn who_comes_while_a_successor_says_nothing_waits_and_is_served() {
    let origin = Origin::start();
    let (setup, program) = setup(&origin, &policy(1));
    let server = setup.start();
    std::fs::remove_file(&program).unwrap();
    // It reads the state, and never serves.
    std::fs::write(&program, fraud("head -c 9 >/dev/null; touch taken; exec sleep 60")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let asking = std::thread::scope(|scope| {
        let asking = scope.spawn(|| upgrade(&server));
        wait_until("the door is shut", || server.folder().join("taken").exists());
        let watch = Stopwatch::start();
        assert_eq!(server.answers("/"), 200);
        println!("a newcomer waited {:?}", watch.elapsed());
        asking.join().unwrap()
    });
    refused(&asking, &["took too long"]);
    assert_eq!(server.answers("/no"), 403);
}

#[test]
fn nobody_takes_over_from_nobody() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(1));
    setup.write_config();
    refused(&setup.run(&["run", "-c", "seawall.toml", "--upgrade-child"]), &["SIGUSR2"]);
}
