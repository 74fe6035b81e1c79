//! `cargo xtask attack neighbours`: an attack on two members does not affect a third, the attacked
//! members keep their known visitors, and no resource is idle that a site needs.
//!
//! Seawall must keep these promises. nginx and HAProxy, configured as their guides advise, get the
//! same attacks in the same run, and their figures are shown as they are.

mod bandwidth;
pub(crate) mod constants;
pub(crate) mod environment;
pub(crate) mod evaluate;
pub(crate) mod load;
pub(crate) mod report_table;
pub(crate) mod row;
pub(crate) mod server_configs;

use crate::attack::child_process::Interrupted;
use crate::attack::runner::Runner;
use crate::attack::server::{ServerKind, WHO, lacks};
use environment::Environment;
use load::{ATTACK_S, Attack, AttackedSites, Reports, keep, play};
use row::{BandwidthRun, Case, Row, all_kept, findings_of};
use server_configs::SeawallExtras;

/// Required tools, and those of the other servers, with their Debian packages.
const TOOLS: [(&str, &str); 1] = [("taskset", "util-linux")];
const OTHERS_TOOLS: [(&str, &str); 3] =
    [("nginx", "nginx-light"), ("haproxy", "haproxy"), ("openssl", "openssl")];

/// All of them. An origin answers 1,600 a second.
const CASES: [Case; 4] = [
    Case {
        vector: "A1",
        attack: Attack {
            scenario: "get-flood",
            words: &["--rate", "10000", "--connections", "200", "--addresses", "20"],
            seconds: ATTACK_S,
        },
        // The limit for each client ends it within seconds.
        exceeds: false,
    },
    Case {
        vector: "A2",
        attack: Attack { scenario: "post-flood", words: &[], seconds: ATTACK_S },
        exceeds: false,
    },
    Case {
        vector: "A3",
        attack: Attack { scenario: "cache-bust", words: &["--rate", "8000"], seconds: ATTACK_S },
        exceeds: true,
    },
    Case {
        vector: "A22",
        // All their connections fit into every server: only the origins are short of slots.
        attack: Attack {
            scenario: "botnet",
            words: &["--rate", "3600", "--connections", "3600", "--addresses", "3600"],
            seconds: ATTACK_S,
        },
        exceeds: true,
    },
];

/// All results.
#[derive(Debug)]
pub(crate) enum NoisyNeighbour {
    /// It was run.
    Run {
        /// The attacks.
        rows: Rows,
        /// The attacks on the bandwidth.
        pipes: Pipes,
        /// Why the others are missing, if they are.
        lack: Option<String>,
    },
    /// This machine lacks something.
    Skipped(String),
}

/// The attacks, in the order in which they were tried.
#[derive(Debug)]
pub(crate) struct Rows(Vec<Row>);

/// The attacks on the bandwidth.
#[derive(Debug)]
pub(crate) struct Pipes(Vec<BandwidthRun>);

/// Runs the attacks.
///
/// # Errors
/// The run is interrupted.
pub(crate) fn run(runner: &Runner<'_>) -> anyhow::Result<NoisyNeighbour> {
    if let Some(lack) = lacks(&TOOLS) {
        return Ok(NoisyNeighbour::Skipped(lack));
    }
    let lack = lacks(&OTHERS_TOOLS);
    let mut rows = Vec::new();
    for case in &CASES {
        for who in WHO.into_iter().filter(|who| *who == ServerKind::Seawall || lack.is_none()) {
            let reports = excused(attack_one(runner, case, who))?;
            let row = Row { case, who, reports };
            println!("attack: {}", row.line());
            rows.push(row);
        }
    }
    let mut pipes = Vec::new();
    for on in [AttackedSites::Both, AttackedSites::Alice] {
        let pipe = (on, excused(bandwidth::share(runner, on))?);
        println!("attack: {}", report_table::pipe_line(&pipe));
        pipes.push(pipe);
    }
    Ok(NoisyNeighbour::Run { rows: Rows(rows), pipes: Pipes(pipes), lack })
}

/// Turns an error into a row of the table; only an interrupt ends everything.
pub(crate) fn excused<T>(tried: anyhow::Result<T>) -> anyhow::Result<Result<T, String>> {
    match tried {
        Ok(done) => Ok(Ok(done)),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn attack_one(runner: &Runner<'_>, case: &Case, who: ServerKind) -> anyhow::Result<Reports> {
    let mut ground = Environment::start(&runner.programs, who, SeawallExtras::default())?;
    let reports = play(runner, &ground, case.attack, AttackedSites::Both)?;
    ground.is_up()?;
    keep(runner, &format!("{}-{}", case.attack.scenario, who.word()), &reports)?;
    Ok(reports)
}

impl NoisyNeighbour {
    /// Returns the tables.
    pub(crate) fn table(&self) -> String {
        match self {
            Self::Skipped(why) => format!("Neighbours under attack: skipped, {why}."),
            Self::Run { rows, pipes, lack } => {
                report_table::table(&rows.0, &pipes.0, lack.as_deref())
            }
        }
    }

    /// Returns the number of broken promises, and of all.
    pub(crate) fn broken(&self) -> (usize, usize) {
        let Self::Run { rows, pipes, .. } = self else { return (0, 0) };
        let of_rows = rows.0.iter().filter(|row| row.who == ServerKind::Seawall).map(Row::findings);
        let all: Vec<_> = of_rows.chain(pipes.0.iter().map(findings_of)).collect();
        (all.iter().filter(|findings| !all_kept(findings)).count(), all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(who: ServerKind) -> Row {
        Row { case: &CASES[0], who, reports: Err("no port".to_owned()) }
    }

    #[test]
    fn only_seawall_has_promises_to_break() {
        let rows =
            Rows(vec![row(ServerKind::Seawall), row(ServerKind::Nginx), row(ServerKind::Haproxy)]);
        let pipes = Pipes(vec![(AttackedSites::Both, Err("no port".to_owned()))]);
        assert_eq!(NoisyNeighbour::Run { rows, pipes, lack: None }.broken(), (2, 2));
        assert_eq!(NoisyNeighbour::Skipped(String::new()).broken(), (0, 0));
    }

    #[test]
    fn a_result_without_figures_keeps_nothing() {
        for case in &CASES {
            for bob in [None, Some(json!({}))] {
                let reports = Ok(Reports { alice: json!({}), bob });
                let findings = Row { case, who: ServerKind::Seawall, reports }.findings();
                assert!(findings.iter().all(|finding| !finding.kept), "{findings:?}");
                assert_eq!(findings.len(), if case.exceeds { 5 } else { 4 });
            }
        }
    }

    #[test]
    fn every_case_is_a_scenario_of_its_vector() {
        let page = include_str!("../../../../../tests/attack/README.md");
        for case in &CASES {
            let line = format!("| `{}` | {} |", case.attack.scenario, case.vector);
            assert!(page.contains(&line), "the page has no line that begins {line}");
        }
    }

    #[test]
    fn an_interrupt_ends_everything_and_a_failure_does_not() {
        assert!(excused::<()>(Err(Interrupted.into())).is_err());
        let failed = excused::<()>(Err(anyhow::anyhow!("no port"))).unwrap();
        assert_eq!(failed, Err("no port".to_owned()));
    }
}
