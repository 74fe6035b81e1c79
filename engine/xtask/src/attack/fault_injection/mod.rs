//! `cargo xtask attack operations`: failures and changes during visits. An origin fails or sends
//! invalid responses, members save broken files, processes upgrade, files and memory are scarce;
//! and after all of it everything is as before.
//!
//! It runs in the environment of [`noisy_neighbour`](super::noisy_neighbour): 850 sites, with
//! carol's visitors beside everything but `rest`.

mod admin_client;
mod broken_saves;
mod case;
mod leak_check;
mod origin_misuse;
mod origin_outage;
mod resource_exhaustion;
mod upgrades;
mod worst_policy;

use crate::attack::noisy_neighbour::excused;
use crate::attack::noisy_neighbour::report_table::{flat, promised};
use crate::attack::noisy_neighbour::row::{all_kept, could_not};
use crate::attack::runner::Runner;
use crate::attack::server::lacks;
use case::CaseOutcome;

/// What it takes, with the Debian packages that have it.
const TOOLS: [(&str, &str); 1] = [("taskset", "util-linux")];

/// What is typed for all of them.
const ALL: &str = "operations";

/// One thing to try.
#[derive(Debug)]
pub(crate) struct Case {
    name: &'static str,
    what: &'static str,
    run: fn(&Runner<'_>) -> anyhow::Result<CaseOutcome>,
}

const CASES: [Case; 14] = [
    Case {
        name: "origin-stopped",
        what: "A37: alice's origin stands still for 4 s, 800 requests a second",
        run: |runner| origin_outage::judged(runner, &origin_outage::STOPPED),
    },
    Case {
        name: "origin-killed",
        what: "A37: it is gone for 4 s, the same",
        run: |runner| origin_outage::judged(runner, &origin_outage::KILLED),
    },
    Case {
        name: "origin-flapping",
        what: "F12: it is there and is not there for 4 s, 200 ms each",
        run: |runner| origin_outage::judged(runner, &origin_outage::FLAPPING),
    },
    Case {
        name: "origin-heads",
        what: "A38: alice's origin answers with heads of 1 MB and without end, 400 at once",
        run: origin_misuse::heads,
    },
    Case {
        name: "given-up",
        what: "A39: 400 slow requests a second whose clients leave after 60 ms",
        run: origin_misuse::given_up,
    },
    Case {
        name: "worst-decision",
        what: "A40: the worst policy and request that a search has found, 100 a second",
        run: worst_policy::judged,
    },
    Case {
        name: "members-save",
        what: "F18: 85 of 850 members save broken files once a second, the operator edits",
        run: broken_saves::judged,
    },
    Case {
        name: "upgrades",
        what: "F16: 50 processes in turn, 800 requests a second on kept connections",
        run: upgrades::judged,
    },
    Case {
        name: "all-places",
        what: "A8: 16,000 connections that say nothing, 8,000 a second, where 10,000 have room",
        run: resource_exhaustion::places,
    },
    Case {
        name: "two-botnets",
        what: "A22: 5,000 addresses at alice and as many at bob, once a second each",
        run: resource_exhaustion::botnets,
    },
    Case {
        name: "few-files",
        what: "A9: 512 files, 2,000 connections that say nothing, 1,000 a second",
        run: resource_exhaustion::files,
    },
    Case {
        name: "little-memory-idle",
        what: "F10: 256 MiB, 9,000 idle HTTP/2 connections",
        run: |runner| resource_exhaustion::memory(runner, &resource_exhaustion::IDLE),
    },
    Case {
        name: "little-memory-unread",
        what: "F10: 256 MiB, 1,600 HTTP/2 connections that read none of their answers",
        run: |runner| resource_exhaustion::memory(runner, &resource_exhaustion::UNREAD),
    },
    Case {
        name: "rest",
        what: "F14: after every attack at once over, twice",
        run: leak_check::judged,
    },
];

/// One that was tried.
type Row = (&'static Case, CaseOutcome);

/// All results.
#[derive(Debug)]
pub(crate) struct FaultInjection(Vec<Row>);

/// Returns those whose name contains `part`.
pub(crate) fn chosen(part: &str) -> Vec<&'static Case> {
    let all = ALL.contains(part);
    CASES.iter().filter(|case| all || case.name.contains(part)).collect()
}

/// Returns what can be typed.
pub(crate) fn names() -> Vec<&'static str> {
    std::iter::once(ALL).chain(CASES.iter().map(|case| case.name)).collect()
}

