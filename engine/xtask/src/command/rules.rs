//! `cargo xtask rules`: builds `rules/` to components in `policies/wasm/`.

use crate::repo::Repo;
use crate::{command::setup, rules, shell};
use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// Builds the rules after making sure of their tools.
///
/// # Errors
/// A tool is missing and cannot be installed, or a rule does not build.
pub(crate) fn run(repo: &Repo) -> anyhow::Result<()> {
    setup::run()?;
    build(repo)
}

/// Builds the rules in every language, and runs the component tests of all of them.
///
/// # Errors
/// A rule does not build, or does not pass.
pub(crate) fn all(repo: &Repo) -> anyhow::Result<()> {
    run(repo)?;
    shell::show(&mut repo.cargo(&["build", "--workspace"]))?;
    let seawall = repo.seawall("debug")?;
    for name in rules::names(repo.root())? {
        let component = repo.join(&format!("policies/wasm/{name}.wasm"));
        shell::show(rule(&seawall, "test", &repo.join("rules").join(&name)).arg(component))?;
    }
    let mut skipped = Vec::new();
    for script in rules::scripts(repo.root())? {
        if let Some(missing) = script.missing() {
            println!("rules: SKIPPED {script}: this machine has no {missing}");
            skipped.push(missing);
            continue;
        }
        println!("rules: {script}");
        shell::show(&mut rule(&seawall, "build", &script.folder))?;
        shell::show(&mut rule(&seawall, "test", &script.folder))?;
        let component = script.publish(repo.root())?;
        println!("rules: {script} is {}", component.display());
    }
    println!("rules: the ways of `seawall rule` in every language, with its tools");
    let mut tests =
        repo.cargo(&["test", "--workspace", "--test", "it", "--", "--test-threads=1", "scripts::"]);
    shell::show(tests.env("SEAWALL_BIN", &seawall).env("SEAWALL_RULES_ALL", "1"))?;
    println!(
        "rules: {} skipped{}",
        skipped.len(),
        if skipped.is_empty() { "" } else { ", see above" }
    );
    Ok(())
}

fn rule(seawall: &Path, word: &str, folder: &Path) -> Command {
    let mut command = Command::new(seawall);
    command.args(["rule", word]).current_dir(folder);
    command
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
