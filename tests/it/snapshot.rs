//! A stop loses no state, and a kill at most ten seconds of it. The state files contain no address
//! of a client.

use std::path::Path;

use seawall_admin_api::SnapshotStatus;
use seawall_tests::{
    Origin, ROOT, SITE, Server, Setup, Signal, Stopwatch, fine, overwrite, wait_until,
};

const POLICY: &str = "policy 1
floor {
  rule trap  { when path == \"/trap\" then ban 1h }
  limit few  { per client where path == \"/few\" to 3/7d then block 429 }
  limit held { per client where path == \"/held\" to 1/7d then block 403 hold 1h }
}
";
/// Has been admitted twice of three times.
const COUNTED: &str = "127.9.7.1";
/// Is held.
const HELD: &str = "127.9.7.2";
/// Is banned.
const BANNED: &str = "127.9.7.4";

fn visit(server: &Server) {
    for _ in 0..2 {
        assert_eq!(server.visitor(COUNTED).status("/few"), 200);
    }
    assert_eq!(server.visitor(HELD).status("/held"), 200);
    assert_eq!(server.visitor(HELD).status("/held"), 403);
    assert!(server.visitor(BANNED).get("/trap").is_err());
}

/// All are judged by what they did before.
#[track_caller]
fn is_remembered(server: &Server) {
    assert!(server.visitor(BANNED).get("/").is_err());
    assert_eq!(server.visitor(HELD).status("/held"), 403);
    let mut counted = server.visitor(COUNTED);
    assert_eq!([counted.status("/few"), counted.status("/few")], [200, 429]);
    assert_eq!(server.visitor("127.9.7.3").status("/held"), 200, "others are not");
}

/// Waits for a snapshot that was begun from now on.
fn wait_snapshot(server: &Server) -> SnapshotStatus {
    let watch = Stopwatch::start();
    let mut seen = SnapshotStatus::default();
    wait_until("a snapshot", || {
        let since_ms = watch.elapsed().as_millis();
        seen = server.status().snapshot;
        seen.age_ms.is_some_and(|age_ms| u128::from(age_ms) < since_ms)
    });
    seen
}

fn stop(mut server: Server) {
    server.signal(Signal::Terminate);
    assert_eq!(server.wait_end().code(), Some(0));
}

#[test]
fn counts_and_holds_survive_a_stop() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY);
    let server = setup.start();
    visit(&server);
    stop(server);
    let server = setup.start();
    server.wait_line("restored 2 counters and 1 bans from a snapshot");
    assert_eq!(server.status().policy.generation, 2, "the ban is of the first");
    is_remembered(&server);
    stop(server);
    // An edit while nothing runs is an edit: the count is kept and the new threshold holds.
    setup.write(ROOT, POLICY.replace("to 3/7d", "to 4/6d"));
    let server = setup.start();
    let mut counted = server.visitor(COUNTED);
    assert_eq!([counted.status("/few"), counted.status("/few")], [200, 429]);
    assert_eq!(server.visitor(HELD).status("/held"), 403);
    stop(server);
    setup.write(ROOT, POLICY.replace("limit few", "limit less"));
    let server = setup.start();
    server.wait_line("counters removed from the policy: floor.few");
    assert_eq!(server.visitor(COUNTED).status("/few"), 200, "another name is another counter");
    assert_eq!(server.visitor(HELD).status("/held"), 403);
}

#[test]
fn what_a_snapshot_holds_survives_a_kill() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY);
    let server = setup.start();
    visit(&server);
    let said = wait_snapshot(&server);
    assert!(said.bytes > Some(100) && said.last_error.is_none(), "{said:?}");
    // Dropped, it is killed.
    drop(server);
    is_remembered(&setup.start());
}

