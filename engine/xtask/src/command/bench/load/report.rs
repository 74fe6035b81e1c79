//! What a run reports: a table for the terminal, and JSON for programs.

use super::statistics::{Figure, Series, Spread, spread};
use serde_json::{Value, json};
use std::fmt::Write;

/// The setting of a run.
#[derive(Debug)]
pub(super) struct Setting {
    /// Processor, cores, memory, kernel.
    pub(super) machine: Value,
    /// The load average of the machine before the run, and after it.
    pub(super) load_before: String,
    pub(super) load_after: String,
    /// Names and versions of the programs that took part.
    pub(super) programs: Vec<(String, String)>,
    /// Peers that are not installed.
    pub(super) missing: Vec<&'static str>,
    /// Rounds, and seconds of each.
    pub(super) rounds: u64,
    pub(super) seconds: u64,
}

impl Setting {
    /// Returns a line about it.
    pub(super) fn line(&self) -> String {
        let text = |key: &str| match self.machine.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let programs = self.programs.iter().map(|(name, version)| format!("{name} {version}"));
        let mut line = format!(
            "{}; {} cores ({}), Linux {}; rounds: {} of {} s; load average {} before, {} after",
            programs.collect::<Vec<_>>().join(", "),
            text("cores"),
            text("processor"),
            text("kernel"),
            self.rounds,
            self.seconds,
            self.load_before,
            self.load_after,
        );
        if !self.missing.is_empty() {
            let _ = write!(line, "; not installed: {}", self.missing.join(", "));
        }
        line
    }
}

/// Returns a value with as many decimals as it needs.
pub(super) fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Returns `median (min..max)`.
pub(super) fn with_spread(spread: Spread, show: impl Fn(f64) -> String) -> String {
    format!("{} ({}..{})", show(spread.median), show(spread.min), show(spread.max))
}

/// Returns the ratio to the better peer, with its spread and that peer.
pub(super) fn ratio(figure: &Figure) -> String {
    let Some(comparison) = figure.comparison() else { return "no peer".to_owned() };
    let ratio = with_spread(comparison.ratio, |value| format!("{value:.2}"));
    format!("{ratio} × {}", comparison.peer)
}

/// Returns the target, and whether it is met.
pub(super) fn target(figure: &Figure) -> String {
    let met = match figure.is_met() {
        Some(true) => ", met",
        Some(false) => ", missed",
        None => "",
    };
    figure.target.map(|target| format!("≤ {target:.2}{met}")).unwrap_or_default()
}

/// Returns the table: a block per work, a line per proxy.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut out = String::new();
    for figure in figures {
        let _ = writeln!(out, "\n{}: {}", figure.name, figure.about);
        for series in &figure.series {
            let Some(found) = spread(&series.rounds) else { continue };
            let value = format!("{} {}", with_spread(found, short), figure.unit);
            let rate = figure.rates.iter().find(|rate| rate.proxy == series.proxy);
            let rate = rate.and_then(|rate| spread(&rate.rounds));
            let rate = rate.map(|rate| {
                format!("{} requests/s", with_spread(rate, |value| format!("{value:.0}")))
            });
            let line = format!("  {:<8} {value:<32} {}", series.proxy, rate.unwrap_or_default());
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let _ = writeln!(out, "  {:<8} {:<32} {}", "ratio", ratio(figure), target(figure));
    }
    out
}

/// Returns how many targets are met, of how many.
pub(super) fn met(figures: &[Figure]) -> (usize, usize) {
    let all: Vec<bool> = figures.iter().filter_map(Figure::is_met).collect();
    (all.iter().filter(|is_met| **is_met).count(), all.len())
}

/// Returns the whole run as JSON.
pub(super) fn json(setting: &Setting, figures: &[Figure]) -> Value {
    let programs: serde_json::Map<String, Value> =
        setting.programs.iter().map(|(name, version)| (name.clone(), json!(version))).collect();
    json!({
        "machine": setting.machine,
        "other_load": { "before": setting.load_before, "after": setting.load_after },
        "programs": programs,
        "missing_peers": setting.missing,
        "rounds": setting.rounds,
        "seconds": setting.seconds,
        "results": figures.iter().map(result).collect::<Vec<_>>(),
        "targets": figures.iter().filter(|figure| figure.target.is_some()).map(target_json)
            .collect::<Vec<_>>(),
    })
}

