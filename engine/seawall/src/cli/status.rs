//! `seawall status`: what the running server does.

mod sites;

use std::time::Duration;

use clap::Args;
use seawall_admin_api::{
    CounterReport, CounterTableStatus, ExternStatus, FuelStatus, ListSource, ListStatus,
    MemberFuelStatus, MemberStatus, RollbackPin, SnapshotStatus, StatusReport,
};
use seawall_model::shown;
use seawall_ruleset::age_words;

use super::common::ServerArgs;
use crate::cli::exit::{ExitStatus, print_json, print_out};

/// Places taken from which on a counter is shown.
const NEARLY_FULL_PERCENT: u64 = 90;

/// Show the status of the running server.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the full status as JSON, with the state of each origin
    #[arg(long)]
    json: bool,
    /// Also show idle sites
    #[arg(long, conflicts_with = "json")]
    all: bool,
}

impl Status {
    pub(crate) fn run(&self) -> ExitStatus {
        self.server.with_client(|client| {
            let status = client.status()?;
            if self.json {
                print_json(format!("{:#}", serde_json::json!(status)));
            } else {
                human(&status).iter().for_each(print_out);
                sites::lines(&status, self.all).iter().for_each(print_out);
            }
            Ok(ExitStatus::Success)
        })
    }
}

/// The lines that a person wants first.
fn human(status: &StatusReport) -> Vec<String> {
    let policy = &status.policy;
    let age_s = policy.age_ms / 1_000;
    let mut lines = vec![
        format!("generation {} of {}", policy.generation, policy.file.display()),
        format!("published  {} ({age_s} s ago)", policy.published_at),
    ];
    if let Some(revision) = &policy.revision {
        lines.push(format!("revision   {}", shown::one_line(revision)));
    }
    let error = policy.last_error.as_ref().map_or("none".to_owned(), ToString::to_string);
    lines.push(format!("last error {error}"));
    let reload = policy.last_reload.as_ref().and_then(|last| last.counters.as_ref());
    let reload = reload.map(CounterReport::lines).unwrap_or_default();
    lines.extend(reload.iter().map(|line| format!("reload     {line}")));
    lines.extend(policy.rollback.as_ref().map(rollback_lines).unwrap_or_default());
    lines.extend(status.members.iter().map(member_line));
    let counts = status.decisions.iter().map(|(word, count)| format!("{word} {count}"));
    lines.push(format!("decided    {}", counts.collect::<Vec<_>>().join(", ")));
    lines.extend(snapshot_line(&status.snapshot));
    lines.extend(status.lists.iter().map(list_line));
    lines.extend(status.counter_tables.iter().filter_map(counter_line));
    lines.extend(status.externs.iter().filter_map(quarantine_line));
    lines.extend(fuel_lines(&status.fuel));
    let rules = status.rules.iter().filter(|rule| rule.hits > 0);
    lines.extend(rules.map(|rule| format!("rule       {}: {}", rule.name, rule.hits)));
    lines
}

/// Which files are ignored after a rollback, and what is in force instead.
fn rollback_lines(of: &RollbackPin) -> Vec<String> {
    let line = |whose: &str, generation: u64| {
        format!(
            "rollback   rolled back to generation {generation}: {whose} files on disk are ignored \
             until they change or `seawall reload`"
        )
    };
    let host = of.host.as_ref().map(|left| line("the operator's", left.active_generation));
    let members = of.members.iter();
    let members =
        members.map(|(name, left)| line(&format!("member {name}'s"), left.active_generation));
    host.into_iter().chain(members).collect()
}

/// A member whose files are not in force, with the first thing that is wrong with them.
fn member_line(of: &MemberStatus) -> String {
    let MemberStatus { name, rejected_since: since, problems, .. } = of;
    let instead = match of.since_generation {
        Some(generation) => format!("the member's part of generation {generation} is active"),
        None => "only the operator's layers are active".to_owned(),
    };
    if of.waiting {
        return format!("member     {name}: the files are not checked yet; {instead}");
    }
    let first = problems.first().map(ToString::to_string).unwrap_or_default();
    let more = of.more.saturating_add(problems.len().saturating_sub(1));
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!("member     {name}: rejected since {since}: {first}{more}; {instead}")
}

/// A rule that is quarantined.
fn quarantine_line(of: &ExternStatus) -> Option<String> {
    let left_s = of.quarantine_remaining_ms.div_ceil(1_000);
    (left_s > 0).then(|| {
        let name = &of.name;
        format!("quarantine {name}: not called for {left_s} s, its `on_failure` value is used")
    })
}

/// Rules that cost more than they may.
fn fuel_lines(of: &FuelStatus) -> Vec<String> {
    let host = (of.out > 0)
        .then(|| format!("fuel       the operator's rules ran out of fuel {} times", of.out));
    let member = |of: &MemberFuelStatus| {
        let MemberFuelStatus { name, passed_over, .. } = of;
        let left_s = of.quarantine_remaining_ms.div_ceil(1_000);
        let away =
            if left_s > 0 { format!("; not evaluated for {left_s} s") } else { String::new() };
        format!("fuel       member {name} was passed over {passed_over} times{away}")
    };
    let members = of.members.iter().filter(|of| of.passed_over > 0).map(member);
    host.into_iter().chain(members).collect()
}

