//! `cargo xtask bench`: the benches, in the profile of releases; with `--peers`, Seawall beside other
//! engines; with `load`, Seawall beside other proxies.

mod load;

use crate::command::{rules, setup};
use crate::repo::Repo;
use crate::shell;

/// What was typed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    comparison: Option<Comparison>,
    /// Evaluate the same rules with other engines instead.
    #[arg(long, conflicts_with = "filter")]
    peers: bool,
    /// Only benches whose name contains this.
    filter: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Comparison {
    /// Forward and reject requests beside nginx and HAProxy, under load.
    Load(load::Options),
}

/// Runs what was typed.
///
/// # Errors
/// Something does not build, or fails.
pub(crate) fn run(repo: &Repo, options: &Options) -> anyhow::Result<()> {
    match options {
        Options { comparison: Some(Comparison::Load(options)), .. } => load::run(repo, options),
        Options { peers: true, .. } => peers(repo),
        Options { filter, .. } => benches(repo, filter.as_deref()),
    }
}

/// Runs the benches whose name contains `filter`, or all.
///
/// # Errors
/// A bench does not build or fails.
fn benches(repo: &Repo, filter: Option<&str>) -> anyhow::Result<()> {
    setup::run()?;
    rules::build(repo)?;
    println!("bench: building with fat LTO, as releases are; this takes a while the first time");
    // One of them drives the program itself.
    shell::show(&mut repo.cargo(&["build", "--package", "seawall", "--profile", "dist"]))?;
    let seawall = repo.seawall("dist")?;
    // The tables have theirs beside the others, in the package that they are in.
    let packages = ["--package", "seawall-benches", "--package", "seawall-state"];
    let mut arguments =
        ["bench", "--profile", "dist"].into_iter().chain(packages).collect::<Vec<_>>();
    arguments.extend(filter.map(|name| ["--", name]).into_iter().flatten());
    shell::show(repo.cargo(&arguments).env("SEAWALL_BIN", seawall))
}

/// Evaluates the same rules by Seawall and by other engines, and writes `benches/report/`.
///
/// # Errors
/// The engines do not build, or do not agree.
fn peers(repo: &Repo) -> anyhow::Result<()> {
    setup::run()?;
    println!("bench: building the other engines too; this takes minutes the first time");
    let manifest = "benches/peers/Cargo.toml";
    shell::show(&mut repo.cargo(&["run", "--release", "--manifest-path", manifest]))
}
