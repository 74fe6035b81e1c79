//! The effect of an edit on the counters of a policy.

use serde::{Deserialize, Serialize};

/// The effect of a reload on the counters, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CounterReport {
    /// The counts continue.
    pub kept: Vec<String>,
    /// The counts continue. New counts are under another condition.
    pub condition_changed: Vec<String>,
    /// The counts continue with another window or another table size.
    pub rescaled: Vec<String>,
    /// The counter has another key or counts something else: it starts at zero, and holds end.
    pub reset: Vec<CounterReset>,
    /// New counters.
    pub new: Vec<String>,
    /// Removed counters. The holds of a limit end with it.
    pub removed: Vec<String>,
}

/// A counter that starts at zero under its old name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CounterReset {
    /// The name.
    pub name: String,
    /// The rules, limits and levels that read it. They read zero at first.
    pub used_by: Vec<String>,
}

impl CounterReport {
    /// Returns one line for each effect that any counter had.
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
