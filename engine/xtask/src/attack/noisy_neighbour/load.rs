//! The attack on two members at once, each beside visitors of another: alice's attacker beside
//! carol's visitors, bob's attacker beside alice's.

use super::constants::{ALICE, BOB, CAROL, VISIT};
use super::environment::Environment;
use crate::attack::runner::{Attacking, Runner};
use crate::attack::server::aside;
use crate::attack::testbed::Programs;
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Seconds before the attack, in which visitors become known.
const QUIET_S: u64 = 7;
/// Seconds of attack, where no more are needed.
pub(crate) const ATTACK_S: u64 = 8;
/// Seconds after it.
const RECOVERY_S: u64 = 2;
/// Visitors of a member, and their requests per second.
const VISITORS: &str = "100";
const VISITS: &str = "50";
/// What they speak, for every server: kept, a connection each, and HTTP/2.
const KINDS: &str = "h1,h1-new,h2-tls";
/// Timeout beyond the phases, for connections to be opened and closed.
const GRACE: Duration = Duration::from_secs(60);

/// One attack, with the arguments of `seawall-attack`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack<'w> {
    /// The scenario.
    pub(crate) scenario: &'static str,
    /// More for it.
    pub(crate) words: &'w [&'w str],
    /// Seconds of it.
    pub(crate) seconds: u64,
}

/// The result.
#[derive(Debug)]
pub(crate) struct Reports {
    /// The attack on alice, with carol's visitors.
    pub(crate) alice: Value,
    /// The attack on bob, with alice's visitors; none if only alice was attacked.
    pub(crate) bob: Option<Value>,
}

/// The attacked members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttackedSites {
    /// Alice and bob.
    Both,
    /// Alice.
    Alice,
}

/// Attacks.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(crate) fn play(
    runner: &Runner<'_>,
    ground: &Environment,
    attack: Attack<'_>,
    on: AttackedSites,
) -> anyhow::Result<Reports> {
    let start = |host, visited| start(&runner.programs, ground, attack, (host, visited));
    let phases = QUIET_S.saturating_add(attack.seconds).saturating_add(RECOVERY_S);
    let limit = Duration::from_secs(phases).saturating_add(GRACE);
    let end = |attack: Attacking| attack.end(limit, runner.interrupts);
    let bob = (on == AttackedSites::Both).then(|| start(BOB, ALICE)).transpose()?;
    let alice = start(ALICE, CAROL)?;
    let alice = end(alice)?;
    let bob = bob.map(end).transpose()?;
    Ok(Reports { alice, bob })
}

/// Begins the attack on one of them, beside the visitors of another.
fn start(
    programs: &Programs,
    ground: &Environment,
    attack: Attack<'_>,
    (host, visited): (&str, &str),
) -> anyhow::Result<Attacking> {
    let mut command = aside(&programs.attack);
    command.args(["run", attack.scenario]).args(attack.words);
    command.args(["--for", &attack.seconds.to_string()]);
    let at = if attack.words.contains(&"--tls") { ground.at.https } else { ground.at.http };
    command.args(["--origin", &ground.origin(host).to_string(), "--target", &at.to_string()]);
    words(&mut command, ground, (host, visited));
    let papers = (ground.file(&format!("{host}.log")), ground.file(&format!("{host}.json")));
    Attacking::start(&mut command, papers)
}

fn words(command: &mut Command, ground: &Environment, (host, visited): (&str, &str)) {
    let (http, https) = (ground.at.http.to_string(), ground.at.https.to_string());
    let [quiet, recovery] = &[QUIET_S, RECOVERY_S].map(|seconds| seconds.to_string());
    command
        .args(["--host", host])
        .args(["--legit-host", visited, "--legit-target", &http, "--legit-tls", &https])
        .args(["--legit", VISITS, "--visitors", VISITORS, "--legit-kinds", KINDS])
        .args(["--legit-path", VISIT, "--quiet", quiet, "--recovery", recovery]);
}

pub(super) fn keep(runner: &Runner<'_>, name: &str, reports: &Reports) -> anyhow::Result<()> {
    runner.keep(&format!("neighbours-{name}-alice"), &reports.alice)?;
    reports.bob.iter().try_for_each(|bob| runner.keep(&format!("neighbours-{name}-bob"), bob))
}