/// Whether `bytes` hold an address in any form in which a program would write it.
fn told(bytes: &[u8], address: &str) -> bool {
    let mut octets = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mapped = format!("::ffff:{address}").parse::<std::net::Ipv6Addr>().unwrap().octets();
    let holds = |form: &[u8]| bytes.windows(form.len()).any(|part| part == form);
    let told = holds(&octets) || holds(&mapped) || holds(address.as_bytes());
    octets.reverse();
    told || holds(&octets)
}

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn no_address_lies_in_the_state_folder() {
    assert!(told(b"..\x7f\x09\x07\x01..", COUNTED) && told(b"x127.9.7.1", COUNTED));
    assert!(told(b"..\x01\x07\x09\x7f..", COUNTED) && !told(b"127.9.7.", COUNTED));
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY);
    let server = setup.start();
    visit(&server);
    stop(server);
    let mut found = Vec::new();
    files(&setup.path("state"), &mut found);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().any(|name| name.ends_with("/snapshot")), "{names:?}");
    for (name, bytes) in &found {
        for address in [COUNTED, HELD, BANNED] {
            assert!(!told(bytes, address), "{address} in {name}");
        }
    }
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_everybody_served() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY);
    let server = setup.start();
    visit(&server);
    stop(server);
    let snapshot = setup.path("state/snapshot");
    let mut bytes = std::fs::read(&snapshot).unwrap();
    bytes.truncate(bytes.len() - 1);
    overwrite(&snapshot, &bytes);
    let server = setup.start();
    let line = server.wait_line("cannot be used: its length differs from its header");
    assert!(line.contains("snapshot.damaged-1"), "{line}");
    assert_eq!(std::fs::read(setup.path("state/snapshot.damaged-1")).unwrap(), bytes);
    assert_eq!(server.visitor(HELD).status("/held"), 200);
}

#[test]
fn a_disk_that_takes_no_snapshot_stops_nobody() {
    let origin = Origin::start();
    let setup = Setup::new(origin.address, POLICY);
    std::fs::create_dir_all(setup.path("state/snapshot.new/in-the-way")).unwrap();
    let mut server = setup.start();
    visit(&server);
    wait_until("an error", || server.status().snapshot.last_error.is_some());
    server.wait_line("no snapshot is written, a restart would lose the state");
    assert_eq!(server.visitor(HELD).status("/held"), 403);
    // It is told once, and it ends with the trouble.
    std::fs::remove_dir_all(setup.path("state/snapshot.new")).unwrap();
    wait_snapshot(&server);
    server.wait_line("snapshots are written again");
    let told = server.lines();
    assert_eq!(told.iter().filter(|line| line.contains("no snapshot is written")).count(), 1);
    server.signal(Signal::Terminate);
    assert_eq!(server.wait_end().code(), Some(0));
}

/// Whatever a reload takes, what is remembered is written meanwhile: the tests of this one send as
/// many requests as the host's tests may.
#[test]
fn a_reload_that_takes_long_holds_up_no_ban_no_snapshot_and_no_stop() {
    let origin = Origin::start();
    let server = Setup::new(origin.address, POLICY).start();
    let mut slow = String::from(POLICY);
    for nth in 0..5 {
        slow.push_str(&format!(
            "test \"long {nth}\" {{ request GET \"https://{SITE}/none\" times 999999 expect pass }}\n"
        ));
    }
    overwrite(&server.setup.policy(ROOT), slow);
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| server.setup.run(&["reload"]));
        let banned = server.setup.run(&["bans", "add", BANNED, "--for", "1h"]);
        fine(&banned);
        assert!(server.visitor(BANNED).get("/").is_err(), "at once");
        let before = wait_snapshot(&server);
        // Where the reload is over before a snapshot is due, nothing is shown, and nothing is wrong.
        let shown = server.status().policy.generation == 1;
        assert!(shown || watch.elapsed().as_secs() < 60, "{before:?}");
        server.signal(Signal::Terminate);
        drop(reload.join());
    });
    let setup = server.setup.clone();
    let mut server = server;
    assert_eq!(server.wait_end().code(), Some(0));
    overwrite(&setup.policy(ROOT), POLICY);
    assert!(setup.start().visitor(BANNED).get("/").is_err(), "the ban was written");
}
