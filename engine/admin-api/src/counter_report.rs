//! What an edit does to the counters of a policy.

use serde::{Deserialize, Serialize};

/// What a reload did to the state, by the names of counters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterReport {
    /// Counts continue.
    pub kept: Vec<String>,
    /// Counts continue, and what is counted from now on is under another condition.
    pub condition_changed: Vec<String>,
    /// Counts are kept and read over another window, or in a table of another size.
    pub rescaled: Vec<String>,
    /// The name counts by another key or something else now: counting starts anew, and holds end.
    pub reset: Vec<CounterReset>,
    /// Was not there before: counting starts.
    pub new: Vec<String>,
    /// Is no longer there; a limit's holds end with it.
    pub removed: Vec<String>,
}

/// A counter that starts anew under its old name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReset {
    /// Its name.
    pub name: String,
    /// The rules, limits and levels that ask it, which read nothing at first.
    pub used_by: Vec<String>,
}

impl CounterReport {
    /// One line for each fate that befell any counter.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let reset = |reset: &CounterReset| match reset.used_by.as_slice() {
            [] => reset.name.clone(),
            watchers => format!("{} (asked by {})", reset.name, watchers.join(", ")),
        };
        let fates = [
            ("kept", self.kept.clone()),
            ("kept, condition changed", self.condition_changed.clone()),
            ("rescaled", self.rescaled.clone()),
            ("reset", self.reset.iter().map(reset).collect()),
            ("new", self.new.clone()),
            ("gone", self.removed.clone()),
        ];
        let line = |(fate, names): (&str, Vec<String>)| format!("{fate}: {}", names.join(", "));
        fates.into_iter().filter(|(_, names)| !names.is_empty()).map(line).collect()
    }
}
