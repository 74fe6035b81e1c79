//! The files for Prometheus and Grafana.
//!
//! Each name of a metric, each label and each known value of a label in them must exist. An old
//! name is reported with the new one, from the table in the manual.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::metrics::{REASONS, family_of, manual, repository};

const ALERTS: &str = "packaging/prometheus/alerts.yml";
const DASHBOARD: &str = "packaging/grafana/seawall.json";
/// Metrics of others: of Prometheus itself and of the node exporter.
const OTHERS: [&str; 3] = ["up", "node_textfile_mtime_seconds", "ALERTS"];
/// Words of PromQL that are no names of metrics.
const WORDS: &[&str] = &[
    "abs",
    "absent",
    "and",
    "by",
    "changes",
    "clamp_min",
    "histogram_quantile",
    "ignoring",
    "increase",
    "label_values",
    "max",
    "max_over_time",
    "min",
    "offset",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "vector",
    "without",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The old name of each metric with what it is called now.
fn renamed() -> Vec<(String, String)> {
    let manual = manual();
    let table = manual.split("\n## Old names\n").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = rows.map(|(old, new)| (old.to_owned(), new.trim_end_matches(" |").to_owned()));
    rows.collect()
}

/// The words of an expression, each with the part in braces behind it.
fn names(expression: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = expression;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    while let Some(start) = rest.find(|c: char| is_word(c) || matches!(c, '"' | '[' | '{')) {
        rest = &rest[start..];
        let Some(first) = rest.chars().next() else { break };
        if !is_word(first) {
            // A text, a range, or the part in braces behind another bracket.
            let close = match first {
                '"' => '"',
                '[' => ']',
                _ => '}',
            };
            let end = rest[1..].find(close).map_or(rest.len(), |end| end + 2);
            rest = &rest[end..];
            continue;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let braces = behind.strip_prefix('{').and_then(|braces| braces.split_once('}'));
        rest = braces.map_or(behind, |(_, behind)| behind);
        // Labels behind `by` and the like are looked at with the names.
        let labels = braces.map_or("", |(labels, _)| labels);
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            found.push((word.to_owned(), labels.to_owned()));
        }
        let groups = ["by", "without", "on", "ignoring"];
        if groups.contains(&word)
            && let Some((labels, behind)) =
                rest.trim_start().strip_prefix('(').and_then(|rest| rest.split_once(')'))
        {
            found.push((word.to_owned(), labels.to_owned()));
            rest = behind;
        }
    }
    found
}

/// What is wrong with a matcher of a metric's series, as `label="value"`.
fn wrong_matcher(name: &str, matcher: &str) -> Option<String> {
    let family = family_of(name)?;
    let (label, value) = matcher.split_once(['=', '!'])?;
    let label = label.trim();
    if !family.labels.contains(&label) && !["le", "job", "instance"].contains(&label) {
        return Some(format!("{name} has no label {label}"));
    }
    let (_, reasons) = REASONS.iter().find(|(metric, _)| *metric == family.name)?;
    let texts = value.split('"').nth(1)?.split('|');
    let is_known = |text: &str| reasons.iter().any(|(reason, _)| *reason == text);
    let is_free = ["site", "job", "instance"].contains(&label) || value.contains('$');
    let mut unknown = texts.filter(|text| !is_free && !is_known(text));
    unknown.next().map(|text| format!("{name} has no {label} {text}"))
}

/// What is wrong with an expression.
fn wrong(expression: &str) -> Vec<String> {
    let (mut complaints, mut labels) = (Vec::new(), vec!["le", "job", "instance", "file"]);
    let words = names(expression);
    let mut is_ours = false;
    for (word, matchers) in &words {
        let is_known = WORDS.contains(&word.as_str()) || OTHERS.contains(&word.as_str());
        // The label that a variable of a dashboard stands for comes behind its metric.
        if is_known || labels.contains(&word.as_str()) {
            continue;
        }
        let Some(family) = family_of(word) else {
            let old = renamed().into_iter().find(|(old, _)| old == word);
            complaints.push(match old {
                Some((_, new)) => format!("{word} is called {new} now"),
                None => format!("there is no metric {word}"),
            });
            continue;
        };
        is_ours = true;
        labels.extend(family.labels);
        complaints.extend(matchers.split(',').filter_map(|of| wrong_matcher(word, of)));
    }
    let groups = words.iter().filter(|(word, _)| ["by", "without", "on"].contains(&word.as_str()));
    for label in groups.flat_map(|(_, of)| of.split(',').map(str::trim)) {
        if is_ours && !label.is_empty() && !labels.contains(&label) {
            complaints.push(format!("no metric of `{expression}` has the label {label}"));
        }
    }
    complaints
}

#[test]
fn what_is_wrong_in_an_expression_is_found() {
    let fine = "sum by (reason) (rate(seawall_connections_rejected_total{reason=~\"banned|overload\"}[5m]))";
    assert_eq!(wrong(fine), Vec::<String>::new());
    assert_eq!(wrong("time() - process_start_time_seconds > 5 and up"), Vec::<String>::new());
    for (expression, part) in [
        ("rate(seawall_edge_accepted_total[5m])", "is called `seawall_connections_total` now"),
        ("seawall_never_total", "there is no metric seawall_never_total"),
        ("seawall_panics_total{site=\"a\"}", "has no label site"),
        ("seawall_connections_rejected_total{reason=\"late\"}", "has no reason late"),
        ("sum by (origin) (seawall_site_weight)", "has the label origin"),
        ("seawall_http_request_duration_seconds", "there is no metric"),
    ] {
        let complaints = wrong(expression);
        assert!(complaints.iter().any(|it| it.contains(part)), "{expression}: {complaints:?}");
    }
}

#[test]
fn alerts_ask_for_what_there_is() {
    let text = read(ALERTS);
    let expressions: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 12, "{expressions:?}");
    let alerts = text.lines().filter(|line| line.trim().starts_with("- alert: ")).count();
    assert_eq!(alerts, expressions.len(), "each alert has its expression on one line");
    let summaries = text.lines().filter(|line| line.trim().starts_with("summary: ")).count();
    assert_eq!(alerts, summaries, "each alert says what it is");
    let complaints: Vec<String> = expressions.iter().flat_map(|it| wrong(it)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    for alert in text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(manual().contains(&format!("| `{alert}` |")), "the manual lacks {alert}");
    }
}

