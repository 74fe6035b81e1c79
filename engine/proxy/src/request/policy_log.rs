//! Log lines of `log` actions.
//!
//! Every request can cause one. So each rule writes at most one line per second, and reports with
//! the next how many were suppressed. All rules of the server have a common limit, and all rules of
//! members have another: lines of members never suppress lines of the server. A line names the
//! site, the rule, the text of the action and the generation. It contains no data of the visitor.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use seawall_model::{Reason, RuleId, Tick};
use seawall_ruleset::ActiveGeneration;

use crate::metrics::{ProxyMetrics, count};

/// Maximum characters of a rule's name in a line.
const NAME_CHARS_MAX: usize = 100;

/// Maximum of lines per second.
#[derive(Debug, Default)]
struct Cap {
    second: AtomicU64,
    in_second: AtomicU32,
}

impl Cap {
    /// At the turn of a second two threads may pass one line more.
    fn admits(&self, second: u64, most: u32) -> bool {
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        self.in_second.fetch_add(1, Relaxed) < most
    }
}

/// The limits on the lines.
#[derive(Debug)]
pub(crate) struct PolicyLog {
    lines_per_s: u32,
    host: Cap,
    members: Cap,
}

impl PolicyLog {
    pub(crate) fn new(lines_per_s: u32) -> Self {
        Self { lines_per_s, host: Cap::default(), members: Cap::default() }
    }

    /// Writes the line of a rule, if the limits permit one now.
    pub(crate) fn write(
        &self,
        of: (&ActiveGeneration, &ProxyMetrics),
        site: &str,
        asked: (RuleId, Option<&str>),
        now: Tick,
    ) {
        if let Some(line) = self.line(of, site, asked, now) {
            log::info!("{line}");
        }
    }

    fn line(
        &self,
        (live, counters): (&ActiveGeneration, &ProxyMetrics),
        site: &str,
        (rule, text): (RuleId, Option<&str>),
        now: Tick,
    ) -> Option<String> {
        let second = now.0 / 1_000;
        let Some(untold) = live.tally.may_log(rule, second) else {
            count(&counters.policy_log_suppressed);
            return None;
        };
        let cap = if live.rules.is_members(rule) { &self.members } else { &self.host };
        if !cap.admits(second, self.lines_per_s) {
            live.tally.not_logged(rule, untold);
            count(&counters.policy_log_suppressed);
            return None;
        }
        let name: String =
            live.rules.name(Reason::Rule(rule)).chars().take(NAME_CHARS_MAX).collect();
        let generation = live.generation;
        let says = text.map_or(String::new(), |text| format!(": {text}"));
        let more = match untold {
            0 => String::new(),
            n => format!(", {n} suppressed since its last line"),
        };
        Some(format!("{site}: the rule {name} applied{says} (generation {generation}{more})"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_model::Generation;
    use seawall_ruleset::RuleSetBuilder;
    use seawall_ruleset::{MemoryStore, Purpose, Sandbox, SandboxLimits, ServerSettings, Sources};
    use seawall_state::{DecisionCounters, Seed, State};

    use super::*;

    const POLICY: &str = "policy 1
member ann { hosts { \"a.example\" } may { log } file \"ann/a.wall\" }
floor {
  rule one { when path == \"/1\" then log \"hello\" }
  rule two { when path == \"/2\" then log }
}
";
    const HERS: &str = "policy 1
site \"a.example\" { rule own { when path == \"/3\" then log \"hers\" } }
";

    fn live() -> ActiveGeneration {
        let store = MemoryStore::default().with("root.wall", POLICY).with("ann/a.wall", HERS);
        let sandbox = Sandbox::new(SandboxLimits::default());
        let workshop = RuleSetBuilder::new(ServerSettings::default(), sandbox);
        let made = workshop.build(&Sources::gather("root.wall", &store), Purpose::Run, None);
        let rules = Arc::new(made.rules.unwrap());
        let state = Arc::new(State::new(Seed([7; 16]), rules.counter_specs()));
        let tally = Arc::new(DecisionCounters::new(rules.rule_names().len()));
        ActiveGeneration { generation: Generation(3), rules, state, tally }
    }

    /// Returns what a rule writes at a moment.
    fn said(
        log: &PolicyLog,
        live: &ActiveGeneration,
        rule: &str,
        text: Option<&str>,
        ms: u64,
    ) -> Option<String> {
        let at = live.rules.rule_names().iter().position(|name| **name == *rule).unwrap();
        let rule = RuleId(u32::try_from(at).unwrap());
        log.line((live, &ProxyMetrics::default()), "a.example", (rule, text), Tick(ms))
    }

    #[test]
    fn a_line_names_site_rule_text_and_generation_and_what_was_left_out() {
        let (log, live) = (PolicyLog::new(10), live());
        let first = said(&log, &live, "floor.one", Some("hello"), 5_000);
        let told = "a.example: the rule floor.one applied: hello (generation 3)";
        assert_eq!(first.as_deref(), Some(told));
        assert_eq!(said(&log, &live, "floor.one", Some("hello"), 5_999), None);
        let bare = said(&log, &live, "floor.two", None, 5_999);
        assert_eq!(bare.as_deref(), Some("a.example: the rule floor.two applied (generation 3)"));
        let later = said(&log, &live, "floor.one", None, 6_000).unwrap();
        assert!(later.ends_with("(generation 3, 1 suppressed since its last line)"), "{later}");
    }

    #[test]
    fn the_host_and_members_have_caps_of_their_own() {
        let (log, live) = (PolicyLog::new(1), live());
        assert!(said(&log, &live, "floor.one", None, 5_000).is_some());
        assert_eq!(said(&log, &live, "floor.two", None, 5_001), None, "the host's is used");
        assert!(said(&log, &live, "ann.own", None, 5_002).is_some(), "hers is not");
        let later = said(&log, &live, "floor.two", None, 6_000).unwrap();
        assert!(later.contains("1 suppressed"), "lines over the cap count too: {later}");
    }
}
