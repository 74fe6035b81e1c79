//! What the visitors saw, by phase.

use super::Plan;
use super::visitor::Outcome;
use crate::report::{LegitPhase, LegitReport, Phases, Spread};
use crate::sample::Phase;
use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest latency kept apart, in microseconds: beyond what any request may take.
const LONGEST_US: u64 = 60_000_000;

/// Which phase a request was due in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(usize);

/// All counts.
#[derive(Debug)]
pub(crate) struct Stats {
    phase: Phase,
    each: [Mutex<Counts>; 3],
}

#[derive(Debug)]
struct Counts {
    due: u64,
    ok: u64,
    bad: u64,
    sent_again: u64,
    answers: BTreeMap<u16, u64>,
    errors: BTreeMap<&'static str, u64>,
    latency: Histogram<u64>,
    late: Histogram<u64>,
}

fn one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(1);
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Counts {
    fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3).context("no histogram")?;
        Ok(Self {
            due: 0,
            ok: 0,
            bad: 0,
            sent_again: 0,
            answers: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency: histogram.clone(),
            late: histogram,
        })
    }

    fn report(&self) -> LegitPhase {
        let spread =
            |histogram: &Histogram<u64>| (!histogram.is_empty()).then(|| Spread::of(histogram));
        LegitPhase {
            due: self.due,
            ok: self.ok,
            bad: self.bad,
            answers: self.answers.iter().map(|(k, v)| (k.to_string(), *v)).collect(),
            errors: self.errors.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
            sent_again: self.sent_again,
            latency_us: spread(&self.latency),
            late_us: spread(&self.late),
        }
    }
}

impl Stats {
    /// Returns empty counts.
    pub(crate) fn new(phase: Phase) -> Result<Self> {
        let new = || Counts::new().map(Mutex::new);
        Ok(Self { phase, each: [new()?, new()?, new()?] })
    }

    fn with(&self, slot: Slot, note: impl FnOnce(&mut Counts)) {
        if let Some(counts) = self.each.get(slot.0) {
            note(&mut counts.lock());
        }
    }

    /// Records that a request is due now.
    pub(crate) fn begins(&self) -> Slot {
        let mut index = Phases { quiet: 0, attack: 1, recovery: 2 };
        let slot = Slot(*self.phase.of(&mut index));
        self.with(slot, |counts| counts.due = counts.due.saturating_add(1));
        slot
    }

    /// Records how late a request was started.
    pub(crate) fn sent(&self, slot: Slot, late: Duration) {
        self.with(slot, |counts| counts.late.saturating_record(us(late)));
    }

    /// Records how a request ended, and how long after it was due.
    pub(crate) fn ends(&self, slot: Slot, outcome: Outcome, took: Duration) {
        self.with(slot, |counts| {
            if outcome.sent_again {
                counts.sent_again = counts.sent_again.saturating_add(1);
            }
            let good = matches!(outcome.status, Ok(status) if status < 400);
            let side = if good { &mut counts.ok } else { &mut counts.bad };
            *side = side.saturating_add(1);
            match outcome.status {
                Ok(status) => one(&mut counts.answers, status),
                Err(error) => one(&mut counts.errors, error),
            }
            if outcome.status.is_ok() || outcome.waited {
                counts.latency.saturating_record(us(took));
            }
        });
    }

    /// Returns the report.
    pub(crate) fn report(&self, plan: &Plan) -> LegitReport {
        let [quiet, attack, recovery] = self.each.each_ref().map(|counts| counts.lock().report());
        let p99 = |phase: &LegitPhase| phase.latency_us.as_ref().map(|latency| latency.p99);
        let ratio = match (p99(&attack), p99(&quiet)) {
            (Some(under), Some(before)) if before > 0 => {
                Some((under as f64 / before as f64 * 100.0).round() / 100.0)
            }
            _ => None,
        };
        LegitReport {
            rate: plan.rate,
            visitors: plan.visitors,
            kinds: plan.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
            phases: Phases { quiet, attack, recovery },
            p99_ratio: ratio,
        }
    }
}
