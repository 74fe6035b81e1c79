//! `cargo xtask bench`: the criterion benches, in the profile of releases.

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
    let mut arguments = vec!["bench", "--package", "seawall-benches", "--profile", "dist"];
    arguments.extend(filter.map(|name| ["--", name]).into_iter().flatten());
    shell::show(&mut repo.cargo(&arguments))
}
