//! What an edit does to the counters, as a report.
//!
//! The state reports what happened to each counter, by its identity. The outlines of the two
//! policies add the rest: another condition, another counter under the same name, and the rules
//! that use it. The terms are the same before (`check --against`) and after the edit (`reload`,
//! `history`).

use seawall_admin_api::{CounterReport, CounterReset};
use seawall_ruleset::Outline;
use seawall_state::{CarryOverReport, CounterSpec};

/// One of two policies.
#[derive(Debug, Clone, Copy)]
pub struct PolicyView<'s> {
    /// Its counters.
    pub counters: &'s [CounterSpec],
    /// Its outline.
    pub outline: &'s Outline,
}

/// Returns what would happen to the counters of `old` if `new` replaced it.
#[must_use]
pub fn foreseen(old: PolicyView<'_>, new: PolicyView<'_>) -> CounterReport {
    let report = CarryOverReport::between(old.counters, new.counters);
    of(report, old.outline, new.outline)
}

/// Returns what happened to the counters, as the state reports it.
pub(crate) fn of(report: CarryOverReport, old: &Outline, new: &Outline) -> CounterReport {
    let texts = |names: Vec<Box<str>>| names.into_iter().map(String::from);
    let again: Vec<Box<str>> =
        report.new.iter().filter(|name| report.removed.contains(name)).cloned().collect();
    let reset = |name: &str| CounterReset {
        name: name.to_owned(),
        used_by: new.watchers(name).into_iter().map(str::to_owned).collect(),
    };
    let others = |names| texts(names).filter(|name| !again.iter().any(|again| **again == **name));
    let (condition_changed, kept) =
        texts(report.kept).partition(|name| old.condition_differs(new, name));
    CounterReport {
        kept,
        condition_changed,
        rescaled: texts(report.rescaled).collect(),
        reset: again.iter().map(|name| reset(name)).collect(),
        new: others(report.new).collect(),
        removed: others(report.removed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use seawall_ruleset::{
        MemoryStore, Purpose, RuleSet, RuleSetBuilder, Sandbox, SandboxLimits, ServerSettings,
        Sources,
    };

    use super::*;

    fn rules(text: &str) -> RuleSet {
        let workshop =
            RuleSetBuilder::new(ServerSettings::default(), Sandbox::new(SandboxLimits::default()));
        let store = MemoryStore::default().with("a.wall", format!("policy 1\n{text}"));
        let assembly = workshop.build(&Sources::gather("a.wall", &store), Purpose::Check, None);
        assembly.rules.unwrap_or_else(|| panic!("{:?}", assembly.diagnostics))
    }

    fn lines(old: &str, new: &str) -> Vec<String> {
        let (old, new) = (rules(old), rules(new));
        let side = |of: &'static RuleSet| PolicyView {
            counters: of.counter_specs(),
            outline: of.outline(),
        };
        foreseen(side(Box::leak(Box::new(old))), side(Box::leak(Box::new(new)))).lines()
    }

    const POLICY: &str = "track seen { count requests where path == \"/a\" per client over 1m keys 1k }\n\
        floor { rule many { when count(seen) > 5 then block }\n\
        limit calm { per client to 10/1m then block 429 hold 1m } }";

    #[test]
    fn every_edit_has_its_word() {
        for (from, to, expected) in [
            ("> 5", "> 6", vec!["kept: seen, floor.calm"]),
            ("10/1m", "20/1m burst 3", vec!["kept: seen, floor.calm"]),
            ("hold 1m", "", vec!["kept: seen, floor.calm"]),
            ("over 1m", "over 2m", vec!["kept: floor.calm", "rescaled: seen"]),
            ("keys 1k", "keys 2k", vec!["kept: floor.calm", "rescaled: seen"]),
            ("\"/a\"", "\"/b\"", vec!["kept: floor.calm", "kept, condition changed: seen"]),
            (
                "per client over",
                "per client.ip over",
                vec!["kept: floor.calm", "reset: seen (asked by floor.many)"],
            ),
            (
                "count requests",
                "count distinct ua",
                vec!["kept: floor.calm", "reset: seen (asked by floor.many)"],
            ),
            (
                "limit calm { per client",
                "limit calm { per client.net",
                vec!["kept: seen", "reset: floor.calm"],
            ),
            (
                "limit calm",
                "limit quiet",
                vec!["kept: seen", "new: floor.quiet", "gone: floor.calm"],
            ),
        ] {
            assert!(POLICY.contains(from), "{from}");
            let new = POLICY.replace(from, to).replace(
                "count(seen) > 5",
                match to {
                    "count distinct ua" => "distinct(seen) > 5",
                    _ => "count(seen) > 5",
                },
            );
            let new = if from == "> 5" { POLICY.replace(from, to) } else { new };
            assert_eq!(lines(POLICY, &new), expected, "{from} -> {to}");
        }
    }
}
