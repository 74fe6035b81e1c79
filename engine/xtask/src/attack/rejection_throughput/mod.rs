//! `cargo xtask attack denial`: how many requests per second Seawall, nginx and HAProxy reject, in
//! one run, on one core each, under the same load.
//!
//! They take turns in each round, so that a change of the machine's load affects all of them;
//! medians are compared. The load is that of `wrk`, a closed loop: it measures how much a server
//! can reject at most, not how long visitors wait.

mod load;
mod server;

use crate::attack::child_process::Interrupted;
use crate::attack::evaluate::{shown, thousands};
use crate::attack::server::{ServerKind, WHO, lacks};
use crate::attack::testbed::Folder;
use load::{CASES, Case, Said};
use server::Running;
use std::path::Path;
use std::sync::mpsc::Receiver;

/// Rounds, of which the median is taken.
const ROUNDS: usize = 5;
/// Tries of one turn.
const TRIES: usize = 3;
/// Required tools, with their Debian packages.
const TOOLS: [(&str, &str); 4] =
    [("wrk", "wrk"), ("nginx", "nginx-light"), ("haproxy", "haproxy"), ("taskset", "util-linux")];

/// One turn: what a server rejected, and the cost.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measurement {
    /// Rejections per second.
    rate: f64,
    /// Microseconds of the server's CPU time per rejection.
    cost_us: f64,
}

/// One case, for each server in the order of [`WHO`].
#[derive(Debug)]
pub(crate) struct Row {
    case: &'static str,
    turns: Vec<Vec<Measurement>>,
}

/// The result.
#[derive(Debug)]
pub(crate) enum RejectionThroughput {
    /// It was run.
    Run(Vec<Row>, Vec<String>),
    /// This machine lacks something.
    Skipped(String),
    /// It could not be run to its end.
    Failed(String),
}

/// Runs the comparison.
///
/// # Errors
/// The run is interrupted.
pub(crate) fn run(
    seawall: &Path,
    interrupts: &Receiver<()>,
) -> anyhow::Result<RejectionThroughput> {
    match race(seawall, interrupts) {
        Err(error) if !error.is::<Interrupted>() => {
            Ok(RejectionThroughput::Failed(format!("{error:#}")))
        }
        raced => raced,
    }
}

fn race(seawall: &Path, interrupts: &Receiver<()>) -> anyhow::Result<RejectionThroughput> {
    if let Some(lack) = lacks(&TOOLS) {
        return Ok(RejectionThroughput::Skipped(lack));
    }
    let folder = Folder::new("denial")?;
    let servers = WHO
        .iter()
        .map(|who| Running::start(*who, seawall, &folder))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for case in &CASES {
        rows.push(measure(case, &servers, &folder, interrupts)?);
    }
    Ok(RejectionThroughput::Run(rows, servers.iter().map(Running::name).collect()))
}

fn measure(
    case: &Case,
    servers: &[Running],
    folder: &Folder,
    interrupts: &Receiver<()>,
) -> anyhow::Result<Row> {
    let mut turns = vec![Vec::new(); servers.len()];
    // The first round warms them up and is not counted.
    for round in 0..=ROUNDS {
        for (server, turns) in servers.iter().zip(&mut turns) {
            let turn = turn(case, server, folder, interrupts)?;
            if round > 0 {
                turns.push(turn);
            }
        }
    }
    Ok(Row { case: case.name, turns })
}

/// Runs one turn. A pause of the machine spoils a turn, so it is retried.
fn turn(
    case: &Case,
    server: &Running,
    folder: &Folder,
    interrupts: &Receiver<()>,
) -> anyhow::Result<Measurement> {
    let mut tries = 0usize;
    loop {
        tries = tries.saturating_add(1);
        let before = server.cpu_ms()?;
        match load::ask(case, server.address(), folder, interrupts) {
            Ok(Said { rate, requests }) => {
                let spent = server.cpu_ms()?.saturating_sub(before);
                let cost_us = spent as f64 * 1_000.0 / requests as f64;
                return Ok(Measurement { rate, cost_us });
            }
            Err(error) if tries == TRIES || error.is::<Interrupted>() => {
                return Err(error.context(format!("asking {}", server.name())));
            }
            Err(_) => {}
        }
    }
}

/// Returns the median; `None` of nothing.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