/// What is to be said where Prometheus' own tool is not here.
const NO_TOOL: &str = "not looked at: there is no promtool here";

/// Has Prometheus' own tool read rules; says whether it is here.
fn check_rules(file: &Path) -> bool {
    let tool = Command::new("promtool").args(["check", "rules"]).arg(file).output();
    let Ok(said) = tool else { return false };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    true
}

#[test]
fn prometheus_own_tool_takes_the_alerts() {
    if !check_rules(&repository().join(ALERTS)) {
        println!("{NO_TOOL}");
    }
}

/// All texts under a name, wherever they stand.
fn texts<'v>(of: &'v Value, name: &str, found: &mut Vec<&'v str>) {
    match of {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str() {
                    Some(text) if key == name => found.push(text),
                    _ => texts(value, name, found),
                }
            }
        }
        Value::Array(entries) => entries.iter().for_each(|entry| texts(entry, name, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let (mut expressions, mut queries) = (Vec::new(), Vec::new());
    texts(&dashboard, "expr", &mut expressions);
    texts(&dashboard, "query", &mut queries);
    assert!(expressions.len() >= 20, "{expressions:?}");
    let all = expressions.iter().chain(queries.iter().filter(|query| query.contains("seawall_")));
    let complaints: Vec<String> = all.flat_map(|it| wrong(it)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    // Each expression is taken for a rule, since nothing else reads the language.
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (nth, expression) in expressions.iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace('\'', "''");
        rules += &format!("      - record: panel:{nth}\n        expr: '{expression}'\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    std::fs::write(&file, rules).unwrap();
    if !check_rules(&file) {
        println!("{NO_TOOL}");
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> =
        panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has a number of its own");
}

#[test]
fn every_old_name_leads_to_one_that_there_is() {
    let renamed = renamed();
    assert!(renamed.len() > 100, "{}", renamed.len());
    for (old, new) in renamed {
        assert!(family_of(&old).is_none(), "{old} is no old name");
        for name in new
            .split('`')
            .filter(|part| part.starts_with("seawall_") || part.starts_with("process_"))
        {
            let (metric, labels) = name.split_once('{').unwrap_or((name, ""));
            let is_histogram = || family_of(&format!("{metric}_sum")).is_some();
            assert!(family_of(metric).is_some() || is_histogram(), "{old} leads to {name}");
            let matchers = labels.trim_end_matches('}').split(',').filter(|of| of.contains('='));
            let complaints: Vec<_> = matchers.filter_map(|of| wrong_matcher(metric, of)).collect();
            assert!(complaints.is_empty(), "{old}: {complaints:?}");
        }
    }
}