/// Tries these.
///
/// # Errors
/// The run is interrupted.
pub(crate) fn run(runner: &Runner<'_>, cases: &[&'static Case]) -> anyhow::Result<FaultInjection> {
    let mut rows = Vec::new();
    let lack = lacks(&TOOLS);
    for case in cases {
        let tried = match &lack {
            Some(lack) => Ok(CaseOutcome::Skipped(lack.clone())),
            None => excused((case.run)(runner))?,
        };
        let tried = tried.unwrap_or_else(|why| CaseOutcome::Judged(vec![could_not(&why)]));
        let row = (*case, tried);
        println!("attack: {}", line(&row));
        rows.push(row);
    }
    Ok(FaultInjection(rows))
}

const HEAD: &str = "\
| | while | what was promised | |
|---|---|---|---|";

fn line((case, tried): &Row) -> String {
    let Case { name, what, .. } = case;
    let (text, verdict) = match tried {
        CaseOutcome::Judged(findings) => promised(findings),
        CaseOutcome::Skipped(why) => (flat(why), "skipped"),
    };
    format!("| `{name}` | {what} | {text} | {verdict} |")
}

impl FaultInjection {
    /// Returns the table; nothing where nothing was tried.
    pub(crate) fn table(&self) -> Option<String> {
        let lines: Vec<_> = self.0.iter().map(line).collect();
        (!lines.is_empty()).then(|| format!("{HEAD}\n{}", lines.join("\n")))
    }

    /// Returns the number of broken promises, and of all.
    pub(crate) fn broken(&self) -> (usize, usize) {
        let judged = self.0.iter().filter_map(|(_, tried)| match tried {
            CaseOutcome::Judged(findings) => Some(all_kept(findings)),
            CaseOutcome::Skipped(_) => None,
        });
        let kept: Vec<bool> = judged.collect();
        (kept.iter().filter(|kept| !**kept).count(), kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::case::{at_least, at_most};
    use super::*;

    #[test]
    fn every_case_can_be_typed_alone_and_all_of_them_together() {
        for case in &CASES {
            assert!(chosen(case.name).iter().any(|one| one.name == case.name));
        }
        assert_eq!((chosen(ALL).len(), chosen("").len()), (CASES.len(), CASES.len()));
        assert_eq!(chosen("origin-").len(), 4);
        assert!(chosen("nothing of ours").is_empty());
    }

    #[test]
    fn lines_have_as_many_cells_as_their_head_and_what_was_skipped_is_not_broken() {
        let cells = |line: &str| line.matches('|').count();
        let tried = [
            CaseOutcome::Skipped("no | cgroup".to_owned()),
            CaseOutcome::Judged(vec![at_most("answers", Some(3.0), (2.0, " ms"))]),
            CaseOutcome::Judged(vec![at_most("answers", None, (2.0, " ms"))]),
            CaseOutcome::Judged(vec![at_least("told", Some(1.0), 1.0)]),
        ];
        let rows: Vec<Row> = CASES.iter().zip(tried).collect();
        let head = HEAD.lines().next().unwrap();
        for row in &rows {
            assert_eq!(cells(&line(row)), cells(head), "{}", line(row));
        }
        assert!(line(&rows[1]).contains("**answers: 3 of 2 ms** | **broken**"));
        assert_eq!(FaultInjection(rows).broken(), (2, 3));
        assert_eq!(FaultInjection(Vec::new()).table(), None);
    }
}
