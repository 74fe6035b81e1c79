//! What a policy says, clause by clause, without how it is laid out: what two policies are compared
//! by.
//!
//! An entry is a thing with a name, a clause a part of it with a word of its own. Each clause is
//! kept as its author wrote it, to be shown, and by what it means, to be compared: comments, blanks,
//! commas, the spelling of a number and the file that something stands in make no difference, and a
//! name that a `let` gives to a value counts as the value.
//!
//! Where this does not help: two conditions that are written differently and mean the same, such as
//! `a and b` and `b and a`, are different here.

mod changes;
mod clause;
mod read;
mod wording;

use std::sync::Arc;

pub use changes::{Change, ClauseChange, How};
pub use clause::{Clause, Entry};

use crate::check::Page;
use crate::diagnostic::Files;

/// What a policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Shared with the outlines of the parts that it is put together from.
    entries: Vec<Arc<Entry>>,
}

impl Outline {
    /// That of a policy that was read.
    #[must_use]
    pub fn of(pages: &[Page], files: &Files) -> Self {
        Self::of_member(&[], pages, files)
    }

    /// That of a member's pages, which may use what the host's declare.
    #[must_use]
    pub fn of_member(host: &[Page], pages: &[Page], files: &Files) -> Self {
        Self { entries: read::entries(host, pages, files).into_iter().map(Arc::new).collect() }
    }

    /// With what another part of the same policy says.
    pub fn add(&mut self, other: &Self) {
        self.entries.extend(other.entries.iter().cloned());
    }

    /// All entries, in reading order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|entry| &**entry)
    }

    /// The names of the rules, limits and levels that ask the track `name`.
    #[must_use]
    pub fn watchers(&self, name: &str) -> Vec<&str> {
        let watching = self.entries().filter(|entry| entry.asks.contains(name));
        watching.map(|entry| &*entry.name).collect()
    }

    /// Whether what the counter `name` is fed with is under another condition in `newer`.
    #[must_use]
    pub fn condition_differs(&self, newer: &Self, name: &str) -> bool {
        const CONDITIONS: [&str; 6] = ["where", "when", "unless", "on", "under", "hosts"];
        let (Some(old), Some(new)) = (self.counting(name), newer.counting(name)) else {
            return false;
        };
        let meaning = |entry: &Entry, word| entry.clause(word).map(|of| of.meaning.clone());
        CONDITIONS.iter().any(|word| meaning(old, word) != meaning(new, word))
    }

    /// What the counter `name` belongs to; that of a `throttle` is called after its rule.
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
