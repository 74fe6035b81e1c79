//! A8, A9 and F10: the server has few connections, few files or little memory, and an attack uses
//! as much as it can. The operator gets responses, the server stays up, and carol's known visitors
//! are served.

use super::admin_client;
use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::CheckResult;
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::evaluate::{Seen, judge, nobody_failed};
use crate::attack::noisy_neighbour::load::{ATTACK_S, Attack, AttackedSites, play};
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::results::Results;
use crate::attack::runner::Runner;
use crate::attack::server::ServerKind;
use crate::attack::testbed::{Folder, Programs};
use crate::pacing;
use anyhow::{Context, anyhow};
use seawall_admin_api::StatusReport;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const FILES: u64 = 512;
/// Connections of an attack below which it was none.
const HELD: f64 = 200.0;
/// Maximum duration of the operator's requests, which are frequent.
const ADMIN_MS: f64 = 200.0;
const ADMIN_PAUSE: Duration = Duration::from_millis(100);
const MEMORY_BYTES: u64 = 256 << 20;
/// Where the first version of control groups has memory.
const MEMORY_GROUPS: &str = "/sys/fs/cgroup/memory";
const SILENT: Attack<'_> = Attack {
    scenario: "idle-many",
    words: &["--connections", "2000", "--rate", "1000", "--addresses", "2000"],
    seconds: ATTACK_S,
};

const MANY_SILENT: Attack<'_> = Attack {
    scenario: "idle-many",
    words: &["--connections", "16000", "--rate", "8000", "--addresses", "16000"],
    seconds: 2 * ATTACK_S,
};

const BOTNET: Attack<'_> = Attack { scenario: "botnet", words: &[], seconds: ATTACK_S };

/// One way of filling memory.
pub(super) const IDLE: Attack<'_> = Attack {
    scenario: "h2-idle",
    words: &["--tls", "--connections", "9000", "--rate", "1500", "--addresses", "9000"],
    seconds: 2 * ATTACK_S,
};
/// Another.
pub(super) const UNREAD: Attack<'_> = Attack {
    scenario: "h2-slow-read",
    words: &["--tls", "--connections", "1600", "--rate", "400", "--addresses", "1600"],
    seconds: 2 * ATTACK_S,
};

/// Seawall by a script that first makes something scarce.
fn scarce(runner: &Runner<'_>, folder: &Folder, first: &str) -> anyhow::Result<Programs> {
    let seawall = runner.programs.seawall.display();
    let text = format!("#!/bin/sh\n{first}\nexec \"{seawall}\" \"$@\"\n");
    let script = folder.write("seawall", &text)?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, mode).context("making a script")?;
    Ok(Programs { seawall: script, attack: runner.programs.attack.clone() })
}

/// Few files.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn files(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let folder = Folder::new("scarce")?;
    let programs = scarce(runner, &folder, &format!("ulimit -n {FILES}"))?;
    silent(runner, &programs, (SILENT, "operations-few-files"))
}

/// As many files as there are, and more connections than places.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn places(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    silent(runner, &runner.programs, (MANY_SILENT, "operations-all-places"))
}

/// Two botnets, and more connections than places once visitors come.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn botnets(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let mut ground =
        Environment::start(&runner.programs, ServerKind::Seawall, SeawallExtras::default())?;
    let reports = play(runner, &ground, BOTNET, AttackedSites::Both)?;
    ground.is_up()?;
    for (name, report) in [("alice", Some(&reports.alice)), ("bob", reports.bob.as_ref())] {
        let keep = |report| runner.keep(&format!("operations-two-botnets-{name}"), report);
        report.map(keep).transpose()?;
    }
    Ok(CaseOutcome::Judged(judge(Seen::of(&reports), false)))
}

