//! `cargo xtask attack`: runs every promise about attacks against a new Seawall, evaluates it, and
//! prints a table.
//!
//! It attacks loopback and network namespaces that `seawall-attack` creates itself. For the two
//! promises about bans Seawall listens on all of the machine's addresses for some ten seconds.

use crate::attack::evaluate::BaselineCost;
use crate::attack::expectation::Expectation;
use crate::attack::expectations::PROMISES;
use crate::attack::fault_injection;
use crate::attack::noisy_neighbour::{self, NoisyNeighbour};
use crate::attack::rejection_throughput::{self, RejectionThroughput};
use crate::attack::report_table;
use crate::attack::runner::{Outcome, Runner, compares, write};
use crate::attack::testbed::Programs;
use crate::command::run::interrupts;
use crate::command::setup;
use crate::repo::Repo;
use crate::shell;
use anyhow::{Context, bail, ensure};
use std::path::PathBuf;

/// Names of the comparisons with other servers: of rejections, and of an attack on others.
const DENIAL: &str = "denial";
const NEIGHBOURS: &str = "neighbours";

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only what contains this: a scenario's name or part of it, `neighbours`, `denial`,
    /// `operations` or the name of one of these.
    filter: Option<String>,
    /// Seconds of each attack, if longer than its promise needs.
    #[arg(long = "for", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Build with the profile of releases (fat LTO): slower, for figures to publish.
    #[arg(long)]
    dist: bool,
    /// Keep each result in this folder, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write the table here too.
    #[arg(long)]
    markdown: Option<PathBuf>,
}

/// Tries the promises that are asked for, and prints the table.
///
/// # Errors
/// Something does not build or start, or a promise is broken.
pub(crate) fn run(repo: &Repo, options: &Options) -> anyhow::Result<()> {
    let part = options.filter.as_deref().unwrap_or_default();
    let chosen = chosen(part)?;
    setup::run()?;
    if let Some(dir) = &options.json {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let programs = build(repo, options.profile())?;
    let interrupts = interrupts()?;
    let keep = options.json.clone();
    let runner = Runner { programs, interrupts: &interrupts, seconds: options.seconds, keep };
    let (rows, honest) = try_all(&runner, &chosen)?;
    let operations = fault_injection::run(&runner, &fault_injection::chosen(part))?;
    let neighbours =
        NEIGHBOURS.contains(part).then(|| noisy_neighbour::run(&runner)).transpose()?;
    let denial = DENIAL.contains(part);
    let denial = denial
        .then(|| rejection_throughput::run(&runner.programs.seawall, &interrupts))
        .transpose()?;
    let mut parts = promised(&rows, honest);
    parts.extend(operations.table());
    parts.extend(neighbours.as_ref().map(NoisyNeighbour::table));
    parts.extend(denial.as_ref().map(RejectionThroughput::table));
    let text = parts.join("\n\n");
    let text = format!("{text}\n\n{}, profile `{}`.", report_table::machine(), options.profile());
    println!("\n{text}");
    if let Some(path) = &options.markdown {
        write(path, &text)?;
    }
    let of_promises = (rows.iter().filter(|(_, outcome)| outcome.is_broken()).count(), rows.len());
    let of_neighbours = neighbours.as_ref().map_or((0, 0), NoisyNeighbour::broken);
    let of_denial = denial.as_ref().map_or((0, 0), RejectionThroughput::broken);
    let (broken, all) = [of_promises, operations.broken(), of_neighbours, of_denial]
        .into_iter()
        .fold((0usize, 0usize), |sum, of| (sum.0.saturating_add(of.0), sum.1.saturating_add(of.1)));
    ensure!(broken == 0, "{broken} of {all} promises broken");
    Ok(())
}

/// Returns the promises whose name contains `part`; none where only something else was asked for.
fn chosen(part: &str) -> anyhow::Result<Vec<&'static Expectation>> {
    let chosen: Vec<_> =
        PROMISES.iter().filter(|promise| promise.scenario.contains(part)).collect();
    let others = [DENIAL, NEIGHBOURS].iter().any(|other| other.contains(part));
    if chosen.is_empty() && !others && fault_injection::chosen(part).is_empty() {
        let mut all = vec![DENIAL, NEIGHBOURS];
        all.extend(fault_injection::names());
        all.extend(PROMISES.iter().map(|promise| promise.scenario));
        bail!("no promise has `{part}` in its name; there are: {}", all.join(", "));
    }
    Ok(chosen)
}

impl Options {
    fn profile(&self) -> &'static str {
        if self.dist { "dist" } else { "release" }
    }
}

fn build(repo: &Repo, profile: &str) -> anyhow::Result<Programs> {
    println!("attack: building seawall and seawall-attack (the first time takes several minutes)");
    let programs = ["--bin", "seawall", "--bin", "seawall-attack"];
    shell::show(repo.cargo(&["build", "--workspace", "--profile", profile]).args(programs))?;
    let seawall = repo.seawall(profile)?;
    let attack = seawall.with_file_name("seawall-attack");
    Ok(Programs { seawall, attack })
}

type Rows = Vec<(&'static Expectation, Outcome)>;

fn try_all(
    runner: &Runner<'_>,
    chosen: &[&'static Expectation],
) -> anyhow::Result<(Rows, Option<BaselineCost>)> {
    let honest = chosen.iter().any(|promise| compares(promise));
    let honest = honest.then(|| runner.honest()).transpose().context("honest connections")?;
    let mut rows = Vec::new();
    for promise in chosen {
        let outcome = runner.try_one(promise, honest)?;
        println!("attack: {}", report_table::row(promise, &outcome));
        rows.push((*promise, outcome));
    }
    Ok((rows, honest))
}

/// Returns the evaluated promises, in the form of a page.
fn promised(rows: &Rows, honest: Option<BaselineCost>) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let lines = rows.iter().map(|(promise, outcome)| report_table::row(promise, outcome));
    let table = format!("{}\n{}", report_table::HEAD, lines.collect::<Vec<_>>().join("\n"));
    vec![table, report_table::foot(rows, honest)]
}