fn spread_json(found: Option<Spread>) -> Value {
    found.map_or(
        Value::Null,
        |Spread { median, min, max }| json!({ "median": median, "min": min, "max": max }),
    )
}

fn series_json(all: &[Series]) -> Value {
    let one = |series: &Series| {
        let mut value = spread_json(spread(&series.rounds));
        if let Some(map) = value.as_object_mut() {
            map.insert("rounds".to_owned(), json!(series.rounds));
        }
        (series.proxy.to_owned(), value)
    };
    Value::Object(all.iter().map(one).collect())
}

fn result(figure: &Figure) -> Value {
    let comparison = figure.comparison();
    json!({
        "name": figure.name,
        "about": figure.about,
        "unit": figure.unit,
        "values": series_json(&figure.series),
        "requests_per_second": series_json(&figure.rates),
        "better_peer": comparison.map(|comparison| comparison.peer),
        "ratio": spread_json(comparison.map(|comparison| comparison.ratio)),
    })
}

fn target_json(figure: &Figure) -> Value {
    let ratio = figure.comparison().map(|comparison| comparison.ratio);
    json!({
        "name": figure.name,
        "target": figure.target,
        "measured": ratio.map(|ratio| ratio.median),
        "spread": ratio.map(|ratio| [ratio.min, ratio.max]),
        "met": figure.is_met(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a run with one target that is missed, and one figure without a peer.
    pub(in super::super) fn example() -> (Setting, Vec<Figure>) {
        let series = |proxy, rounds: &[f64]| Series { proxy, rounds: rounds.to_vec() };
        let small = Figure {
            name: "small".to_owned(),
            about: "60 bytes",
            unit: "µs",
            target: Some(1.0),
            series: vec![series("seawall", &[40.0, 44.0]), series("nginx", &[20.0, 22.0])],
            rates: vec![series("seawall", &[1e4, 1e4]), series("nginx", &[2e4, 2e4])],
        };
        let alone = Figure {
            name: "memory".to_owned(),
            series: vec![series("seawall", &[9.5])],
            rates: Vec::new(),
            ..small.clone()
        };
        let setting = Setting {
            machine: json!({ "cores": 2, "processor": "A <fast> one", "kernel": "6.1" }),
            load_before: "0.10".to_owned(),
            load_after: "2.00".to_owned(),
            programs: vec![("nginx".to_owned(), "1.22.1".to_owned())],
            missing: vec!["envoy"],
            rounds: 2,
            seconds: 1,
        };
        (setting, vec![small, alone])
    }

    #[test]
    fn the_table_has_figures_spread_rate_ratio_and_target() {
        let (setting, figures) = example();
        let table = table(&figures);
        for part in [
            "42.0 (40.0..44.0) µs",
            "10000 (10000..10000) requests/s",
            "2.00 (2.00..2.00) × nginx",
            "≤ 1.00, missed",
            "no peer",
        ] {
            assert!(table.contains(part), "{part}\n{table}");
        }
        assert_eq!(met(&figures), (0, 1));
        let line = setting.line();
        assert!(line.contains("nginx 1.22.1") && line.contains("not installed: envoy"), "{line}");
    }

    #[test]
    fn json_has_the_targets_with_what_was_measured() {
        let (setting, figures) = example();
        let json = json(&setting, &figures);
        let expected = json!([
            { "name": "small", "target": 1.0, "measured": 2.0, "spread": [2.0, 2.0], "met": false },
            { "name": "memory", "target": 1.0, "measured": null, "spread": null, "met": null },
        ]);
        assert_eq!(json["targets"], expected);
        assert_eq!(json["results"][0]["values"]["seawall"]["rounds"], json!([40.0, 44.0]));
        assert_eq!(json["results"][0]["better_peer"], "nginx");
        assert_eq!(json["other_load"]["after"], "2.00");
        assert_eq!(json["missing_peers"], json!(["envoy"]));
    }
}
