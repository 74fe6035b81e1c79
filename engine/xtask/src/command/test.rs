//! `cargo xtask test`: everything that must pass, the cheapest checks first.
//!
//! Doctests run before the rest, and the last line adds up all steps. Otherwise the last line could
//! be an empty step's `0 passed`, as if nothing had been tested.

use crate::command::{instruction_budget, rules, setup};
use crate::repo::Repo;
use crate::shell;
use anyhow::bail;
use std::process::Command;

/// The policies that we ship and that can stand alone. A check runs the tests in them.
const POLICIES: [&str; 5] = [
    "policies/baseline.wall",
    "policies/botnet-user-agent.wall",
    "policies/fingerprint.wall",
    "policies/path-shape.wall",
    "policies/query-entropy.wall",
];

/// Tests counted over all steps.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Takes in a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; …`.
    fn read(&mut self, line: &str) {
        let Some((_, counts)) =
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Runs all steps; stops at the first that fails.
///
/// # Errors
/// A step failed. The counts are printed before.
pub(crate) fn run(repo: &Repo) -> anyhow::Result<()> {
    let mut tally = Tally::default();
    let outcome = steps(repo, &mut tally);
    if let Err(error) = &outcome {
        eprintln!("test: {error:#}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if outcome.is_err() || tally.failed > 0 {
        bail!("not everything that must pass does");
    }
    Ok(())
}

fn steps(repo: &Repo, tally: &mut Tally) -> anyhow::Result<()> {
    step("tools");
    setup::run()?;
    step("format");
    shell::show(&mut repo.cargo(&["fmt", "--all", "--check"]))?;
    shell::show(&mut repo.cargo(&[
        "fmt",
        "--all",
        "--check",
        "--manifest-path",
        "rules/Cargo.toml",
    ]))?;
    step("rules to components");
    rules::build(repo)?;
    step("lints");
    let lints = ["clippy", "--workspace", "--all-targets"];
    let strict = ["--", "--deny", "warnings"];
    let in_rules = ["--manifest-path", "rules/Cargo.toml"];
    shell::show(repo.cargo(&lints).args(strict))?;
    shell::show(repo.cargo(&lints).args(in_rules).args(strict))?;
    step("examples in the documentation");
    let packages = ["--package", "seawall-rule", "--package", "seawall-policy"];
    count(repo.cargo(&["test", "--doc"]).args(packages), tally)?;
    step("rules, natively");
    count(&mut repo.cargo(&["test", "--workspace", "--manifest-path", "rules/Cargo.toml"]), tally)?;
    step("shipped policies");
    shell::show(&mut repo.cargo(&["build", "--package", "seawall"]))?;
    let seawall = repo.seawall("debug")?;
    for policy in POLICIES {
        let mut check = Command::new(&seawall);
        shell::show(check.current_dir(repo.root()).args(["check", policy]))?;
    }
    step("everything else");
    let mut tests =
        repo.cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    count(tests.env("SEAWALL_BIN", &seawall), tally)?;
    step("instructions of a decision");
    instruction_budget::run(repo)
}

fn step(name: &str) {
    println!("test: == {name}");
}

/// Runs a test command and adds up what it says.
fn count(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    let line = shell::line_of(command);
    if !shell::watch(command, |text| tally.read(text))? {
        bail!("`{line}` failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_of_all_steps_are_summed() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s",
            "12 passed; 9 failed",
        ] {
            tally.read(line);
        }
        assert_eq!(tally, Tally { passed: 16, failed: 2 });
    }
}
