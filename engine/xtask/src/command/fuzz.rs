//! `cargo xtask fuzz`: every target of `tests/fuzz` for a bounded time.
//!
//! cargo-fuzz wants a nightly compiler for its sanitizer flags; `RUSTC_BOOTSTRAP` lets the stable
//! one that builds everything else take them, so there is no second tool chain to keep.

use crate::repo::Repo;
use crate::shell;
use anyhow::{Context, bail};
use std::path::PathBuf;

/// Fuzzes each target whose name contains `filter` for `seconds`.
///
/// # Errors
/// There is no target, no cargo-fuzz, or a target finds something.
pub(crate) fn run(repo: &Repo, seconds: u32, filter: Option<&str>) -> anyhow::Result<()> {
    let targets = targets(repo, filter.unwrap_or_default())?;
    if shell::find("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is not installed; `cargo install cargo-fuzz` brings it");
    }
    for target in targets {
        println!("fuzz: {target} for {seconds} s");
        let time = format!("-max_total_time={seconds}");
        // What it grows is kept in the first folder; the seeds are only read.
        let grown = repo.join("tests/fuzz/corpus").join(&target);
        std::fs::create_dir_all(&grown).context("making tests/fuzz/corpus")?;
        let mut cargo = repo.cargo(&["fuzz", "run", "--fuzz-dir", "tests/fuzz", &target]);
        cargo.args([grown, seeds(repo, &target)]).args(["--", &time]);
        shell::show(cargo.env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

/// Returns where the seeds of a target lie: those that read policies share theirs.
fn seeds(repo: &Repo, target: &str) -> PathBuf {
    let seeds = repo.join("tests/fuzz/seeds");
    let own = seeds.join(target);
    if own.is_dir() { own } else { seeds.join("policy") }
}

/// Returns the names of the targets, in order.
fn targets(repo: &Repo, filter: &str) -> anyhow::Result<Vec<String>> {
    let dir = repo.join("tests/fuzz/fuzz_targets");
    if !dir.is_dir() {
        bail!("this version has no fuzz targets (there is no tests/fuzz/fuzz_targets)");
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).context("reading tests/fuzz/fuzz_targets")? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|end| end == "rs") && name.contains(filter) {
            names.push(name);
        }
    }
    if names.is_empty() {
        bail!("no fuzz target has `{filter}` in its name");
    }
    names.sort();
    Ok(names)
}
