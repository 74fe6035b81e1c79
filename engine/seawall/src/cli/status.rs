//! `seawall status`: what the running server does.

mod sites;

use std::time::Duration;

use clap::Args;
use seawall_control::{CounterReport, PolicyError};
use seawall_model::shown;
use seawall_ruleset::age_words;
use serde_json::Value;

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, print_json, print_out};

/// Places taken from which on a counter is shown.
const NEARLY_FULL_PERCENT: u64 = 90;

/// Ask the running server how it is.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    server: ServerArgs,
    /// Print all of it, as JSON
    #[arg(long)]
    json: bool,
    /// Show the sites at which nothing happens, too
    #[arg(long, conflicts_with = "json")]
    all: bool,
}

impl Status {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let status = client.status()?;
            if self.json {
                print_json(format!("{status:#}"));
            } else {
                human(&status).iter().for_each(print_out);
                sites::lines(&status, self.all).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

/// The lines that a person wants first.
fn human(status: &Value) -> Vec<String> {
    let text = |key: &str| match status.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    let age_s = status.get("age_ms").and_then(Value::as_u64).unwrap_or(0) / 1_000;
    let mut lines = vec![
        format!("generation {} of {}", text("generation"), text("root")),
        format!("loaded     {} ({age_s} s ago)", text("loaded_at")),
    ];
    if let Some(Value::String(revision)) = status.get("revision") {
        lines.push(format!("revision   {}", shown::one_line(revision)));
    }
    lines.push(match status.get("last_error") {
        Some(Value::Object(error)) => {
            let part = |key: &str| match error.get(key) {
                Some(Value::String(text)) => text.clone(),
                other => other.map(ToString::to_string).unwrap_or_default(),
            };
            format!(
                "last error {}:{}:{}: {}: {}",
                part("file"),
                part("line"),
                part("column"),
                part("code"),
                part("message")
            )
        }
        _ => "last error none".to_owned(),
    });
    lines.extend(report_lines(status));
    lines.extend(status.get("aside").map(aside_lines).unwrap_or_default());
    let members = status.get("members").and_then(Value::as_array).map(Vec::as_slice);
    lines.extend(members.unwrap_or_default().iter().filter_map(member_line));
    if let Some(Value::Object(decisions)) = status.get("decisions") {
        let counts = decisions.iter().map(|(word, count)| format!("{word} {count}"));
        lines.push(format!("decided    {}", counts.collect::<Vec<_>>().join(", ")));
    }
    lines.extend(status.get("snapshot").and_then(snapshot_line));
    let lists = status.get("lists").and_then(Value::as_array).map(Vec::as_slice);
    lines.extend(lists.unwrap_or_default().iter().map(list_line));
    let counters = status.get("counters").and_then(Value::as_array).map(Vec::as_slice);
    lines.extend(counters.unwrap_or_default().iter().filter_map(counter_line));
    let externs = status.get("externs").and_then(Value::as_array).map(Vec::as_slice);
    lines.extend(externs.unwrap_or_default().iter().filter_map(quarantine_line));
    lines.extend(fuel_lines(status));
    let rules = status.get("rules").and_then(Value::as_array).map(Vec::as_slice);
    for rule in rules.unwrap_or_default() {
        let hits = rule.get("hits").and_then(Value::as_u64).unwrap_or(0);
        let name = rule.get("name").and_then(Value::as_str).unwrap_or("?");
        if hits > 0 {
            lines.push(format!("rule       {name}: {hits}"));
        }
    }
    lines
}

/// What the last reload did to the counters.
fn report_lines(status: &Value) -> Vec<String> {
    let report = status.pointer("/last_reload/report").cloned().unwrap_or_default();
    let report: CounterReport = serde_json::from_value(report).unwrap_or_default();
    report.lines().iter().map(|line| format!("reload     {line}")).collect()
}

/// That somebody went back, and the files on the disk are not what is in force.
fn aside_lines(of: &Value) -> Vec<String> {
    let serves = |left: &Value| left.get("active_generation").and_then(Value::as_u64);
    let line = |whose: &str, generation: u64| {
        format!(
            "rollback   {whose} files of generation {generation} are in force, not those on the \
             disk: `seawall reload` takes those"
        )
    };
    let host = serves(of).map(|generation| line("the host's", generation));
    let members = of.get("members").and_then(Value::as_object).into_iter().flatten();
    let members = members
        .filter_map(|(name, left)| Some(line(&format!("member {name}: her"), serves(left)?)));
    host.into_iter().chain(members).collect()
}

/// A member whose files are not in force, with the first thing that is wrong with them.
fn member_line(of: &Value) -> Option<String> {
    let name = of.get("name")?.as_str()?;
    let since = of.get("refused_since")?.as_str()?;
    let instead = match of.get("since_generation").and_then(Value::as_u64) {
        Some(generation) => format!("her part of generation {generation} is in force"),
        None => "the host's layers alone are in force".to_owned(),
    };
    if of.get("waiting").and_then(Value::as_bool) == Some(true) {
        return Some(format!("member     {name}: her files are yet to be looked at; {instead}"));
    }
    let problems = of.get("problems").and_then(Value::as_array).map(Vec::as_slice);
    let problems = problems.unwrap_or_default();
    let first = problems.first().cloned().unwrap_or_default();
    let first = serde_json::from_value::<PolicyError>(first);
    let first = first.map(|first| first.to_string()).unwrap_or_default();
    let more = of.get("more").and_then(Value::as_u64).unwrap_or(0);
    let more = more.saturating_add(problems.len().saturating_sub(1) as u64);
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    Some(format!("member     {name}: refused since {since}: {first}{more}; {instead}"))
}

/// A rule that is not asked at the moment.
fn quarantine_line(of: &Value) -> Option<String> {
    let left_ms = of.get("quarantine_left_ms")?.as_u64().filter(|left| *left > 0)?;
    let name = of.get("name")?.as_str()?;
    let left_s = left_ms.div_ceil(1_000);
    Some(format!(
        "quarantine {name}: not asked for {left_s} s more, its `on_failure` value answers"
    ))
}

/// Rules that cost more than they may.
fn fuel_lines(status: &Value) -> Vec<String> {
    let out = status.pointer("/fuel/out").and_then(Value::as_u64).filter(|out| *out > 0);
    let members = status.pointer("/fuel/members").and_then(Value::as_array).map(Vec::as_slice);
    let host = out.map(|out| format!("fuel       the host's rules were out of it {out} times"));
    let member = |of: &Value| {
        let number = |key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (name, passed) = (of.get("name")?.as_str()?, number("passed_over"));
        let left_s = number("quarantine_left_ms").div_ceil(1_000);
        let away =
            if left_s > 0 { format!("; not asked for {left_s} s more") } else { String::new() };
        (passed > 0)
            .then(|| format!("fuel       member {name} was passed over {passed} times{away}"))
    };
    host.into_iter().chain(members.unwrap_or_default().iter().filter_map(member)).collect()
}

/// A counter that is nearly full, or that has had to forget somebody.
fn counter_line(of: &Value) -> Option<String> {
    let number = |key: &str| of.get(key).and_then(Value::as_u64).unwrap_or(0);
    let (keys, capacity) = (number("keys"), number("capacity").max(1));
    let (evictions, refused) = (number("evictions"), number("refused"));
    let percent = keys.saturating_mul(100) / capacity;
    if percent < NEARLY_FULL_PERCENT && evictions == 0 && refused == 0 {
        return None;
    }
    let name = of.get("name").and_then(Value::as_str).unwrap_or("?");
    Some(format!(
        "counter    {name}: {percent} % of {capacity} places taken, {evictions} keys forgotten for \
         others, {refused} found no place"
    ))
}

/// What is wrong with the snapshots, or how many keys do not fit into one.
fn snapshot_line(of: &Value) -> Option<String> {
    if let Some(error) = of.get("last_error").and_then(Value::as_str) {
        return Some(format!("snapshot   none is written, a restart would forget: {error}"));
    }
    let left_out = of.get("left_out")?.as_u64().filter(|left_out| *left_out > 0)?;
    Some(format!("snapshot   {left_out} keys do not fit into it"))
}

/// A list with its size and age, and what serves where its file cannot be used.
fn list_line(list: &Value) -> String {
    let number = |key: &str| list.get(key).and_then(Value::as_u64).unwrap_or(0);
    let text = |key: &str| list.get(key).and_then(Value::as_str).unwrap_or("?");
    let age = age_words(Duration::from_millis(number("age_ms")));
    let instead = match text("from") {
        "kept" => format!("; {} cannot be used, the last good copy is in force", text("file")),
        "nothing" => format!("; {} cannot be used, the list is empty", text("file")),
        _ => String::new(),
    };
    let shrank = match number("shrank_from") {
        0 => String::new(),
        before => format!("; it had {before} before: more than half of them are gone"),
    };
    let (name, entries) = (text("name"), number("entries"));
    format!("list       @{name}: {entries} entries, {age} old{instead}{shrank}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_generation_age_and_error() {
        let status = serde_json::json!({
            "generation": 3, "root": "p/a.wall", "loaded_at": "2026-01-01T00:00:00Z",
            "age_ms": 61_999, "decisions": { "allow": 2 }, "revision": "stricter logins",
            "last_error": { "file": "a.wall", "line": 4, "column": 5, "code": "N003",
                "message": "no such name" },
            "snapshot": { "age_ms": null, "left_out": 0, "last_error": "no space" },
            "lists": [
                { "name": "a", "entries": 2, "age_ms": 60_000, "from": "policy" },
                { "name": "b", "file": "b.txt", "entries": 9, "age_ms": 7_200_000, "from": "kept" },
                { "name": "c", "file": "c.txt", "entries": 9, "age_ms": 1_000, "from": "file",
                  "shrank_from": 20 },
            ],
            "counters": [
                { "name": "calm", "keys": 89, "capacity": 100, "evictions": 0, "refused": 0 },
                { "name": "full", "keys": 90, "capacity": 100, "evictions": 0, "refused": 0 },
                { "name": "lossy", "keys": 8, "capacity": 8, "evictions": 5, "refused": 1 },
            ],
            "last_reload": { "took_ms": 3, "cause": "change", "report": {
                "kept": ["a", "b"], "reset": [{ "name": "c", "watched_by": ["floor.x"] }],
            } },
            "aside": { "active_generation": 2 },
            "members": [
                { "name": "alice", "part": "kept", "since_generation": 2, "more": 4,
                  "refused_since": "2026-01-01T00:00:00Z", "waiting": false, "problems": [
                    { "file": "m/a.wall", "line": 18, "column": 30, "code": "N003", "message": "no" },
                ] },
                { "name": "bob", "part": "absent", "since_generation": null, "more": 0,
                  "refused_since": "2026-01-01T00:00:00Z", "waiting": true, "problems": [] },
            ],
            "externs": [
                { "name": "f", "quarantine_left_ms": 0 }, { "name": "g", "quarantine_left_ms": 9_001 },
            ],
            "rules": [{ "name": "floor.x", "hits": 9 }, { "name": "floor.y", "hits": 0 }],
        });
        assert_eq!(
            human(&status),
            [
                "generation 3 of p/a.wall",
                "loaded     2026-01-01T00:00:00Z (61 s ago)",
                "revision   stricter logins",
                "last error a.wall:4:5: N003: no such name",
                "reload     kept: a, b",
                "reload     reset: c (asked by floor.x)",
                "rollback   the host's files of generation 2 are in force, not those on the disk: \
                 `seawall reload` takes those",
                "member     alice: refused since 2026-01-01T00:00:00Z: m/a.wall:18:30: N003: no \
                 (and 4 more); her part of generation 2 is in force",
                "member     bob: her files are yet to be looked at; the host's layers alone are in \
                 force",
                "decided    allow 2",
                "snapshot   none is written, a restart would forget: no space",
                "list       @a: 2 entries, 1 minute old",
                "list       @b: 9 entries, 2 hours old; b.txt cannot be used, the last good copy \
                 is in force",
                "list       @c: 9 entries, 1 second old; it had 20 before: more than half of them \
                 are gone",
                "counter    full: 90 % of 100 places taken, 0 keys forgotten for others, 0 found no \
                 place",
                "counter    lossy: 100 % of 8 places taken, 5 keys forgotten for others, 1 found no \
                 place",
                "quarantine g: not asked for 10 s more, its `on_failure` value answers",
                "rule       floor.x: 9",
            ]
        );
    }
}
