//! The counts and quarantines of members' parts, across rule sets.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{FuelLimits, Part, PartSummary};
use crate::ruleset::RuleSet;

impl RuleSet {
    /// Continues the quarantines and counts of members whose files are unchanged.
    pub(crate) fn go_on_from(&mut self, before: Option<&Self>) {
        let Some(before) = before else { return };
        self.parts.refused = Arc::clone(&before.parts.refused);
        let known: HashMap<&str, &Arc<Part>> =
            before.parts.each().into_iter().map(|part| (&*part.name, part)).collect();
        let digest = |rules: &Self, name: &str| rules.member(name).map(|member| member.digest());
        let mut same: HashMap<Box<str>, Arc<Part>> = HashMap::new();
        for part in self.parts.each() {
            if let Some(known) = known.get(&*part.name)
                && digest(self, &part.name) == digest(before, &part.name)
            {
                same.insert(part.name.clone(), Arc::clone(known));
            }
        }
        for part in self.parts.by_site.iter_mut().flatten() {
            if let Some(known) = same.get(&part.name) {
                *part = Arc::clone(known);
            }
        }
    }

    /// Returns the limits on the cost of one request.
    #[must_use]
    pub const fn fuel(&self) -> &FuelLimits {
        &self.fuel
    }

    /// Returns the counts of the members' parts.
    #[must_use]
    pub fn part_summaries(&self) -> Vec<PartSummary> {
        self.parts.each().into_iter().map(|part| part.summary()).collect()
    }

    /// Returns the number of requests with a 503 because the operator's fuel was exhausted.
    #[must_use]
    pub fn out_of_fuel(&self) -> u64 {
        self.parts.refused.load(Relaxed)
    }

    /// Ends the quarantine of a member's part. Returns whether the part exists.
    pub(crate) fn enable_part(&self, name: &str) -> bool {
        let found = self.parts.each().into_iter().filter(|part| *part.name == *name);
        found.map(|part| part.breaker.open()).count() > 0
    }
}