impl Row {
    fn medians(&self, of: impl Fn(&Measurement) -> f64) -> Vec<Option<f64>> {
        self.turns.iter().map(|turns| median(turns.iter().map(&of).collect())).collect()
    }

    /// Returns how many times as many requests as the better of the others Seawall rejects.
    fn times(&self) -> Option<f64> {
        self.ratio(|turn| turn.rate)
    }

    /// Returns the same by CPU time, which depends less on a busy machine or a slow load.
    fn times_by_cost(&self) -> Option<f64> {
        self.ratio(|turn| 1.0 / turn.cost_us)
    }

    fn ratio(&self, of: impl Fn(&Measurement) -> f64) -> Option<f64> {
        let each: Option<Vec<f64>> = self.medians(of).into_iter().collect();
        let each = each?;
        let of = |who: ServerKind| each.get(WHO.iter().position(|other| *other == who)?).copied();
        let others = of(ServerKind::Nginx)?.max(of(ServerKind::Haproxy)?);
        (others > 0.0).then_some(of(ServerKind::Seawall)? / others)
    }

    fn kept(&self) -> bool {
        self.times().is_some_and(|times| times >= 1.0)
    }

    fn line(&self) -> String {
        let figures = self.medians(|turn| turn.rate).into_iter();
        let costs = self.medians(|turn| turn.cost_us);
        let cells = figures.zip(costs).map(|(rate, cost)| match (rate, cost) {
            (Some(rate), Some(cost)) => {
                format!("{}/s, {} µs", thousands(rate.round().max(0.0) as u64), shown(cost))
            }
            _ => "none".to_owned(),
        });
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let shown =
            |times: Option<f64>| times.map_or_else(|| "none".to_owned(), |t| format!("{t:.2} ×"));
        let times = format!("{}, {}", shown(self.times()), shown(self.times_by_cost()));
        let verdict = if self.kept() { "kept" } else { "**broken**" };
        format!("| {} | {cells} | {times} | {verdict} |", self.case)
    }
}

impl RejectionThroughput {
    /// Returns the table.
    pub(crate) fn table(&self) -> String {
        match self {
            Self::Skipped(why) => format!("Denied requests a second: skipped, {why}."),
            Self::Failed(why) => format!("Denied requests a second: **could not be run**, {why}."),
            Self::Run(rows, names) => {
                let head = format!(
                    "| denied a second, and processor time for each | {} | Seawall, times the better, by each | |",
                    names.join(" | ")
                );
                let rule = "|---".repeat(names.len().saturating_add(3));
                let lines: Vec<_> = rows.iter().map(Row::line).collect();
                format!("{head}\n{rule}|\n{}", lines.join("\n"))
            }
        }
    }

    /// Returns the number of broken promises, and of all.
    pub(crate) fn broken(&self) -> (usize, usize) {
        match self {
            Self::Skipped(_) => (0, 0),
            Self::Failed(_) => (1, 1),
            Self::Run(rows, _) => (rows.iter().filter(|row| !row.kept()).count(), rows.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(rates: [&[f64]; 3]) -> Row {
        let turn = |rate: &f64| Measurement { rate: *rate, cost_us: 10.0 };
        Row { case: "x", turns: rates.map(|rates| rates.iter().map(turn).collect()).into() }
    }

    #[test]
    fn seawall_must_refuse_as_many_as_the_better_of_the_others() {
        let fine = row([&[9.0, 1.0, 5.0], &[4.0, 4.0, 4.0], &[5.0, 5.0, 5.0]]);
        assert_eq!(fine.times(), Some(1.0));
        assert!(fine.kept());
        let slow = row([&[4.9, 4.9, 9.0], &[5.0; 3], &[1.0; 3]]);
        assert!(!slow.kept());
        assert!(slow.line().contains("| 0.98 ×, 1.00 × | **broken** |"), "{}", slow.line());
        let slow = row([&[4.9; 3], &[1.0; 3], &[5.0; 3]]);
        assert!(!slow.kept());
        assert_eq!(RejectionThroughput::Run(vec![fine, slow], Vec::new()).broken(), (1, 2));
    }

    #[test]
    fn a_server_without_figures_breaks_the_promise() {
        for rates in [[&[][..], &[1.0], &[1.0]], [&[1.0], &[], &[1.0]], [&[1.0], &[1.0], &[]]] {
            assert!(!row(rates).kept());
        }
        assert!(!row([&[1.0], &[0.0], &[0.0]]).kept());
    }
}
