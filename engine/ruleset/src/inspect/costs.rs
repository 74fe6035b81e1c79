//! The cost of the rules of a rule set, to help authors order them.

use seawall_policy::check::costs;

use crate::http::SCHEMA;
use crate::ruleset::RuleSet;

/// The cost of a rule or limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostLine {
    /// Its full name.
    pub name: Box<str>,
    /// `indexed` if only requests found by the index evaluate it, else `always`.
    pub class: &'static str,
    /// Approximate nanoseconds of its evaluation.
    pub ns: u32,
    /// Maximum fuel for any request header of 32 KiB.
    pub fuel_max: u64,
}

impl RuleSet {
    /// Returns the cost of each rule and limit: first those that are always evaluated, then by
    /// cost.
    #[must_use]
    pub fn costs(&self) -> Vec<CostLine> {
        let mut all = costs(&self.program, &SCHEMA);
        all.sort_by_key(|cost| (cost.indexed, std::cmp::Reverse(cost.ns)));
        let line = |cost: seawall_policy::check::Cost| {
            let rule = self.program.rules.get(cost.rule.0 as usize)?;
            let class = if cost.indexed { "indexed" } else { "always" };
            let (ns, fuel_max) = (cost.ns, cost.fuel_max);
            Some(CostLine { name: rule.name.clone(), class, ns, fuel_max })
        };
        all.into_iter().filter_map(line).collect()
    }

    /// Returns the memory of all counters.
    #[must_use]
    pub fn counter_bytes(&self) -> usize {
        self.counter_specs().iter().fold(0, |sum: usize, spec| sum.saturating_add(spec.bytes()))
    }
}
