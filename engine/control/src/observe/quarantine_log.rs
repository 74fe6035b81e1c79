//! Logs when a rule or a member's part enters or leaves quarantine, and when the operator's rules
//! exceed their fuel.
//!
//! While a rule is in quarantine, its `on_failure` value decides. The line appears within a second,
//! with the cause.

use std::collections::HashMap;

use seawall_model::Tick;
use seawall_ruleset::{ExternSummary, PartSummary};

/// Milliseconds between two lines about the operator's fuel.
const HOST_TOLD_MS: u64 = 10_000;

/// The state of each extern and each member's part at the last check.
#[derive(Debug, Default)]
pub(crate) struct QuarantineLog {
    seen: HashMap<Box<str>, Seen>,
    members: HashMap<Box<str>, Seen>,
    /// How often the operator's fuel was exhausted when that was last logged, and when.
    host: (u64, Option<Tick>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Seen {
    quarantines: u64,
    away: bool,
}

/// Returns for how many milliseconds an extern remains in quarantine.
pub(crate) fn remaining_ms(of: &ExternSummary, now: Tick) -> u64 {
    of.quarantined_until.map_or(0, |until| until.since_ms(now))
}

impl QuarantineLog {
    /// Returns the lines about these externs. An edited extern starts anew.
    pub(crate) fn look(&mut self, externs: &[ExternSummary], now: Tick) -> Vec<String> {
        let before = std::mem::take(&mut self.seen);
        let mut lines = Vec::new();
        for of in externs {
            let was = before.get(&of.name).copied().unwrap_or_default();
            let left_ms = remaining_ms(of, now);
            let is = Seen { quarantines: of.quarantines, away: left_ms > 0 };
            if of.quarantines > 0 && of.quarantines != was.quarantines {
                lines.push(gone(of, left_ms));
            }
            if was.away && !is.away {
                lines.push(format!("rule {} left quarantine", of.name));
            }
            self.seen.insert(of.name.clone(), is);
        }
        lines
    }
}

impl QuarantineLog {
    /// Returns the lines about members' parts. An edited part starts anew.
    pub(crate) fn look_at_members(&mut self, parts: &[PartSummary], now: Tick) -> Vec<String> {
        let before = std::mem::take(&mut self.members);
        let mut lines = Vec::new();
        for of in parts {
            let was = before.get(&of.name).copied().unwrap_or_default();
            let left_ms = of.quarantined_until.map_or(0, |until| until.since_ms(now));
            let is = Seen { quarantines: of.quarantines, away: left_ms > 0 };
            if of.quarantines > 0 && of.quarantines != was.quarantines {
                lines.push(format!(
                    "the rules of member {name} exceeded `max_member_fuel` too often and are in quarantine \
                     for {s} s; only the operator's layers evaluate requests to the member's sites \
                     (skipped so far: {passed}). `seawall rule enable {name}` or an edit by the \
                     member ends the quarantine sooner",
                    name = of.name,
                    s = left_ms.div_ceil(1_000),
                    passed = of.passed_over,
                ));
            }
            if was.away && !is.away {
                lines.push(format!("the rules of member {} left quarantine", of.name));
            }
            self.members.insert(of.name.clone(), is);
        }
        lines
    }

    /// Returns the line about the operator's fuel, at most once in [`HOST_TOLD_MS`].
    pub(crate) fn look_at_host(&mut self, out: u64, now: Tick) -> Option<String> {
        let (known, told) = self.host;
        // A new ruleset counts from zero.
        let more = out.checked_sub(known).unwrap_or(out);
        if more == 0 {
            self.host.0 = out;
            return None;
        }
        if told.is_some_and(|told| now.since_ms(told) < HOST_TOLD_MS) {
            return None;
        }
        self.host = (out, Some(now));
        Some(format!(
            "the operator's rules exceeded `max_fuel` for {more} requests, which got a 503; \
             `seawall check --cost` shows the rules that can cost so much"
        ))
    }
}

fn gone(of: &ExternSummary, left_ms: u64) -> String {
    let failures = of.failures.iter().map(|(kind, count)| format!("{kind} {count}"));
    format!(
        "rule {} failed too often and is in quarantine for {} s; its `on_failure` value decides \
         (failures so far: {}). `seawall rule enable {}` ends the quarantine sooner",
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
        let mut lookout = QuarantineLog::default();
        assert!(lookout.look(&[summary(0, None)], NOW).is_empty());
        let until = Some(NOW.plus_ms(59_001));
        let lines = lookout.look(&[summary(1, until)], NOW);
        assert_eq!(lines.len(), 1);
        for part in ["alice.office", "for 60 s", "fuel 19, time 1", "`seawall rule enable"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
        assert!(lookout.look(&[summary(1, until)], NOW.plus_ms(59_000)).is_empty());
        let back = lookout.look(&[summary(1, until)], NOW.plus_ms(59_001));
        assert_eq!(back, ["rule alice.office left quarantine"]);
        assert!(lookout.look(&[summary(1, until)], NOW.plus_ms(60_000)).is_empty());
    }

    fn part(quarantines: u64, until: Option<Tick>) -> PartSummary {
        PartSummary { name: "alice".into(), passed_over: 20, quarantines, quarantined_until: until }
    }

    #[test]
    fn a_members_part_is_told_of_as_an_extern_is() {
        let mut lookout = QuarantineLog::default();
        assert!(lookout.look_at_members(&[part(0, None)], NOW).is_empty());
        let until = Some(NOW.plus_ms(59_001));
        let lines = lookout.look_at_members(&[part(1, until)], NOW);
        for part in ["member alice", "for 60 s", "far: 20", "`seawall rule enable alice`"] {
            assert!(lines.len() == 1 && lines[0].contains(part), "{part}: {lines:?}");
        }
        assert!(lookout.look_at_members(&[part(1, until)], NOW).is_empty());
        let back = lookout.look_at_members(&[part(1, None)], NOW);
        assert_eq!(back, ["the rules of member alice left quarantine"]);
        assert!(lookout.look_at_members(&[], NOW).is_empty() && lookout.members.is_empty());
    }

    #[test]
    fn the_hosts_empty_fuel_is_told_at_once_and_then_at_a_bounded_rate() {
        let mut lookout = QuarantineLog::default();
        assert_eq!(lookout.look_at_host(0, NOW), None);
        assert!(lookout.look_at_host(3, NOW).unwrap().contains("for 3 requests"));
        assert_eq!(lookout.look_at_host(3, NOW.plus_ms(1_000)), None);
        assert_eq!(lookout.look_at_host(9, NOW.plus_ms(9_999)), None);
        let later = lookout.look_at_host(50, NOW.plus_ms(10_000));
        assert!(later.unwrap().contains("for 47 requests"), "none is lost");
        assert!(lookout.look_at_host(2, NOW.plus_ms(20_000)).unwrap().contains("for 2 requests"));
    }

    #[test]
    fn a_second_time_and_an_end_by_hand_are_told_too() {
        let mut lookout = QuarantineLog::default();
        assert_eq!(lookout.look(&[summary(1, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        assert_eq!(lookout.look(&[summary(1, None)], NOW), ["rule alice.office left quarantine"]);
        assert_eq!(lookout.look(&[summary(2, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        // Edited, and in quarantine once more: its count starts anew.
        assert_eq!(lookout.look(&[summary(1, Some(NOW.plus_ms(10)))], NOW).len(), 1);
        assert!(lookout.look(&[], NOW).is_empty());
        assert!(lookout.seen.is_empty(), "what is gone is forgotten");
    }
}
