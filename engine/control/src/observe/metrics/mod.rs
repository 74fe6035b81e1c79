//! `GET /metrics`: everything that the status has as a number, as Prometheus reads it.
//!
//! One table says which place of the status is which metric, so that the two cannot tell different
//! stories, and the page of the manual is held against the same table. The form is Prometheus' text
//! 0.0.4. Labels are names that the operator wrote (rules, sites, lists) or words of ours: nothing
//! of a visitor's, and never more of them than the configuration and the policy have.
//!
//! A site has series from its first connection or request on: 850 sites of which 40 are visited are
//! 40 rows and not 850. They stay until the process ends.

mod families;
mod process;

use std::fmt::Write;

use crate::members::MEMBERS_TOLD_MAX;
pub use families::{FAMILIES, MetricFamily, MetricKind};
use families::{StatusPath, UnitScale};
use serde_json::Value;

/// What Prometheus is told that this is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What every name begins with.
const PREFIX: &str = "seawall_";
/// Bytes that the page may have; what is past them is left out, from a family's beginning on.
pub const METRICS_BYTES_MAX: usize = 32 << 20;

/// A metric of the data plane: a name in the status under `edge`, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyMetric {
    /// Its name there.
    pub name: &'static str,
    /// What it says, in one sentence.
    pub help: &'static str,
    /// Whether it can fall.
    pub kind: MetricKind,
}

/// The page, from a status.
pub(crate) fn page(status: &Value, edge: &[ProxyMetric]) -> String {
    let mut page = MetricsPage { text: String::with_capacity(64 << 10), omitted: 0 };
    for family in FAMILIES {
        page.family(family, status);
    }
    for metric in edge {
        let name = edge_name(metric);
        page.write(&name, metric.kind, metric.help, |out| {
            if let Some(number) = status.get("edge").and_then(|edge| edge.get(metric.name)) {
                sample(out, &name, &[], number.as_f64().unwrap_or_default());
            }
        });
    }
    for (name, kind, help, value) in process::read() {
        let name = format!("{PREFIX}{name}");
        page.write(&name, kind, help, |out| sample(out, &name, &[], value));
    }
    let name = format!("{PREFIX}metrics_families_left_out");
    let left_out = f64::from(page.omitted);
    let help = "Families that are left out since the page would be too large.";
    page.write(&name, MetricKind::Gauge, help, |out| sample(out, &name, &[], left_out));
    page.text
}

/// The name that a metric of the data plane has on the page.
#[must_use]
pub fn edge_name(of: &ProxyMetric) -> String {
    let total = if of.kind == MetricKind::Counter { "_total" } else { "" };
    format!("{PREFIX}edge_{}{total}", of.name)
}

/// The text so far.
struct MetricsPage {
    text: String,
    omitted: u32,
}

impl MetricsPage {
    fn family(&mut self, of: &MetricFamily, status: &Value) {
        let name = format!("{PREFIX}{}", of.name);
        self.write(&name, of.kind, of.help, |out| samples(out, &name, of, status));
    }

    /// One family with its head; nothing where there is no sample of it.
    fn write(
        &mut self,
        name: &str,
        kind: MetricKind,
        help: &str,
        samples: impl FnOnce(&mut String),
    ) {
        let mut out = String::new();
        samples(&mut out);
        if out.is_empty() {
            return;
        }
        if self.text.len().saturating_add(out.len()) > METRICS_BYTES_MAX {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        let help = help.replace('\\', "\\\\").replace('\n', " ");
        let _never = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
        self.text.push_str(&out);
    }
}

/// The samples of one family.
fn samples(out: &mut String, name: &str, of: &MetricFamily, status: &Value) {
    match of.source {
        StatusPath::One(place) => {
            if let Some(value) = status.pointer(place).and_then(|found| number(found, of.scale)) {
                sample(out, name, &[], value);
            }
        }
        StatusPath::Map(place, label) => {
            let entries = status.pointer(place).and_then(Value::as_object);
            for (word, found) in entries.into_iter().flatten() {
                let value = number(found, of.scale).unwrap_or_default();
                sample(out, name, &[(label, word)], value);
            }
        }
        StatusPath::List(place, label, field) => {
            for entry in entries(status, place) {
                if let Some(value) = entry.get(field).and_then(|found| number(found, of.scale)) {
                    sample(out, name, &[(label, word(entry, "name"))], value);
                }
            }
        }
        StatusPath::ListMap(place, (label, inner), field) => {
            for entry in entries(status, place) {
                let map = entry.get(field).and_then(Value::as_object);
                for (key, found) in map.into_iter().flatten() {
                    let value = number(found, of.scale).unwrap_or_default();
                    sample(out, name, &[(label, word(entry, "name")), (inner, key)], value);
                }
            }
        }
        StatusPath::Origins(field) => {
            for entry in entries(status, families::ORIGINS) {
                if let Some(value) = entry.get(field).and_then(|found| number(found, of.scale)) {
                    let labels =
                        [("site", word(entry, "site")), ("origin", word(entry, "address"))];
                    sample(out, name, &labels, value);
                }
            }
        }
        StatusPath::Word(place, labels) => {
            let told = |label: &&'static str| {
                (*label, status.pointer(place).map_or("", |at| word(at, label)))
            };
            let labels: Vec<_> = labels.iter().map(told).collect();
            sample(out, name, &labels, 1.0);
        }
        StatusPath::Levels => {
            sample(out, name, &[("site", ""), ("level", word(status, "level"))], 1.0);
            for site in entries(status, "/sites") {
                let labels = [("site", word(site, "name")), ("level", word(site, "level"))];
                if labels[1].1 != word(status, "level") {
                    sample(out, name, &labels, 1.0);
                }
            }
        }
    }
}

