//! `cargo xtask rules`: builds `rules/` to components in `policies/wasm/`.

use crate::repo::Repo;
use crate::{command::setup, rules};
use anyhow::Context;

/// Builds the rules after making sure of their tools.
///
/// # Errors
/// A tool is missing and cannot be installed, or a rule does not build.
pub(crate) fn run(repo: &Repo) -> anyhow::Result<()> {
    setup::run()?;
    build(repo)
}

/// Builds the rules; those whose sources have not changed are only named.
///
/// # Errors
/// A rule does not build.
pub(crate) fn build(repo: &Repo) -> anyhow::Result<()> {
    let built = rules::build(repo.root(), &mut |line| println!("rules: {line}"))
        .context("building the rules")?;
    for rule in built {
        let age = if rule.fresh { "built" } else { "unchanged" };
        let path = rule.path.strip_prefix(repo.root()).unwrap_or(&rule.path).display();
        println!("rules: {} {age}, {} bytes, {path}", rule.name, rule.size);
    }
    Ok(())
}
