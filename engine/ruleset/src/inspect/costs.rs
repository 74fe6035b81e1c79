//! What the rules of a ruleset cost, for people who put them in order.

use seawall_policy::check::costs;

use crate::http::SCHEMA;
use crate::ruleset::RuleSet;

/// What one rule or limit costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostLine {
    /// Its full name.
    pub name: Box<str>,
    /// `indexed` where only requests with something that it looks for are asked about, else
    /// `always`.
    pub class: &'static str,
    /// About how many nanoseconds it takes to ask.
    pub ns: u32,
    /// The most fuel that it takes for a head of 32 KiB, whatever stands there.
    pub fuel_max: u64,
}

impl RuleSet {
    /// What each rule and limit costs, those that are always asked first, then the dearest.
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

    /// The memory that all counters take together.
    #[must_use]
    pub fn counter_bytes(&self) -> usize {
        self.counter_specs().iter().fold(0, |sum: usize, spec| sum.saturating_add(spec.bytes()))
    }
}
