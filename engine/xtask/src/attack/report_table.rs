//! The result table, in the form of `benches/README.md`.

use crate::attack::evaluate::{BaselineCost, NEW_CLIENT_MS, Verdict, shown, thousands};
use crate::attack::expectation::Expectation;
use crate::attack::results::Results;
use crate::attack::runner::Outcome;
use std::fmt::Write;

/// The head of the table.
pub(crate) const HEAD: &str = "\
| attack | visitors: failed, of | their p99, quiet and under attack | a new client after it | connections (at once) | what was promised | |
|---|---|---|---|---|---|---|";

/// Delay of visitors by this program from which on it is noted.
const LATE_MS: f64 = 20.0;

/// Returns the row of one promise.
pub(crate) fn row(promise: &Expectation, outcome: &Outcome) -> String {
    let name = format!("`{}` {}", promise.scenario, promise.vector);
    match outcome {
        Outcome::Skipped(why) => format!("| {name} | | | | | {why} | skipped |"),
        Outcome::Failed(why) => {
            let why = why.replace(['\n', '|'], " ");
            format!("| {name} | | | | | could not be run: {why} | **broken** |")
        }
        Outcome::Judged(verdict, report) => {
            let figures = Results::of(report);
            format!(
                "| {name} | {} | {} | {} | {} | {} | {} |",
                visitors(figures),
                latencies(figures),
                new_client(figures),
                connections(figures),
                promised(verdict),
                if verdict.passed() { "kept" } else { "**broken**" },
            )
        }
    }
}

fn or_none(figure: Option<f64>) -> String {
    figure.map_or_else(|| "none".to_owned(), shown)
}

fn visitors(figures: Results<'_>) -> String {
    let failed = or_none(figures.failed());
    let failed = if failed == "0" { failed } else { format!("**{failed}**") };
    format!("{failed}, {}", or_none(figures.asked()))
}

fn latencies(figures: Results<'_>) -> String {
    let [quiet, attack] = ["quiet", "attack"].map(|phase| or_none(figures.p99_ms(phase)));
    // A delay of this program is in their figures, and shows nothing about the server.
    let late = figures.late_ms().filter(|late| *late > LATE_MS);
    let late = late.map(|late| format!(" (begun {} ms late)", shown(late))).unwrap_or_default();
    format!("{quiet}, {attack} ms{late}")
}

/// Returns the milliseconds from the end of the attack to the first response for a new client.
fn new_client(figures: Results<'_>) -> String {
    match figures.new_client_ms() {
        Some(ms) if ms <= NEW_CLIENT_MS => format!("{} ms", shown(ms)),
        Some(ms) => format!("**{} ms**", shown(ms)),
        None => "**none**".to_owned(),
    }
}

fn connections(figures: Results<'_>) -> String {
    format!("{} ({})", or_none(figures.tried()), or_none(figures.at_once()))
}

fn promised(verdict: &Verdict) -> String {
    let findings = verdict.findings.iter().map(|finding| {
        if finding.kept { finding.text.clone() } else { format!("**{}**", finding.text) }
    });
    let broken = verdict.broken.iter().map(|text| format!("**{text}**"));
    findings.chain(broken).collect::<Vec<_>>().join("; ")
}

/// Returns the text below a table: how the figures were measured.
pub(crate) fn foot(rows: &[(&Expectation, Outcome)], honest: Option<BaselineCost>) -> String {
    let mut text = String::new();
    let mut late = 0.0f64;
    let (mut kept, mut skipped) = (0u64, 0u64);
    for (_, outcome) in rows {
        match outcome {
            Outcome::Skipped(_) => skipped = skipped.saturating_add(1),
            Outcome::Failed(_) => {}
            Outcome::Judged(verdict, report) => {
                kept = kept.saturating_add(u64::from(verdict.passed()));
                late = late.max(Results::of(report).late_ms().unwrap_or_default());
            }
        }
    }
    let run = (rows.len() as u64).saturating_sub(skipped);
    let _written = write!(text, "{kept} of {run} promises kept, {skipped} skipped. ");
    if let Some(BaselineCost(cost)) = honest {
        let _written = write!(text, "An honest connection took {} ms of processor. ", shown(cost));
    }
    let _written = write!(
        text,
        "In no run were 99 of 100 visitors begun later than {} ms after they were due.",
        shown(late)
    );
    text
}

/// Returns a line about the machine.
pub(crate) fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':'])).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{} cores ({model}), load {load} at the end", thousands(cores))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::evaluate::judge;
    use crate::attack::expectations::PROMISES;
    use serde_json::json;

    #[test]
    fn a_row_says_what_was_broken() {
        let promise = PROMISES.iter().find(|promise| promise.scenario == "slowloris").unwrap();
        let report = json!({});
        let verdict = judge(promise, &report, None);
        let row = row(promise, &Outcome::Judged(verdict, Box::new(report)));
        assert!(
            row.starts_with("| `slowloris` A4 | **none**, none | none, none ms | **none** |"),
            "{row}"
        );
        assert!(row.contains("**gone: no figure**") && row.ends_with("| **broken** |"), "{row}");
        assert_eq!(row.matches(" | ").count(), HEAD.lines().next().unwrap().matches(" | ").count());
    }

    #[test]
    fn a_delay_of_our_own_is_said() {
        let figures = |late: u64| json!({ "legit": { "attack": { "late_us": { "p99": late } } } });
        let text = |late| latencies(Results::of(&figures(late)));
        assert_eq!(text(20_000), "none, none ms");
        assert_eq!(text(35_000), "none, none ms (begun 35 ms late)");
    }

    #[test]
    fn what_was_skipped_says_why() {
        let promise = &PROMISES[0];
        let row = row(promise, &Outcome::Skipped("no such tool".to_owned()));
        assert!(row.ends_with("| no such tool | skipped |"), "{row}");
    }

    #[test]
    fn what_could_not_be_run_is_broken_and_stays_a_row() {
        let outcome = Outcome::Failed("no port\nat | all".to_owned());
        let row = row(&PROMISES[0], &outcome);
        assert!(row.ends_with("| could not be run: no port at   all | **broken** |"), "{row}");
        assert!(outcome.is_broken() && !Outcome::Skipped(String::new()).is_broken());
    }
}
