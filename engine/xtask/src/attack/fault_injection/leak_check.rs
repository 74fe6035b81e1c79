//! F14: after more than ten thousand connections of every attack everything is as before: no
//! connection, request, file, thread or memory is left.

use super::admin_client;
use super::case::{CaseOutcome, at_least, at_most};
use crate::attack::evaluate::CheckResult;
use crate::attack::expectation::{AttackTarget, Expectation, ORIGIN, POLICY};
use crate::attack::expectations::PROMISES;
use crate::attack::noisy_neighbour::constants::ALICE;
use crate::attack::noisy_neighbour::environment::Environment;
use crate::attack::noisy_neighbour::server_configs::SeawallExtras;
use crate::attack::runner::{Attacking, Runner};
use crate::attack::server::{ServerKind, aside};
use crate::pacing;
use anyhow::Context;
use seawall_admin_api::StatusReport;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Each attack, in little: so many connections at once, so many a second, for so many seconds.
const CONNECTIONS: &str = "400";
const SECONDS: &str = "1";
/// Timeout of one attack, and of the cleanup after all.
const ATTACK_WITHIN: Duration = Duration::from_secs(60);
const REST_WITHIN: Duration = Duration::from_secs(90);
/// Connections that are made at least.
const MADE: f64 = 10_000.0;
/// More memory than this is a leak: some 400 bytes of each.
const MORE_MIB: f64 = 4.0;
/// Number of samples, of which the least counts, since each sample is a connection too.
const LOOKS: usize = 20;
/// No connection to an origin is kept; and one client may make all of these connections.
const LIMITS: &str =
    "origins.keepalive_timeout = \"1ms\"\nconnections.connection_rate_per_client = 100_000\n";

/// Resources of the server without clients.
#[derive(Debug, Clone, Copy)]
struct ResourceUsage {
    files: f64,
    threads: f64,
    bytes: f64,
}

/// Runs the case and evaluates it.
///
/// # Errors
/// A program does not start or end, or the run is interrupted.
pub(super) fn judged(runner: &Runner<'_>) -> anyhow::Result<CaseOutcome> {
    let told = SeawallExtras { limits: LIMITS, ..SeawallExtras::default() };
    let mut ground = Environment::start(&runner.programs, ServerKind::Seawall, told)?;
    let socket = ground.socket();
    // What is made once, such as buffers, is made by the first round.
    let (_, before) = (round(runner, &ground)?, at_rest(&socket)?);
    let made = round(runner, &ground)?;
    let after = at_rest(&socket)?;
    ground.is_up()?;
    let panics = Some(admin_client::status(&socket)?.proxy.panics as f64);
    let mib = (after.bytes - before.bytes).max(0.0) / f64::from(1u32 << 20);
    Ok(CaseOutcome::Judged(vec![
        at_least("connections, and none left of them", Some(made), MADE),
        left("files", before.files, after.files),
        left("threads", before.threads, after.threads),
        at_most("memory more", Some(mib), (MORE_MIB, " MiB")),
        at_most("panics", panics, (0.0, "")),
    ]))
}

fn left(what: &str, before: f64, after: f64) -> CheckResult {
    CheckResult { text: format!("{what}: {before} before, {after} after"), kept: after <= before }
}

/// Runs every attack once; returns the number of connections.
fn round(runner: &Runner<'_>, ground: &Environment) -> anyhow::Result<f64> {
    let here =
        |promise: &&Expectation| matches!(promise.at, AttackTarget::Plain | AttackTarget::Tls);
    PROMISES.iter().filter(here).map(|promise| one(runner, ground, promise)).sum()
}

fn one(runner: &Runner<'_>, ground: &Environment, promise: &Expectation) -> anyhow::Result<f64> {
    let mut command = aside(&runner.programs.attack);
    command.args(["run", promise.scenario, "--host", ALICE, "--legit", "0"]);
    command.args(["--quiet", "1", "--recovery", "1", "--for", SECONDS]);
    command.args(["--connections", CONNECTIONS, "--rate", CONNECTIONS]);
    let origin = ground.origin(ALICE).to_string();
    command.args(["--origin", &origin]);
    let (at, tls) = match promise.at {
        AttackTarget::Tls => (ground.at.https, Some("--tls")),
        AttackTarget::Plain | AttackTarget::Namespace4 | AttackTarget::Namespace6 => {
            (ground.at.http, None)
        }
    };
    command.args(["--target", &at.to_string()]).args(tls);
    command.args(more(promise, &ground.file("seawall/root.wall"), &origin));
    let papers = (ground.file("attack.log"), ground.file("attack.json"));
    let report = Attacking::start(&mut command, papers)?.end(ATTACK_WITHIN, runner.interrupts)?;
    report.pointer("/attack/opened").and_then(Value::as_f64).context("connections that were made")
}