/// The entries of a list; of the sites those at which something has happened, of the members the
/// first ones.
fn entries<'s>(status: &'s Value, place: &str) -> impl Iterator<Item = &'s Value> {
    let all = status.pointer(place).and_then(Value::as_array).into_iter().flatten();
    let is_sites = place == families::SITES;
    let most = if place == families::MEMBERS { MEMBERS_TOLD_MAX } else { usize::MAX };
    all.filter(move |entry| !is_sites || families::is_visited(entry)).take(most)
}

fn word<'v>(of: &'v Value, field: &str) -> &'v str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What is there as a number: of words and complaints whether there are any.
fn number(found: &Value, scale: UnitScale) -> Option<f64> {
    let plain = match found {
        Value::Number(number) => number.as_f64()?,
        Value::Bool(is_so) => f64::from(u8::from(*is_so)),
        Value::Null => return (scale == UnitScale::IsThere).then_some(0.0),
        Value::String(word) if scale == UnitScale::IsUp => f64::from(u8::from(word == "up")),
        Value::String(_) | Value::Object(_) | Value::Array(_) => 1.0,
    };
    Some(match scale {
        UnitScale::AsItIs | UnitScale::IsUp => plain,
        UnitScale::IsThere => f64::from(u8::from(plain != 0.0)),
        UnitScale::Milliseconds => plain / 1e3,
        UnitScale::Microseconds => plain / 1e6,
    })
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    out.push_str(name);
    for (place, (label, word)) in labels.iter().enumerate() {
        let before = if place == 0 { '{' } else { ',' };
        let _never = write!(out, "{before}{label}=\"{}\"", escaped(word));
    }
    if !labels.is_empty() {
        out.push('}');
    }
    let _never = writeln!(out, " {value}");
}

fn escaped(word: &str) -> String {
    word.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_escaped_scaled_and_of_visited_sites_only() {
        let status = json!({
            "generation": 7,
            "snapshot": { "age_ms": 1_500 },
            "last_error": null,
            "rules": [{ "name": "odd \"one\\\n", "hits": 3, "shadow_hits": 0 }],
            "edge": { "sites": [
                { "name": "a.example", "requests": 2, "cpu_us": 2_500_000 },
                { "name": "b.example", "requests": 0, "cpu_us": 0 },
            ], "open": 4 },
        });
        let edge = [ProxyMetric { name: "open", help: "Open now.", kind: MetricKind::Gauge }];
        let page = page(&status, &edge);
        let has = |line: &str| assert!(page.lines().any(|l| l == line), "{line} not in\n{page}");
        has("seawall_generation 7");
        has("seawall_snapshot_age_seconds 1.5");
        has("seawall_policy_error 0");
        has("seawall_rule_hits_total{rule=\"odd \\\"one\\\\\\n\"} 3");
        has("seawall_site_cpu_seconds_total{site=\"a.example\"} 2.5");
        has("seawall_edge_open 4");
        assert!(!page.contains("b.example"));
        assert!(!page.contains("seawall_extern"), "what has no sample has no head");
    }

    #[test]
    fn a_page_has_an_end() {
        let name = "x".repeat(1 << 20);
        let rules: Vec<_> =
            (0..40).map(|n| json!({ "name": format!("{name}{n}"), "hits": 1 })).collect();
        let page = page(&json!({ "generation": 1, "rules": rules }), &[]);
        assert!(page.len() < METRICS_BYTES_MAX);
        assert!(page.contains("seawall_metrics_families_left_out 1\n"));
    }
}