/// A counter that is nearly full, or whose table has evicted or rejected keys.
fn counter_line(of: &CounterTableStatus) -> Option<String> {
    let CounterTableStatus { name, keys, evictions, rejected, .. } = of;
    let capacity = of.capacity.max(1);
    let percent = keys.saturating_mul(100) / capacity;
    let is_shown = percent >= NEARLY_FULL_PERCENT || *evictions > 0 || *rejected > 0;
    is_shown.then(|| {
        format!(
            "counter    {name}: {keys} of {capacity} keys used ({percent} %), {evictions} evicted, \
             {rejected} rejected"
        )
    })
}

/// What is wrong with the snapshots, or how many keys do not fit into one.
fn snapshot_line(of: &SnapshotStatus) -> Option<String> {
    if let Some(error) = &of.last_error {
        return Some(format!(
            "snapshot   cannot be written (a restart would lose counters and bans): {error}"
        ));
    }
    let omitted = of.omitted_keys;
    (omitted > 0).then(|| format!("snapshot   {omitted} keys do not fit into it"))
}

/// A list with its size and age, and what serves where its file cannot be used.
fn list_line(list: &ListStatus) -> String {
    let ListStatus { name, entries, .. } = list;
    let age = age_words(Duration::from_millis(list.age_ms));
    let file = list.file.as_deref().unwrap_or_default();
    let instead = match list.source {
        ListSource::Cached => format!("; {file} cannot be read; using the cached copy"),
        ListSource::Empty => format!("; {file} cannot be used, the list is empty"),
        ListSource::Inline | ListSource::File => String::new(),
    };
    let shrank = match list.shrank_from {
        None => String::new(),
        Some(before) => format!("; it had {before} before: more than half of them are gone"),
    };
    format!("list       @{name}: {entries} entries, {age} old{instead}{shrank}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(
        name: &str,
        file: Option<&str>,
        (entries, shrank_from): (usize, Option<usize>),
        age_ms: u64,
        source: ListSource,
    ) -> ListStatus {
        let (name, file) = (name.to_owned(), file.map(str::to_owned));
        ListStatus { name, file, entries, invalid_lines: 0, shrank_from, age_ms, source }
    }

    #[test]
    fn a_person_sees_generation_age_and_error() {
        let status: StatusReport = serde_json::from_value(serde_json::json!({
            "policy": {
                "generation": 3, "file": "p/a.wall", "published_at": "2026-01-01T00:00:00Z",
                "age_ms": 61_999, "revision": "stricter logins",
                "last_error": { "file": "a.wall", "line": 4, "column": 5, "code": "N003",
                    "message": "no such name" },
                "last_reload": { "duration_ms": 3, "cause": "change", "counters": {
                    "kept": ["a", "b"], "reset": [{ "name": "c", "used_by": ["floor.x"] }],
                } },
                "rollback": { "content": "", "active_generation": 2 },
            },
            "decisions": { "allow": 2 },
            "snapshot": { "age_ms": null, "omitted_keys": 0, "last_error": "no space" },
            "lists": [
                list("a", None, (2, None), 60_000, ListSource::Inline),
                list("b", Some("b.txt"), (9, None), 7_200_000, ListSource::Cached),
                list("c", Some("c.txt"), (9, Some(20)), 1_000, ListSource::File),
            ],
            "counter_tables": [
                { "name": "calm", "keys": 89, "capacity": 100, "evictions": 0, "rejected": 0 },
                { "name": "full", "keys": 90, "capacity": 100, "evictions": 0, "rejected": 0 },
                { "name": "lossy", "keys": 8, "capacity": 8, "evictions": 5, "rejected": 1 },
            ],
            "members": [
                { "name": "alice", "part": "kept", "since_generation": 2, "more": 4,
                  "rejected_since": "2026-01-01T00:00:00Z", "waiting": false, "problems": [
                    { "file": "m/a.wall", "line": 18, "column": 30, "code": "N003", "message": "no" },
                ] },
                { "name": "bob", "part": "absent", "since_generation": null, "more": 0,
                  "rejected_since": "2026-01-01T00:00:00Z", "waiting": true, "problems": [] },
            ],
            "externs": [
                { "name": "f", "quarantine_remaining_ms": 0 },
                { "name": "g", "quarantine_remaining_ms": 9_001 },
            ],
            "rules": [
                { "name": "floor.x", "hits": 9, "shadow_hits": 0 },
                { "name": "floor.y", "hits": 0, "shadow_hits": 0 },
            ],
        }))
        .unwrap();
        assert_eq!(
            human(&status),
            [
                "generation 3 of p/a.wall",
                "published  2026-01-01T00:00:00Z (61 s ago)",
                "revision   stricter logins",
                "last error a.wall:4:5: N003: no such name",
                "reload     kept: a, b",
                "reload     reset: c (asked by floor.x)",
                "rollback   rolled back to generation 2: the operator's files on disk are ignored until \
                 they change or `seawall reload`",
                "member     alice: rejected since 2026-01-01T00:00:00Z: m/a.wall:18:30: N003: no \
                 (and 4 more); the member's part of generation 2 is active",
                "member     bob: the files are not checked yet; only the operator's layers are \
                 active",
                "decided    allow 2",
                "snapshot   cannot be written (a restart would lose counters and bans): no space",
                "list       @a: 2 entries, 1 minute old",
                "list       @b: 9 entries, 2 hours old; b.txt cannot be read; using the cached \
                 copy",
                "list       @c: 9 entries, 1 second old; it had 20 before: more than half of them \
                 are gone",
                "counter    full: 90 of 100 keys used (90 %), 0 evicted, 0 rejected",
                "counter    lossy: 8 of 8 keys used (100 %), 5 evicted, 1 rejected",
                "quarantine g: not called for 10 s, its `on_failure` value is used",
                "rule       floor.x: 9",
            ]
        );
    }
}