/// Connections without requests take all permits.
fn silent(
    runner: &Runner<'_>,
    programs: &Programs,
    (attack, name): (Attack<'_>, &str),
) -> anyhow::Result<CaseOutcome> {
    let mut ground = Environment::start(programs, ServerKind::Seawall, SeawallExtras::default())?;
    let socket = ground.socket();
    let over = AtomicBool::new(false);
    let (played, heard) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_on(&socket, &over));
        let played = play(runner, &ground, attack, AttackedSites::Alice);
        over.store(true, Relaxed);
        (played, asking.join())
    });
    let heard = heard.map_err(|_| anyhow!("the asking thread panicked"))?;
    let (reports, heard) = (played?, heard?);
    ground.is_up()?;
    let status = admin_client::status(&socket)?;
    runner.keep(name, &reports.alice)?;
    let seen = Seen::of(&reports);
    let slowest = heard.iter().max().map(|time| time.as_secs_f64() * 1_000.0);
    let connections = &status.proxy.connections;
    let full = connections.rejected.max_connections + connections.closed.evicted;
    Ok(CaseOutcome::Judged(vec![
        held(seen.alice),
        at_least("times that there was no place", Some(full as f64), 1.0),
        nobody_failed(seen.alice),
        at_least("questions of the operator", Some(heard.len() as f64), 1.0),
        at_most("the slowest answer", slowest, (ADMIN_MS, " ms")),
        at_most("failed accepts", Some(connections.accept_errors as f64), (0.0, "")),
    ]))
}

/// Requests the status again and again; returns the duration of each response.
fn ask_on(socket: &Path, over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    while !over.load(Relaxed) {
        times.push(admin_client::ask(socket, "/status")?.1);
        pacing::pause(ADMIN_PAUSE);
    }
    Ok(times)
}

/// Checks that there was an attack, and that this side had all it needed.
fn held(alice: Results<'_>) -> CheckResult {
    let here = alice.number("/attack/failed_here");
    let opened = alice.opened().filter(|_| here.is_some_and(|here| here < 1.0));
    at_least("connections of the attack", opened, HELD)
}

/// Little memory.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn memory(runner: &Runner<'_>, with: &Attack<'_>) -> anyhow::Result<CaseOutcome> {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => {
            return Ok(CaseOutcome::Skipped(format!("no control group of memory: {why:#}")));
        }
    };
    let folder = Folder::new("scarce")?;
    let enter = format!("echo $$ > {}", group.0.join("tasks").display());
    let programs = scarce(runner, &folder, &enter)?;
    let mut ground = Environment::start(&programs, ServerKind::Seawall, SeawallExtras::default())?;
    let reports = play(runner, &ground, *with, AttackedSites::Alice)?;
    ground.is_up()?;
    let status = admin_client::status(&ground.socket())?;
    runner.keep(&format!("operations-little-memory-{}", with.scenario), &reports.alice)?;
    let most = group.number("memory.max_usage_in_bytes");
    let most = most.map(|most| most * 100.0 / MEMORY_BYTES as f64);
    let seen = Seen::of(&reports);
    Ok(CaseOutcome::Judged(vec![
        held(seen.alice),
        nobody_failed(seen.alice),
        given_up(&status),
        at_least("% of the memory at most", most, 1.0),
        at_most("processes ended for want of it", group.ended(), (0.0, "")),
    ]))
}

/// Connections that were rejected or closed to save memory.
fn given_up(status: &StatusReport) -> CheckResult {
    let connections = &status.proxy.connections;
    let closed = connections.closed.overload_idle + connections.closed.overload_stalled;
    let all = connections.rejected.overload + closed;
    at_least("connections given up", Some(all as f64), 1.0)
}

/// A control group with little memory, until it is dropped.
struct Group(PathBuf);

impl Group {
    fn new() -> anyhow::Result<Self> {
        let dir = Path::new(MEMORY_GROUPS).join(format!("seawall-{}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("making {}", dir.display()))?;
        let group = Self(dir);
        let limit = group.0.join("memory.limit_in_bytes");
        std::fs::write(limit, MEMORY_BYTES.to_string()).context("limiting it")?;
        Ok(group)
    }

    /// Returns the number of processes that the kernel killed for memory.
    fn ended(&self) -> Option<f64> {
        let said = std::fs::read_to_string(self.0.join("memory.oom_control")).ok()?;
        said.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    fn number(&self, name: &str) -> Option<f64> {
        std::fs::read_to_string(self.0.join(name)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process was killed before, but may need a moment to be gone.
        let _gone = pacing::poll(Duration::from_secs(5), || {
            Ok(std::fs::remove_dir(&self.0).is_ok().then_some(()))
        });
    }
}
