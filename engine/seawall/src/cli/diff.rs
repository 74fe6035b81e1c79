//! The differences of two policies, as text and as JSON.

use seawall_model::shown;
use seawall_ruleset::{Change, ClauseChange, FileChange, How, LineChange, PolicyDiff};
use serde_json::{Value, json};

/// One or more lines for each difference. Text of members, such as a test name, adds no line break.
pub(super) fn lines(of: &PolicyDiff) -> Vec<String> {
    let changes = of.changes.iter().flat_map(change_lines);
    let all = changes.chain(of.files.iter().flat_map(file_lines));
    all.map(|line| shown::one_line(&line).into_owned()).collect()
}

fn change_lines(Change { kind, name, how }: &Change) -> Vec<String> {
    match how {
        How::Added(text) => vec![format!("+ {kind} {name}: {text}")],
        How::Removed(text) => vec![format!("- {kind} {name}: {text}")],
        How::Moved(Some(behind)) => vec![format!("> {kind} {name}: now after {behind}")],
        How::Moved(None) => vec![format!("> {kind} {name}: now first")],
        How::Changed(clauses) => {
            let head = format!("~ {kind} {name}");
            std::iter::once(head).chain(clauses.iter().flat_map(clause_lines)).collect()
        }
    }
}

fn clause_lines(ClauseChange { word, before, after }: &ClauseChange) -> Vec<String> {
    let side = |sign, text: &str| format!("    {sign} {}", format!("{word} {text}").trim());
    if before == after {
        let text = after.as_deref().unwrap_or_default();
        return vec![format!("{}  (a name in it has another meaning)", side("~", text))];
    }
    let side = |sign, text: &Option<Box<str>>| text.as_deref().map(|text| side(sign, text));
    side("-", before).into_iter().chain(side("+", after)).collect()
}

fn file_lines(FileChange { path, lines }: &FileChange) -> Vec<String> {
    let LineChange::List { added, removed } = lines else {
        return vec![format!("~ file {path}")];
    };
    let head = format!("~ file {path}: {} entries added, {} removed", added.0, removed.0);
    let side = |sign, (count, first): &(usize, Vec<Box<str>>)| {
        let mut lines: Vec<String> =
            first.iter().map(|element| format!("    {sign} {element}")).collect();
        match count.saturating_sub(first.len()) {
            0 => {}
            more => lines.push(format!("    {sign} and {more} more")),
        }
        lines
    };
    std::iter::once(head).chain(side('+', added)).chain(side('-', removed)).collect()
}

/// The differences as JSON.
pub(super) fn as_json(of: &PolicyDiff) -> Value {
    json!({
        "changes": of.changes.iter().map(change_json).collect::<Vec<_>>(),
        "files": of.files.iter().map(file_json).collect::<Vec<_>>(),
    })
}

fn change_json(Change { kind, name, how }: &Change) -> Value {
    let mut value = match how {
        How::Added(text) => json!({ "how": "added", "text": text }),
        How::Removed(text) => json!({ "how": "removed", "text": text }),
        How::Moved(behind) => json!({ "how": "moved", "behind": behind }),
        How::Changed(clauses) => {
            let clause = |of: &ClauseChange| json!({ "clause": of.word, "before": of.before, "after": of.after });
            json!({ "how": "changed", "clauses": clauses.iter().map(clause).collect::<Vec<_>>() })
        }
    };
    if let Some(object) = value.as_object_mut() {
        object.insert("kind".to_owned(), json!(kind));
        object.insert("name".to_owned(), json!(name));
    }
    value
}

fn file_json(FileChange { path, lines }: &FileChange) -> Value {
    match lines {
        LineChange::Bytes => json!({ "path": path }),
        LineChange::List { added, removed } => json!({
            "path": path,
            "added": added.0,
            "removed": removed.0,
            "first_added": added.1,
            "first_removed": removed.1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_listed_rule_by_rule() {
        let change = |how| Change { kind: "rule", name: "floor.a".into(), how };
        let clause = |before: Option<&str>, after: Option<&str>| ClauseChange {
            word: "then",
            before: before.map(Box::from),
            after: after.map(Box::from),
        };
        let list =
            LineChange::List { added: (7, vec!["192.0.2.0/24".into()]), removed: (0, Vec::new()) };
        let of = PolicyDiff {
            changes: vec![
                change(How::Removed("when true then drop".into())),
                change(How::Changed(vec![
                    clause(Some("block"), Some("drop")),
                    clause(None, Some("log")),
                    clause(Some("block 429"), Some("block 429")),
                ])),
                change(How::Moved(None)),
            ],
            files: vec![FileChange { path: "lists/a.txt".into(), lines: list }],
        };
        assert_eq!(
            lines(&of),
            [
                "- rule floor.a: when true then drop",
                "~ rule floor.a",
                "    - then block",
                "    + then drop",
                "    + then log",
                "    ~ then block 429  (a name in it has another meaning)",
                "> rule floor.a: now first",
                "~ file lists/a.txt: 7 entries added, 0 removed",
                "    + 192.0.2.0/24",
                "    + and 6 more",
            ]
        );
        let json = as_json(&of);
        assert_eq!(json["changes"][1]["clauses"][0]["after"], "drop");
        assert_eq!(
            (&json["files"][0]["added"], &json["changes"][2]["how"]),
            (&json!(7), &json!("moved"))
        );
    }
}