/// Returns additional arguments of a promise's attack; there are no visitors.
fn more(promise: &Expectation, policy: &Path, origin: &str) -> Vec<PathBuf> {
    let mut words = promise.arguments.iter();
    let mut more = Vec::new();
    while let Some(word) = words.next() {
        match *word {
            "--legit-host" => _ = words.next(),
            ORIGIN => more.push(origin.into()),
            POLICY => more.push(policy.to_path_buf()),
            other => more.push(other.into()),
        }
    }
    more
}

/// Waits until there are no clients, and returns the server's resources.
fn at_rest(socket: &Path) -> anyhow::Result<ResourceUsage> {
    let mut there = Vec::new();
    let rests = pacing::poll(REST_WITHIN, || {
        there = busy(&admin_client::status(socket)?);
        Ok(there.is_empty().then_some(()))
    })?;
    rests.with_context(|| format!("{} are still there", there.join(", ")))?;
    let look = || {
        let page = admin_client::ask(socket, "/metrics")?.0;
        let of = |name: &str| {
            let name = format!("process_{name}");
            admin_client::metric(&page, &name).with_context(|| format!("no {name}"))
        };
        let bytes = of("resident_memory_bytes")?;
        anyhow::Ok(ResourceUsage { files: of("open_fds")?, threads: of("threads")?, bytes })
    };
    (1..LOOKS).try_fold(look()?, |least, _| {
        let now = look()?;
        Ok(ResourceUsage {
            files: least.files.min(now.files),
            threads: least.threads.min(now.threads),
            bytes: least.bytes.min(now.bytes),
        })
    })
}

/// Returns gauges that are not at rest.
fn busy(status: &StatusReport) -> Vec<String> {
    let proxy = &status.proxy;
    let ours = [
        ("connections", proxy.connections.active),
        ("requests", proxy.requests.active),
        ("tarpits", proxy.tarpits.active),
    ];
    let told = |(gauge, number): (&str, u64), whose: &str| {
        (number > 0).then(|| format!("{number} {gauge}{whose}"))
    };
    let theirs = status.sites.iter().flat_map(|site| {
        let (of, whose) = (&site.traffic, format!(" of {}", site.name));
        let gauges = [
            ("connections", of.connections_active),
            ("requests", of.requests_active),
            ("uploads", of.uploads_active),
            ("tunnels", of.tunnels_active),
            ("queued requests", of.queue_length),
        ];
        gauges.into_iter().filter_map(move |gauge| told(gauge, &whose))
    });
    ours.into_iter().filter_map(|gauge| told(gauge, "")).chain(theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_admin_api::{SiteStatus, SiteTraffic};

    #[test]
    fn every_gauge_that_is_not_at_rest_is_told() {
        let of = |active: u64, queue_length: u64| {
            let traffic = SiteTraffic { queue_length, ..SiteTraffic::default() };
            let site = SiteStatus { name: "a.example".into(), traffic, ..SiteStatus::default() };
            let mut status = StatusReport { sites: vec![site], ..StatusReport::default() };
            status.proxy.connections.active = active;
            status
        };
        assert!(busy(&of(0, 0)).is_empty());
        assert_eq!(busy(&of(2, 1)), ["2 connections", "1 queued requests of a.example"]);
    }

    #[test]
    fn attacks_are_told_what_they_need_without_visitors() {
        let of = |name: &str| PROMISES.iter().find(|promise| promise.scenario == name).unwrap();
        let told = |name: &str| more(of(name), Path::new("/p"), "127.0.0.1:1");
        assert!(told("fd-exhaustion").is_empty() && told("slowloris").is_empty());
        assert_eq!(told("reload-storm"), ["--rewrite", "/p"].map(PathBuf::from));
        assert_eq!(told("origin-leak"), ["--secret", "127.0.0.1:1"].map(PathBuf::from));
    }
}
