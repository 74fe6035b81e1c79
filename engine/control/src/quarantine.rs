//! Says aloud when a rule goes into quarantine and when it comes back.
//!
//! Whoever wrote the rule may be asleep while its `on_failure` value decides; so it stands in the log
//! within a second, with what led to it.

use std::collections::HashMap;

use seawall_model::Tick;
use seawall_ruleset::ExternSummary;

/// How each extern was at the last look.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    seen: HashMap<Box<str>, Seen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    quarantines: u64,
    away: bool,
}

/// Milliseconds that an extern is still in quarantine.
pub(crate) fn left_ms(of: &ExternSummary, now: Tick) -> u64 {
    of.quarantined_until.map_or(0, |until| until.since_ms(now))
}

impl Lookout {
    /// What is to be told about these externs, one line each. An extern that was edited begins anew.
    pub(crate) fn look(&mut self, externs: &[ExternSummary], now: Tick) -> Vec<String> {
        let before = std::mem::take(&mut self.seen);
        let mut lines = Vec::new();
        for of in externs {
            let was = before.get(&of.name).copied().unwrap_or_default();
            let left_ms = left_ms(of, now);
            let is = Seen { quarantines: of.quarantines, away: left_ms > 0 };
            if of.quarantines > 0 && of.quarantines != was.quarantines {
                lines.push(gone(of, left_ms));
            }
            if was.away && !is.away {
                lines.push(format!("rule {} is asked again", of.name));
            }
            self.seen.insert(of.name.clone(), is);
        }
        lines
    }
}

fn gone(of: &ExternSummary, left_ms: u64) -> String {
    let failures = of.failures.iter().map(|(kind, count)| format!("{kind} {count}"));
    format!(
        "rule {} failed too often and is not asked for {} s; its `on_failure` value answers (failures \
         so far: {}). `seawall rule enable {}` brings it back sooner",
        of.name,
        left_ms.div_ceil(1_000),
        failures.collect::<Vec<_>>().join(", "),
        of.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::TEST_START;

    fn summary(quarantines: u64, until: Option<Tick>) -> ExternSummary {
        ExternSummary {
            name: "alice.office".into(),
            calls: 30,
            memo_hits: 0,
            extended: 0,
            failures: vec![("fuel", 19), ("time", 1)],
            fuel_peak: 0,
            quarantines,
            quarantined_until: until,
        }
    }

    #[test]
    fn going_and_coming_back_are_told_once() {
        let mut lookout = Lookout::default();
        assert!(lookout.look(&[summary(0, None)], NOW).is_empty());
        let until = Some(NOW.plus_ms(59_001));
        let lines = lookout.look(&[summary(1, until)], NOW);
        assert_eq!(lines.len(), 1);
        for part in ["alice.office", "for 60 s", "fuel 19, time 1", "`seawall rule enable"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
        assert!(lookout.look(&[summary(1, until)], NOW.plus_ms(59_000)).is_empty());
        let back = lookout.look(&[summary(1, until)], NOW.plus_ms(59_001));
        assert_eq!(back, ["rule alice.office is asked again"]);
        assert!(lookout.look(&[summary(1, until)], NOW.plus_ms(60_000)).is_empty());
    }

    #[test]
    fn a_second_time_and_an_end_by_hand_are_told_too() {
        let mut lookout = Lookout::default();
        assert_eq!(lookout.look(&[summary(1, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        assert_eq!(lookout.look(&[summary(1, None)], NOW), ["rule alice.office is asked again"]);
        assert_eq!(lookout.look(&[summary(2, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        // Edited, and away once more: its count begins anew.
        assert_eq!(lookout.look(&[summary(1, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        assert!(lookout.look(&[], NOW).is_empty());
        assert!(lookout.seen.is_empty(), "what is gone is forgotten");
    }
}
