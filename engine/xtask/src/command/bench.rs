//! `cargo xtask bench`: the benches, in the profile of releases; with `--peers`, Seawall beside other
//! engines.

use crate::command::{rules, setup};
use crate::repo::Repo;
use crate::shell;

/// Runs the benches whose name contains `filter`, or all.
///
/// # Errors
/// A bench does not build or fails.
pub(crate) fn run(repo: &Repo, filter: Option<&str>) -> anyhow::Result<()> {
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
pub(crate) fn peers(repo: &Repo) -> anyhow::Result<()> {
    setup::run()?;
    println!("bench: building the other engines too; this takes minutes the first time");
    let manifest = "benches/peers/Cargo.toml";
    shell::show(&mut repo.cargo(&["run", "--release", "--manifest-path", manifest]))
}
