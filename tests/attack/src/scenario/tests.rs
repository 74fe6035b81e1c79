//! Every scenario against small servers: it begins, ends by itself, and reports what it did.

use super::*;
use crate::addresses::{Sources, Who};
use crate::attack::Extra;
use crate::connect::Way;
use crate::guard::Target;
use crate::origin::{Manner, Reads, Recorder, Work, failing, serve};
use crate::report::AttackReport;
use crate::tally::Tally;
use crate::testing::{acceptor, listener, serve_h2, serve_tls};
use crate::tls::{Alpn, client};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long each attacks, in turn, and how much longer it may take to end on any machine.
const ATTACK_S: [u64; 3] = [2, 10, 30];
const SLACK: Duration = Duration::from_secs(30);

struct Servers {
    h1: Target,
    h2: Target,
    tls: Target,
}

async fn servers() -> Servers {
    let ((h1, at_h1), (h2, at_h2), (tls, at_tls)) =
        (listener().await, listener().await, listener().await);
    tokio::spawn(serve(h1, Manner::new(Reads::Strict, Work { at_once: 1, ms: 0 })));
    tokio::spawn(async move {
        while let Ok((stream, _)) = h2.accept().await {
            tokio::spawn(serve_h2(stream, 403));
        }
    });
    let acceptor = acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = tls.accept().await {
            tokio::spawn(serve_tls(stream, acceptor.clone(), 403));
        }
    });
    Servers { h1: at_h1, h2: at_h2, tls: at_tls }
}

fn attack(scenario: &Scenario, target: Target, time: Duration, extra: Extra) -> Arc<Attack> {
    let connections = scenario.connections.min(10);
    let addresses = scenario.addresses(connections);
    Arc::new(Attack {
        way: Way {
            target,
            host: "alice.example".to_owned(),
            tls: (scenario.needs == Needs::Tls).then(|| client(Alpn::H1, false).unwrap()),
            receive_buffer: None,
        },
        sources: Sources::new(Who::Attacker, addresses, scenario.spread),
        connections,
        rate: 100,
        until: Instant::now() + time,
        tally: Arc::new(Tally::default()),
        extra,
    })
}

/// Returns whether the scenario did what its name says.
fn promised(name: &str, report: &AttackReport) -> bool {
    let answered = |status: &str| report.answers.get(status).copied().unwrap_or_default();
    let event = |start: &str| report.events.keys().any(|name| name.starts_with(start));
    match name {
        "get-flood" | "cache-bust" | "forwarded-spoof" | "botnet" | "reload-storm" => {
            answered("200") > 20 && report.opened == 10 && report.left_by_us == 10
        }
        "banned-connects" | "net-rotation" | "tracker-keys" => {
            answered("200") > 20 && report.opened > 20
        }
        "request-file" => answered("200") > 20,
        // The origin is whole: what it says is more than this program reads of a head.
        "origin-heads" => event("answered with something else") && report.left_by_us >= 5,
        "given-up" => report.left_by_us > 20 && !event("no reset"),
        "post-flood" => answered("200") > 5 && report.bytes_sent > 5 << 20,
        "pipeline" => answered("200") > 100,
        "slowloris" | "slow-body" | "slow-read" => {
            report.left_by_us == 10 && report.closed_by_server + report.reset_by_server == 0
        }
        "header-drip" => report.bytes_sent > 31 << 10,
        "idle-many" | "idle-one" | "h2-preface" | "h2-idle" | "tls-silent" | "tls-half" => {
            report.opened == 10 && report.left_by_us == 10
        }
        "idle-kept" | "fd-exhaustion" => report.requests == 10,
        "tls-unfinished" => report.bytes_sent > 1_000,
        "tls-hello-flood" => event("tls: handshake answered"),
        "tls-handshakes" => report.opened > 20 && report.handshake_failed == 0,
        "tls-garbage" => event("tls: alert") && report.closed_by_server > 0,
        "tls-second-hello" => event("tls: handshake answered") && report.held_ms.is_some(),
        "tls-key-update" => event("tls: key update sent") && report.bytes_sent > 1_000,
        "h2-rapid-reset" => report.requests > 20 && event("h2: GOAWAY"),
        "h2-reset-window-zero" | "h2-reset-window-over" | "h2-reset-self" => {
            event("h2: RST_STREAM") || event("h2: GOAWAY")
        }
        "h2-reset-data" | "h2-reset-headers" | "h2-reset-priority" => report.requests > 20,
        "h2-continuation" => report.bytes_sent > 100_000,
        "h2-settings" => event("h2: SETTINGS acknowledged"),
        "h2-ping" => event("h2: PING answered"),
        "h2-window-zero" => event("h2: GOAWAY PROTOCOL_ERROR"),
        "hpack-bomb" | "hpack-cookies" => answered("431") + answered("403") > 0 || event("h2: "),
        "hpack-resize" => answered("403") > 20,
        "h2-slow-body" => report.requests >= 10 && report.left_by_us == 10,
        // This server ends each stream with its head, and so nothing is left to be read slowly.
        "h2-slow-read" => {
            report.requests >= 10 && report.held_ms.is_some() && event("connections whose streams")
        }
        "huge-header" | "many-fields" | "huge-target" => event("no answer"),
        "range-abuse" | "hash-collision" => answered("200") > 0,
        "websocket-idle" => answered("101") == 10 && report.left_by_us == 10,
        "proxy-lies" => event("PROXY v1: no answer") && event("PROXY v2 twice"),
        "log-flood" => report.opened > 20 && event("no answer"),
        "hosts" => event("host as it is: 200"),
        "origin-leak" => event("LEAK") || event("case not run"),
        "deny-unread-body" => event("answer read"),
        "smuggling" | "h2-smuggling" => report.requests > 10,
        "origin-stopped" | "origin-killed" | "origin-flapping" => {
            let is_back = report.outage.as_ref().is_some_and(|outage| outage.back_ms.is_some());
            answered("200") > 20 && is_back
        }
        _ => report.requests > 20,
    }
}

