//! Lines of the languages of other tools: each is accepted, or rejected with a helpful diagnostic.
//!
//! The lines are in `corpus/elsewhere/lines.tsv`. A diagnostic about the line must contain the
//! words of the table in its message, label, help or change.

use std::collections::BTreeMap;
use std::path::Path;

use seawall_ruleset::{Diagnostic, MemoryStore, RuleSetBuilder, Severity};

use crate::corpus::{assemble, workshop};

/// A line, and what is to be said of it.
struct Row {
    tool: String,
    place: String,
    line: String,
    expected: String,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/elsewhere/lines.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("# "))
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), 4, "{line}");
            let [tool, place, line, expected] = [0, 1, 2, 3].map(|at| cells[at].to_owned());
            Row { tool, place, line, expected }
        })
        .collect()
}

/// The policy around a line.
fn policy(row: &Row) -> String {
    let line = &row.line;
    match &*row.place {
        "c" => {
            format!("policy 1\nfloor {{\n  rule a {{\n    when {line}\n    then block\n  }}\n}}\n")
        }
        "a" => format!(
            "policy 1\ndefaults {{\n  rule a {{\n    when true\n    then {line}\n  }}\n}}\n"
        ),
        "s" => format!("policy 1\ndefaults {{\n  {line}\n}}\n"),
        "t" => format!("policy 1\n{line}\n"),
        place => panic!("no place {place}"),
    }
}

/// Everything that a complaint says.
fn says(said: &Diagnostic) -> String {
    let fixes: Vec<&str> = said.fixes.iter().map(|fix| fix.replacement.as_str()).collect();
    let help = said.help.as_deref().unwrap_or_default();
    format!("{} | {} | {help} | {}", said.message, said.label, fixes.join(", "))
}

/// The errors about a line; none where it is read.
fn errors(workshop: &RuleSetBuilder, row: &Row) -> Vec<String> {
    let assembly = assemble(workshop, &MemoryStore::default().with("root.wall", policy(row)));
    let errors = assembly.diagnostics.iter().filter(|said| said.severity == Severity::Error);
    errors.map(says).collect()
}

#[test]
fn what_is_refused_is_refused_with_help() {
    let workshop = workshop();
    let rows = rows();
    let (mut accepted, mut helped) = (0_usize, 0_usize);
    let mut wrong = Vec::new();
    let mut tools: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        *tools.entry(row.tool.clone()).or_default() += 1;
        let errors = errors(&workshop, row);
        let (is_accepted, meant) = (errors.is_empty(), row.expected == "accepted");
        accepted += usize::from(is_accepted);
        let has_help = errors.iter().any(|said| said.contains(&row.expected));
        helped += usize::from(!is_accepted && has_help);
        if is_accepted != meant || !(meant || has_help) {
            let Row { tool, line, expected, .. } = row;
            wrong.push(format!("{tool}: {line}\n  wants {expected}\n  {}", errors.join("\n  ")));
        }
    }
    let refused = rows.len() - accepted;
    let counts = format!("{accepted} accepted, {refused} refused, {helped} of them with help");
    println!("{} lines: {counts}", rows.len());
    assert!(
        wrong.is_empty(),
        "{counts}; {} are not as the table says:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(rows.len() >= 150 && tools.len() >= 8, "{} lines of {tools:?}", rows.len());
    assert!(helped * 100 >= refused * 95, "{counts}");
}
