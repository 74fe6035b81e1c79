//! The content of a policy, clause by clause, without its layout. Used to compare two policies.
//!
//! An entry has a name, and a clause is a part of it with a keyword. Each clause has two forms: the
//! text of its author, for display, and a normal form, for comparison. Comments, blanks, commas,
//! the notation of numbers and the file make no difference. The name of a `let` is replaced by its
//! value.
//!
//! Limitation: two conditions that have the same meaning and a different form, such as `a and b`
//! and `b and a`, are different.

mod changes;
mod clause;
mod read;
mod wording;

use std::sync::Arc;

pub use changes::{Change, ClauseChange, How};
pub use clause::{Clause, Entry};

use crate::check::Page;
use crate::diagnostic::Files;

/// The content of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Shared with the outlines of the parts.
    entries: Vec<Arc<Entry>>,
}

impl Outline {
    /// Returns the outline of a parsed policy.
    #[must_use]
    pub fn of(pages: &[Page], files: &Files) -> Self {
        Self::of_member(&[], pages, files)
    }

    /// Returns the outline of a member's pages. They may use declarations of the operator.
    #[must_use]
    pub fn of_member(host: &[Page], pages: &[Page], files: &Files) -> Self {
        Self { entries: read::entries(host, pages, files).into_iter().map(Arc::new).collect() }
    }

    /// Adds the outline of another part of the same policy.
    pub fn add(&mut self, other: &Self) {
        self.entries.extend(other.entries.iter().cloned());
    }

    /// Returns all entries, in source order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|entry| &**entry)
    }

    /// Returns the names of the rules, limits and levels that read the track `name`.
    #[must_use]
    pub fn watchers(&self, name: &str) -> Vec<&str> {
        let watching = self.entries().filter(|entry| entry.asks.contains(name));
        watching.map(|entry| &*entry.name).collect()
    }

    /// Returns whether the counter `name` counts under another condition in `newer`.
    #[must_use]
    pub fn condition_differs(&self, newer: &Self, name: &str) -> bool {
        const CONDITIONS: [&str; 6] = ["where", "when", "unless", "on", "under", "hosts"];
        let (Some(old), Some(new)) = (self.counting(name), newer.counting(name)) else {
            return false;
        };
        let meaning = |entry: &Entry, word| entry.clause(word).map(|of| of.meaning.clone());
        CONDITIONS.iter().any(|word| meaning(old, word) != meaning(new, word))
    }

    /// Returns the entry of the counter `name`. The counter of a `throttle` has the name of its
    /// rule.
    fn counting(&self, name: &str) -> Option<&Entry> {
        let of = |kinds: &[&str], name: &str| {
            self.entries().find(|entry| *entry.name == *name && kinds.contains(&entry.kind))
        };
        of(&["limit", "track"], name)
            .or_else(|| of(&["rule", "limit", "decide"], name.strip_suffix(".throttle")?))
    }
}

#[cfg(test)]
mod tests;
