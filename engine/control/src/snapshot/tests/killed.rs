//! A process that is killed at any moment of a write leaves a complete snapshot.
//!
//! This program starts itself as the writer, which reports each finished snapshot. So the snapshot
//! on the disk must be the last reported one, or the one after it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

/// Folder of the writer; without it that test does nothing.
const FOLDER: &str = "SEAWALL_TEST_WRITES_INTO";
/// Number of kills, if not 20.
const TIMES: &str = "SEAWALL_KILLS";
/// The report of a snapshot.
const WRITTEN: &str = "written ";
/// Longest time between a snapshot and the kill: about the time of some writes.
const WAIT_US_MAX: u64 = 20_000;

#[test]
fn writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let keeper = at_start(&folder);
    let state = restore(&keeper);
    let begin = u32::try_from(state.bans().len()).unwrap();
    for n in begin.. {
        ban(&state, n);
        keeper.write(&state).unwrap();
        println!("{WRITTEN}{}", n + 1);
    }
}

fn writer(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "snapshot::tests::killed::writes_until_it_is_killed";
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn killed_at_any_moment_it_leaves_a_whole_snapshot() {
    let times = std::env::var(TIMES).ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let mut bans = 0;
    for round in 0..times {
        let mut child = writer(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number = |line: String| line.split_once(WRITTEN)?.1.parse::<usize>().ok();
        let first = lines.by_ref().find_map(number);
        assert!(first > Some(bans), "it went on from {bans} with {first:?}");
        // The moment is random; the result does not depend on it.
        let chance = RandomState::new().build_hasher().finish();
        std::thread::park_timeout(Duration::from_micros(chance % WAIT_US_MAX));
        child.kill().unwrap();
        child.wait().unwrap();
        let said = lines.filter_map(number).last().or(first).unwrap();
        bans = restore(&at_start(folder.path())).bans().len();
        assert!(bans == said || bans == said + 1, "round {round}: {said} were said, {bans} found");
        assert!(!folder.path().join("snapshot.damaged-1").exists());
    }
    println!("killed {times} times; {bans} snapshots");
}
