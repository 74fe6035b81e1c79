//! Reloads during requests: no request fails, and the number of the generation only grows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_tests::{
    Origin, ROOT, Setup, StopAtEnd, Visitor, answering, overwrite, rename_over, swap_link,
    wait_until,
};

const RELOADS: u64 = 55;
const VISITORS: u8 = 4;

fn policy(edit: u64) -> String {
    format!(
        "policy 1\nextern f() -> int {{ module \"f.wasm\" fuel 50k memory 1MiB on_failure return 7 }}\n\
         floor {{\n  rule edit-{edit} {{ when path == \"/edit\" and f() == 7 then block 410 }}\n  \
         limit flood {{ per client to 1000000/1m then block 429 }}\n}}\n"
    )
}

/// Asks without a pause, on connections that it keeps for a while; every answer must be right.
fn visit(mut visitor: Visitor, stop: &AtomicBool, served: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        let answer = visitor.get("/page").unwrap_or_else(|error| panic!("no answer: {error}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        let answer = visitor.get("/edit").unwrap_or_else(|error| panic!("no answer: {error}"));
        assert_eq!(answer.status, 410);
        if served.fetch_add(2, Ordering::Relaxed).is_multiple_of(64) {
            visitor.leave();
        }
    }
}

#[test]
fn no_request_fails_across_reloads_under_load() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, &policy(0));
    setup.write("f.wasm", answering(7));
    let server = setup.start();
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let stopping = StopAtEnd(&stop);
        let visits: Vec<_> = (1..=VISITORS)
            .map(|n| {
                let visitor = server.visitor(&format!("127.3.0.{n}"));
                scope.spawn(|| visit(visitor, &stop, &served))
            })
            .collect();
        for edit in 1..=RELOADS {
            let before = served.load(Ordering::Relaxed);
            let path = setup.policy(ROOT);
            match edit % 3 {
                0 => overwrite(&path, policy(edit)),
                1 => rename_over(&path, policy(edit)),
                _ => {
                    setup.write(&format!("edit-{edit}.wall"), policy(edit));
                    swap_link(&path, &format!("edit-{edit}.wall"));
                }
            }
            server.wait_generation(edit + 1);
            wait_until("requests go on", || served.load(Ordering::Relaxed) > before);
        }
        drop(stopping);
        visits.into_iter().for_each(|visit| visit.join().unwrap());
    });
    let served = served.into_inner();
    // A reload is told a moment after its generation judges, and a decision counted after its
    // answer.
    wait_until("all are told and counted", || {
        let status = server.status();
        let decided = ["allow", "block"].map(|kind| status.decisions[kind]);
        status.policy.reloads.published == RELOADS && decided == [served / 2; 2]
    });
    let status = server.status();
    let generations: Vec<u64> = status.history.iter().map(|past| past.generation).collect();
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    assert_eq!(generations.last(), Some(&(RELOADS + 1)));
    assert_eq!(status.policy.reloads.published, RELOADS);
    assert_eq!(status.policy.reloads.rejected, 0);
    // Over all generations, nothing was lost and nothing was counted twice.
    assert_eq!(status.decisions["allow"], served / 2);
    assert_eq!(status.decisions["block"], served / 2);
    let failures = &status.externs[0].failures;
    // A thread that had to wait for a processor may have met the wall-clock backstop.
    let mut others = failures.iter().filter(|(kind, _)| *kind != "time");
    assert!(others.all(|(_, count)| *count == 0), "{failures:?}");
    assert_eq!(origin.requests() as u64, served / 2);
    assert_eq!(status.proxy.panics, 0);
}