/// Returns those of `scenarios` that did not keep their promise in `time`, with what they did
/// instead.
async fn broken(
    servers: &Servers,
    scenarios: Vec<&'static Scenario>,
    time: Duration,
    policy: &std::path::Path,
) -> Vec<(&'static Scenario, String)> {
    let mut running = tokio::task::JoinSet::new();
    for scenario in scenarios {
        let target = match scenario.needs {
            Needs::H1 => servers.h1,
            Needs::H2 => servers.h2,
            Needs::Tls => servers.tls,
        };
        // An origin that is to fail belongs to one scenario only.
        let own = (scenario.vector == "A37").then(failing);
        let (target, origin) = own.map_or((target, servers.h1), |own| (own, own));
        let extra = Extra {
            secrets: vec!["recorded".to_owned()],
            rewrite: Some(policy.to_path_buf()),
            recorder: Some(Recorder::new(origin)),
            path: None,
            request: Some(policy.with_file_name("request")),
        };
        running.spawn(async move {
            let attack = attack(scenario, target, time, extra);
            let ended = timeout(time + SLACK, (scenario.run)(attack.clone())).await;
            ended.unwrap_or_else(|_| panic!("{} did not end", scenario.name)).unwrap();
            (scenario, attack.tally.report())
        });
    }
    let mut broken = Vec::new();
    while let Some(done) = running.join_next().await {
        let (scenario, report) = done.unwrap();
        assert_eq!(report.failed_here, 0, "{}: {report:#?}", scenario.name);
        if report.opened == 0 || !promised(scenario.name, &report) {
            broken.push((scenario, format!("{}: {report:#?}", scenario.name)));
        }
    }
    broken
}

/// A scenario that a busy machine delayed gets more time in the next try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_begins_ends_by_itself_and_reports() {
    let servers = servers().await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("a.wall");
    std::fs::write(&policy, "policy 1\n").unwrap();
    std::fs::write(folder.path().join("request"), crate::h1::head("GET", "/", "a", "")).unwrap();
    let mut left: Vec<_> = all().map(|scenario| (scenario, String::new())).collect();
    for seconds in ATTACK_S {
        let time = Duration::from_secs(seconds);
        let scenarios = left.iter().map(|(scenario, _)| *scenario).collect();
        left = broken(&servers, scenarios, time, &policy).await;
    }
    let said: Vec<_> = left.into_iter().map(|(_, said)| said).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), "policy 1\n", "the old text is back");
}

/// Without a server between, every request of a case has its response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smuggling_corpus_finds_nothing_where_there_is_nothing() {
    let servers = servers().await;
    let recorder = Recorder::new(servers.h1);
    let scenario = find("smuggling").unwrap();
    let extra = Extra { recorder: Some(recorder), ..Extra::default() };
    let attack = attack(scenario, servers.h1, SLACK + SLACK, extra);
    (scenario.run)(attack.clone()).await.unwrap();
    let events: BTreeMap<String, u64> = attack.tally.report().events;
    assert_eq!(events.get("desyncs: none"), Some(&1), "{events:#?}");
    assert_eq!(events.get("CL.TE chunked: no answer"), Some(&1));
    assert_eq!(events.get("no length GET: 200+200"), Some(&1));
    let record = recorder.record().await.unwrap();
    assert!(record.malformed > 100 && record.cases.len() > 20, "{record:?}");
}

#[test]
fn names_are_unique_and_defaults_are_within_the_caps() {
    use crate::caps::{ADDRESSES_MAX, CONNECTIONS_MAX, RATE_MAX};
    let names: HashSet<_> = all().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), all().count());
    for scenario in all() {
        let Scenario { name, connections, rate, .. } = scenario;
        assert!((1..=CONNECTIONS_MAX).contains(connections), "{name}");
        assert!((1..=RATE_MAX).contains(rate), "{name}");
        assert!((1..=ADDRESSES_MAX).contains(&scenario.addresses(*connections)), "{name}");
    }
}

/// What the catalogue asks of this program.
#[test]
fn every_vector_has_a_scenario() {
    let known: HashSet<_> = all().map(|scenario| scenario.vector).collect();
    let mut wanted: Vec<String> =
        (1..=20).chain([24, 25, 37, 38, 39, 40]).map(|n| format!("A{n}")).collect();
    wanted.extend((30..=36).map(|n| format!("A{n}")));
    let missing: Vec<_> = wanted.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
