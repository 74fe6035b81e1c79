//! `cargo xtask bench load`: Seawall beside nginx, HAProxy and, where it is installed, Envoy.
//!
//! It measures processor time per request, latencies at a fixed rate, and memory per idle
//! connection. Each proxy has core 0 alone; origin and load generator share core 1. The proxies take
//! turns within each round, so that what else the machine does affects all of them. A missed target
//! is reported and is not an error: on a shared machine the figures of one run prove little.

mod constant_rate;
mod generator;
mod measure;
mod memory;
mod page;
mod proxy;
mod report;
mod statistics;
mod template;
mod testbed;
mod work;

use crate::attack::server::lacks;
use crate::command::run::interrupts;
use crate::command::setup;
use crate::repo::Repo;
use crate::shell;
use anyhow::{Context, bail, ensure};
use measure::{Measurement, Rounds};
use proxy::{PROXIES, ProxyKind};
use report::Setting;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use testbed::{Environment, LOAD_CORE};

/// Programs without which nothing is measured, with their Debian packages.
const TOOLS: [(&str, &str); 5] = [
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("nginx", "nginx-core"),
    ("openssl", "openssl"),
    ("taskset", "util-linux"),
];

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run 2 rounds of 1 s, to see whether it works. The figures are not reliable.
    #[arg(long)]
    quick: bool,
    /// Only the work with this name, or all works with this in their name.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Rounds of each work and proxy [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: Option<u64>,
    /// Seconds of each round [default: 4]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Measure this program instead of building one with the profile `dist`.
    #[arg(long, value_name = "PATH")]
    seawall: Option<PathBuf>,
}

impl Options {
    fn rounds(&self) -> Rounds {
        let (count, seconds) = if self.quick { (2, 1) } else { (5, 4) };
        Rounds { count: self.rounds.unwrap_or(count), seconds: self.seconds.unwrap_or(seconds) }
    }
}

/// Measures, prints the table, and writes JSON and the page.
///
/// # Errors
/// A program is missing, does not build or start, or a response has an unexpected status.
pub(crate) fn run(repo: &Repo, options: &Options) -> anyhow::Result<()> {
    let works = work::chosen(options.only.as_deref());
    if works.is_empty() {
        let names: Vec<&str> = work::WORKS.iter().map(|work| work.name).collect();
        bail!(
            "no work has `{}` in its name; there are: {}",
            options.only.as_deref().unwrap_or_default(),
            names.join(", ")
        );
    }
    if let Some(lack) = lacks(&TOOLS) {
        bail!("cannot measure: {lack}");
    }
    let seawall = seawall(repo, options)?;
    let interrupts = interrupts()?;
    let environment = Environment {
        templates: repo.join("benches/load"),
        proxies: proxies(&seawall),
        nginx: shell::find("nginx").context("nginx is not on the path")?,
        interrupts: &interrupts,
    };
    let missing = missing(&environment);
    for peer in &missing {
        println!("bench: {peer} is not installed, so it is not measured");
    }
    pin_to_load_core()?;
    let rounds = options.rounds();
    let load_before = load_average();
    let mut measurement = Measurement::new(&environment, rounds);
    measurement.run(&works)?;
    let setting = Setting {
        machine: machine(),
        load_before,
        load_after: load_average(),
        programs: programs(&environment),
        missing,
        rounds: rounds.count,
        seconds: rounds.seconds,
    };
    save(repo, &setting, &measurement)
}

/// Returns the program to measure.
fn seawall(repo: &Repo, options: &Options) -> anyhow::Result<PathBuf> {
    if let Some(path) = &options.seawall {
        let found = path.canonicalize().with_context(|| format!("--seawall {}", path.display()))?;
        ensure!(found.is_file(), "--seawall {} is not a file", path.display());
        return Ok(found);
    }
    setup::run()?;
    println!("bench: building with fat LTO, as releases are; this takes minutes the first time");
    shell::show(&mut repo.cargo(&["build", "--package", "seawall", "--profile", "dist"]))?;
    repo.seawall("dist")
}

/// Returns the proxies that are there, with their programs.
fn proxies(seawall: &Path) -> Vec<(ProxyKind, PathBuf)> {
    PROXIES.into_iter().filter_map(|kind| Some((kind, kind.program(seawall)?))).collect()
}

fn missing(environment: &Environment<'_>) -> Vec<&'static str> {
    let is_there = |kind: &ProxyKind| environment.proxies.iter().any(|(known, _)| known == kind);
    PROXIES.iter().filter(|kind| !is_there(kind)).map(|kind| kind.name()).collect()
}

/// Moves this process to the core of the load: its own clients belong there.
fn pin_to_load_core() -> anyhow::Result<()> {
    let own = std::process::id().to_string();
    shell::quiet(Command::new("taskset").args(["-a", "-p", "-c", LOAD_CORE, &own])).map(drop)
}

/// Returns the names and versions of what took part.
fn programs(environment: &Environment<'_>) -> Vec<(String, String)> {
    let all = environment.proxies.iter();
    all.map(|(kind, program)| {
        let version = kind.version(program).unwrap_or_else(|| "of unknown version".to_owned());
        (kind.name().to_owned(), version)
    })
    .collect()
}

/// Returns the load averages over 1, 5 and 15 minutes.
fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Returns what the system reports about the machine.
fn machine() -> Value {
    let line = |file: &str, start: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let rest = text.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned);
        rest.map_or_else(
            || "unknown".to_owned(),
            |rest| rest.trim_start_matches([' ', '\t', ':']).to_owned(),
        )
    };
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    json!({
        "processor": line("/proc/cpuinfo", "model name"),
        "cores": cores.lines().filter(|line| line.starts_with("processor")).count(),
        "memory": line("/proc/meminfo", "MemTotal:"),
        "kernel": line("/proc/sys/kernel/osrelease", ""),
    })
}

/// Prints the table, and writes JSON and the page.
fn save(repo: &Repo, setting: &Setting, measurement: &Measurement<'_>) -> anyhow::Result<()> {
    let figures = &measurement.figures;
    let (met, all) = report::met(figures);
    println!("{}\n{}\n\n{met} of {all} targets are met", report::table(figures), setting.line());
    let text = serde_json::to_string_pretty(&report::json(setting, figures))?;
    let files = [
        (repo.target_dir()?.join("bench-load.json"), text + "\n"),
        (repo.join("benches/report/index.html"), page::page(setting, figures)),
    ];
    for (path, text) in files {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("bench: wrote {}", path.display());
    }
    Ok(())
}
