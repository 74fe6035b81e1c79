//! The socket from the client's side, with a real one in a folder.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::thread::JoinHandle;

use seawall_admin_api::PolicyStatus;

use super::*;
use crate::admin::client::{AdminClientError, Client};
use crate::admin::rejection::own_refusal;
use crate::admin::socket::AdminSocket;
use crate::generations::GenerationStore;
use crate::level_ticker::Levels;

struct Server {
    dir: tempfile::TempDir,
    trigger: Arc<ReloadTrigger>,
    stop: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    _file: crate::admin::socket::SocketFile,
}

impl Server {
    /// Returns a socket whose reloads all end with `outcome`.
    fn with(outcome: ReloadOutcome) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let trigger = Arc::new(ReloadTrigger::default());
        let (stop, stopped) = oneshot::channel();
        let AdminSocket { listener, file } = AdminSocket::bind(&dir.path().join("s")).unwrap();
        let (ringing, answering) = (trigger.clone(), trigger.clone());
        let serving = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let status: StatusFn = Arc::new(|| {
                let policy = PolicyStatus { generation: 7, ..PolicyStatus::default() };
                StatusReport { policy, ..StatusReport::default() }
            });
            runtime.unwrap().block_on(async move {
                let listener = UnixListener::from_std(listener).unwrap();
                let enable: EnableRuleFn = Arc::new(|name| name == "alice.office");
                let bans = Arc::new(crate::admin::bans::tests::desk());
                let levels = Arc::new(LevelAdmin {
                    handle: bans.handle.clone(),
                    levels: Levels {
                        sites: vec!["a.example".into()],
                        inputs: Arc::new(|_| seawall_ruleset::LevelInputs::default()),
                        now: bans.now.clone(),
                    },
                });
                let history = Arc::new(HistoryAdmin {
                    board: Arc::default(),
                    archive: GenerationStore::new(std::path::Path::new("none")),
                });
                let still = Arc::default();
                let metrics: MetricsFn = Arc::new(String::new);
                let upgrade: StartUpgradeFn = Arc::new(|| tokio::sync::oneshot::channel().1);
                let desk = AdminState {
                    trigger: ringing,
                    still,
                    upgrade,
                    metrics,
                    status,
                    enable,
                    bans,
                    levels,
                    history,
                };
                serve(listener, desk, stopped).await.unwrap();
            });
        });
        let answering = std::thread::spawn(move || {
            while let Some(call) = answering.wait(Duration::from_secs(60)) {
                call.waiters.into_iter().for_each(|waiter| waiter.answer(outcome.clone()));
            }
        });
        let threads = vec![serving, answering];
        Self { dir, trigger, stop: Some(stop), threads, _file: file }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = std::os::unix::net::UnixStream::connect(self.path()).unwrap();
        // A server that rejects early may close while the client still writes.
        let _written = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.trigger.stop();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

#[test]
fn status_and_reload_are_answered() {
    let outcome =
        ReloadOutcome::Unchanged { generation: 7, cleared: None, members: Default::default() };
    let server = Server::with(outcome.clone());
    let client = Client::new(&server.path());
    assert_eq!(client.status().unwrap().policy.generation, 7);
    assert_eq!(client.reload(&ReloadRequest::default()).unwrap(), outcome);
}

#[test]
fn a_rule_is_let_back_by_its_name() {
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let client = Client::new(&server.path());
    for (name, known) in [("alice.office", true), ("office", false), ("a/../b", false), ("", false)]
    {
        assert_eq!(client.enable_rule(name).unwrap(), known, "{name}");
    }
    let read = server
        .raw(b"GET /rules/alice.office/enable HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(read.starts_with("HTTP/1.1 405 "), "{read}");
}

#[test]
fn bans_are_set_listed_and_ended_over_the_socket() {
    use seawall_admin_api::{BanRequest, BanResponse};
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let client = Client::new(&server.path());
    let add = BanRequest::Add { target: "192.0.2.7".into(), for_ms: 60_000 };
    assert!(matches!(client.order_ban(&add).unwrap(), BanResponse::Set { .. }));
    let list = client.bans().unwrap();
    assert_eq!((list.total, &*list.bans[0].target), (1, "192.0.2.7"));
    let add = BanRequest::Add { target: "nobody".into(), for_ms: 60_000 };
    assert!(matches!(client.order_ban(&add).unwrap(), BanResponse::Rejected { .. }));
    let clear = BanRequest::Clear { rule: None, generation: None };
    assert_eq!(client.order_ban(&clear).unwrap(), BanResponse::Cleared { bans: 1 });
    assert!(server.raw(b"POST /bans HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        .starts_with("HTTP/1.1 422 "));
}

#[test]
fn levels_that_are_not_there_are_refused_by_name() {
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let client = Client::new(&server.path());
    let order = |level: Option<&str>, for_ms, site: Option<&str>| {
        let order =
            LevelRequest { level: level.map(str::to_owned), for_ms, site: site.map(str::to_owned) };
        client.order_level(&order).unwrap()
    };
    let refused = |done: LevelResponse, part: &str| match done {
        LevelResponse::Rejected { reason } => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}"),
    };
    refused(order(Some("nrmal"), 1, None), "did you mean `normal`?");
    refused(order(Some("normal"), 0, None), "more than 0 s");
    refused(order(Some("normal"), crate::LEVEL_HELD_MS_MAX + 1, None), "at most 7 days");
    refused(order(Some("normal"), 1, Some("b.example")), "no site `b.example`");
    refused(order(None, 0, None), "no level is set");
    assert_eq!(order(Some("normal"), 60_000, Some("a.example")), LevelResponse::Set);
    assert_eq!(order(None, 0, Some("a.example")), LevelResponse::Cleared);
}

#[test]
fn a_refused_reload_is_a_conflict_with_its_reason() {
    let outcome = ReloadOutcome::Rejected { generation: 7, rejection: own_refusal("no") };
    let server = Server::with(outcome.clone());
    assert_eq!(Client::new(&server.path()).reload(&ReloadRequest::default()).unwrap(), outcome);
    let answer = server.raw(b"POST /reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
}

#[test]
fn reading_changes_nothing_and_unknown_paths_are_not_there() {
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let ask = |line: &str| {
        server.raw(format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
    };
    assert!(ask("GET /reload").starts_with("HTTP/1.1 405 "));
    assert!(ask("POST /status").starts_with("HTTP/1.1 405 "));
    assert!(ask("GET /").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_client_that_sends_too_much_is_cut_off() {
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let sized = |bytes: usize| {
        let head = "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
        format!("{head}{}\r\n\r\n", "x".repeat(bytes - head.len() - 4))
    };
    let answer = server.raw(sized(ADMIN_BYTES_MAX).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = server.raw(sized(ADMIN_BYTES_MAX + 1).as_bytes());
    assert!(!answer.starts_with("HTTP/1.1 200 "), "{answer}");
    Client::new(&server.path()).status().unwrap();
}

#[test]
fn clients_that_say_nothing_are_dropped_and_the_rest_are_served() {
    let server = Server::with(ReloadOutcome::Unchanged {
        generation: 7,
        cleared: None,
        members: Default::default(),
    });
    let silent: Vec<_> = (0..ADMIN_CONNECTIONS_MAX)
        .map(|_| std::os::unix::net::UnixStream::connect(server.path()).unwrap())
        .collect();
    // All connections are in use: the next client waits until the first deadlines pass.
    Client::new(&server.path()).status().unwrap();
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "closed by the server");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(&dir.path().join("s"));
    assert!(matches!(client.status(), Err(AdminClientError::Unreachable(..))));
}
