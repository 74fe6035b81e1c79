//! Instruction counts of a decision, compared with `benches/instructions.txt`.
//!
//! Times differ from run to run; instructions under callgrind do not, so a budget of them can fail
//! a build. Each scene runs twice with different numbers of rounds: the difference is the cost of
//! the rounds. Without valgrind it reports how many scenes were not counted.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::repo::Repo;
use crate::shell;

/// Rounds of the two runs of a scene.
const ROUNDS: [u64; 2] = [500, 1_500];

/// A scene and the most instructions that one of its rounds may take.
#[derive(Debug, PartialEq, Eq)]
struct Budget {
    scene: String,
    most: u64,
}

/// Counts every scene.
///
/// # Errors
/// A scene takes more than its budget; all are counted first.
pub(crate) fn run(repo: &Repo) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(repo.join("benches/instructions.txt"))
        .context("reading benches/instructions.txt")?;
    let budgets = budgets(&text)?;
    if shell::find("valgrind").is_none() {
        println!("test: skipped {} scenes: valgrind is not installed", budgets.len());
        return Ok(());
    }
    let program = program(repo)?;
    let mut over = Vec::new();
    for budget in &budgets {
        let [few, many] = ROUNDS.map(|rounds| count(&program, &budget.scene, rounds));
        let rounds = ROUNDS[1].saturating_sub(ROUNDS[0]);
        let took = many?.saturating_sub(few?).checked_div(rounds).unwrap_or(0);
        println!("test: {:<16} {took:>6} instructions of {}", budget.scene, budget.most);
        // A scene that does nothing would stay within any budget.
        if took > budget.most || took.saturating_mul(2) < budget.most {
            over.push(format!("{}: {took} instructions, budget {}", budget.scene, budget.most));
        }
    }
    if !over.is_empty() {
        bail!("beyond its budget, or below half of it:\n    {}", over.join("\n    "));
    }
    Ok(())
}

/// Returns the lines of the file: a scene and a number each, `#` for comments.
fn budgets(text: &str) -> anyhow::Result<Vec<Budget>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let parse = |line: &str| {
        let (scene, most) = line.split_once(char::is_whitespace)?;
        Some(Budget { scene: scene.to_owned(), most: most.trim().parse().ok()? })
    };
    lines
        .filter(|line| !line.is_empty())
        .map(|line| parse(line).with_context(|| format!("`{line}` is no scene and its budget")))
        .collect()
}

/// Returns the program that runs scenes, built as tests are.
fn program(repo: &Repo) -> anyhow::Result<PathBuf> {
    let build = ["build", "--workspace", "--bench", "counts", "--message-format=json"];
    let said = shell::quiet(&mut repo.cargo(&build))?;
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let name = message.get("target")?.get("name")?.as_str()?;
        (name == "counts").then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    };
    said.lines().find_map(executable).context("cargo built no `counts`")
}

fn count(program: &Path, scene: &str, rounds: u64) -> anyhow::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let output = valgrind.arg(program).args([scene, &rounds.to_string()]).output();
    let said = output.context("starting valgrind")?;
    let text = String::from_utf8_lossy(&said.stderr);
    if !said.status.success() {
        bail!("`{scene}` ended with {}", said.status);
    }
    collected(&text).with_context(|| format!("callgrind counted nothing for `{scene}`"))
}

/// Returns the number behind `Collected :`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_and_counts_are_read() {
        let read = budgets("# rules\nbenign-100  2100 # one agent\n\n").unwrap();
        assert_eq!(read, [Budget { scene: "benign-100".to_owned(), most: 2_100 }]);
        assert!(budgets("benign").is_err());
        assert_eq!(collected("==1== Events    : Ir\n==1== Collected : 338059\n"), Some(338_059));
        assert_eq!(collected("nothing"), None);
    }
}
