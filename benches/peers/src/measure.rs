//! Times evaluations: engines in turn, several rounds, medians.
//!
//! Every engine has a turn in each round, so a machine that slows down slows all of them.

use crate::peer::Peer;
use crate::requests::{AGENTS, Request, benign, hit, write_agent};
use crate::rules::Rules;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Turns of each engine.
pub(crate) const ROUNDS: usize = 7;

/// What one turn is to take.
const TURN: Duration = Duration::from_millis(40);

/// Evaluations in a turn of a slow engine, whatever they take.
const CALLS_MIN: usize = 3;

/// Evaluations between two reads of the clock.
const BATCH: usize = 64;

/// Sorts of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    /// No rule hits; sixteen agents take turns.
    Seen,
    /// No rule hits; no agent comes twice in the whole run.
    Unseen,
    /// The first rule hits.
    First,
    /// The last rule hits.
    Last,
}

impl Sort {
    /// All, as the report has them.
    pub(crate) const ALL: [Self; 4] = [Self::Seen, Self::Unseen, Self::First, Self::Last];

    /// As the report has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seen => "benign, agents seen before",
            Self::Unseen => "benign, agent never seen",
            Self::First => "first rule hits",
            Self::Last => "last rule hits",
        }
    }
}

/// Nanoseconds of one evaluation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// The median of the rounds.
    pub(crate) median: f64,
    /// The fastest round.
    pub(crate) least: f64,
    /// The slowest round.
    pub(crate) most: f64,
}

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Row {
    /// The rule set.
    pub(crate) rules: String,
    /// What was asked.
    pub(crate) sort: Sort,
    /// Of each engine, in the order of `peer::all`.
    pub(crate) timings: Vec<Timing>,
}

/// Requests to evaluate, and the next new agent.
struct Batch {
    requests: Vec<Request>,
    renewed: bool,
}

impl Batch {
    fn of(rules: &Rules, sort: Sort) -> Option<Self> {
        let test = match sort {
            Sort::Seen | Sort::Unseen => None,
            Sort::First => Some(rules.tests.first()?),
            Sort::Last => Some(rules.tests.last()?),
        };
        let request = |n| test.map_or_else(|| benign(n), |test| hit(test, n));
        let requests = (0..BATCH as u64).map(request).collect();
        Some(Self { requests, renewed: sort == Sort::Unseen })
    }

    /// Outside the time that is measured.
    fn renew(&mut self, agents: &mut u64) {
        if self.renewed {
            for request in &mut self.requests {
                write_agent(*agents, &mut request.ua);
                *agents += 1;
            }
        }
    }
}

/// The measuring of a run. Agents are counted over all of it.
#[derive(Debug)]
pub(crate) struct Meter {
    agents: u64,
}

impl Meter {
    /// A run that has not begun.
    pub(crate) fn new() -> Self {
        Self { agents: AGENTS }
    }

    /// Returns the line of one rule set and one sort of request, where there is such a request.
    pub(crate) fn row(
        &mut self,
        rules: &Rules,
        sort: Sort,
        peers: &mut [Box<dyn Peer>],
    ) -> Option<Row> {
        let mut batch = Batch::of(rules, sort)?;
        let calls: Vec<usize> =
            peers.iter_mut().map(|peer| self.calls(peer.as_mut(), &mut batch)).collect();
        let mut rounds = vec![Vec::with_capacity(ROUNDS); peers.len()];
        for _ in 0..ROUNDS {
            for ((peer, calls), times) in peers.iter_mut().zip(&calls).zip(&mut rounds) {
                let took = self.time(peer.as_mut(), &mut batch, *calls);
                times.push(took.as_nanos() as f64 / *calls as f64);
            }
        }
        let timings = rounds.into_iter().map(timing).collect();
        Some(Row { rules: rules.name.clone(), sort, timings })
    }

    /// Returns how many evaluations fill a turn; this also warms the engine up.
    fn calls(&mut self, peer: &mut dyn Peer, batch: &mut Batch) -> usize {
        let mut calls = 1;
        loop {
            let took = self.time(peer, batch, calls);
            if took > TURN / 8 {
                let fill = TURN.as_nanos() * calls as u128 / took.as_nanos();
                return (fill as usize).max(CALLS_MIN);
            }
            calls *= 4;
        }
    }

    fn time(&mut self, peer: &mut dyn Peer, batch: &mut Batch, calls: usize) -> Duration {
        let mut took = Duration::ZERO;
        let mut left = calls;
        while left > 0 {
            let now = left.min(BATCH);
            batch.renew(&mut self.agents);
            let start = Instant::now();
            for request in &batch.requests[..now] {
                black_box(peer.judge(black_box(request)));
            }
            took += start.elapsed();
            left -= now;
        }
        took
    }
}

fn timing(mut times: Vec<f64>) -> Timing {
    times.sort_by(f64::total_cmp);
    Timing { median: times[times.len() / 2], least: times[0], most: times[times.len() - 1] }
}
