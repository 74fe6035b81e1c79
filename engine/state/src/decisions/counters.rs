//! Counts of decisions, by kind and by rule.
//!
//! There is one set of counts for each generation, because a rule number has no meaning in another.
//! The counts are independent atomics: a reader can see a decision before the count of its rule.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_model::{RuleId, VerdictKind};

/// The counts of one generation.
#[derive(Debug, Default)]
pub struct DecisionCounters {
    decisions: [AtomicU64; VerdictKind::ALL.len()],
    hits: Box<[AtomicU64]>,
    shadows: Box<[AtomicU64]>,
    lines: Box<[Line]>,
}

/// The log lines of one rule.
#[derive(Debug, Default)]
struct Line {
    /// The second of the last line, plus one; 0 before the first.
    second: AtomicU64,
    /// Number of suppressed lines since then.
    untold: AtomicU64,
}

fn zeros(n: usize) -> Box<[AtomicU64]> {
    std::iter::repeat_with(AtomicU64::default).take(n).collect()
}

fn add_one(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn value(counter: Option<&AtomicU64>) -> u64 {
    counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
}

impl DecisionCounters {
    /// Creates counts for rules 0 to `rules` − 1.
    #[must_use]
    pub fn new(rules: usize) -> Self {
        let lines = std::iter::repeat_with(Line::default).take(rules).collect();
        Self { decisions: Default::default(), hits: zeros(rules), shadows: zeros(rules), lines }
    }

    /// Counts a decision.
    pub fn decided(&self, kind: VerdictKind) {
        add_one(self.decisions.get(kind as usize));
    }

    /// Counts that a rule applied. A rule of another generation is not counted.
    pub fn hit(&self, rule: RuleId) {
        add_one(self.hits.get(rule.0 as usize));
    }

    /// Counts that a shadow rule would have applied.
    pub fn shadowed(&self, rule: RuleId) {
        add_one(self.shadows.get(rule.0 as usize));
    }

    /// Returns whether a rule can write a log line in this second; each rule can write one. The
    /// value is the number of lines suppressed since the last one. Returns `None` for a rule of
    /// another generation.
    #[must_use]
    pub fn may_log(&self, rule: RuleId, second: u64) -> Option<u64> {
        let line = self.lines.get(rule.0 as usize)?;
        let stamp = second.saturating_add(1);
        if line.second.swap(stamp, Ordering::Relaxed) == stamp {
            add_one(Some(&line.untold));
            return None;
        }
        Some(line.untold.swap(0, Ordering::Relaxed))
    }

    /// Reverts [`may_log`](Self::may_log) for a line that was not written, with its suppressed
    /// lines.
    pub fn not_logged(&self, rule: RuleId, untold: u64) {
        if let Some(line) = self.lines.get(rule.0 as usize) {
            line.untold.fetch_add(untold.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// Returns the decisions of this kind.
    #[must_use]
    pub fn decisions(&self, kind: VerdictKind) -> u64 {
        value(self.decisions.get(kind as usize))
    }

    /// Returns all decisions.
    #[must_use]
    pub fn decisions_all(&self) -> u64 {
        VerdictKind::ALL.iter().fold(0, |sum, kind| sum.saturating_add(self.decisions(*kind)))
    }

    /// Returns how often the rule applied.
    #[must_use]
    pub fn hits(&self, rule: RuleId) -> u64 {
        value(self.hits.get(rule.0 as usize))
    }

    /// Returns how often a shadow rule would have applied.
    #[must_use]
    pub fn shadows(&self, rule: RuleId) -> u64 {
        value(self.shadows.get(rule.0 as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_and_each_rule_has_its_own_count() {
        let tally = DecisionCounters::new(2);
        for (i, kind) in VerdictKind::ALL.into_iter().enumerate() {
            (0..=i).for_each(|_| tally.decided(kind));
        }
        for (i, kind) in VerdictKind::ALL.into_iter().enumerate() {
            assert_eq!(tally.decisions(kind), i as u64 + 1);
        }
        assert_eq!(tally.decisions_all(), 28);
        tally.hit(RuleId(1));
        tally.shadowed(RuleId(0));
        assert_eq!([tally.hits(RuleId(0)), tally.hits(RuleId(1))], [0, 1]);
        assert_eq!([tally.shadows(RuleId(0)), tally.shadows(RuleId(1))], [1, 0]);
    }

    #[test]
    fn a_rule_logs_once_a_second_and_says_what_it_left_out() {
        let tally = DecisionCounters::new(2);
        let (one, other) = (RuleId(0), RuleId(1));
        assert_eq!(tally.may_log(one, 0), Some(0), "the first second is one, too");
        assert_eq!([tally.may_log(one, 0), tally.may_log(one, 0)], [None, None]);
        assert_eq!(tally.may_log(other, 0), Some(0), "each rule by itself");
        assert_eq!(tally.may_log(one, 1), Some(2));
        tally.not_logged(one, 2);
        assert_eq!(tally.may_log(one, 2), Some(3), "two, and the line that was taken back");
        assert_eq!(tally.may_log(RuleId(2), 0), None);
    }

    #[test]
    fn a_rule_beyond_the_generation_is_not_counted() {
        let tally = DecisionCounters::new(2);
        tally.hit(RuleId(2));
        assert_eq!(tally.hits(RuleId(2)), 0);
    }
}
