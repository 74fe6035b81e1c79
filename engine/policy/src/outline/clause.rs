//! The parts of an outline: entries and clauses.

use std::collections::BTreeSet;

/// A part of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The keyword, such as `when`.
    pub word: &'static str,
    /// The text after the keyword, on one line, as its author wrote it.
    pub text: Box<str>,
    /// The normal form of the text.
    pub(super) meaning: Box<str>,
}

/// A named statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The keyword, such as `rule`.
    pub kind: &'static str,
    /// The full name.
    pub name: Box<str>,
    /// Its clauses, in the order of the language.
    pub clauses: Vec<Clause>,
    /// The group in which its order matters: a layer, a member, the levels.
    pub(super) order: Option<Box<str>>,
    /// The tracks that it reads, by full name.
    pub(super) asks: BTreeSet<Box<str>>,
}

impl Entry {
    /// Returns the clause with the keyword `word`.
    #[must_use]
    pub fn clause(&self, word: &str) -> Option<&Clause> {
        self.clauses.iter().find(|clause| clause.word == word)
    }

    /// Returns the whole entry on one line.
    #[must_use]
    pub fn text(&self) -> String {
        let clause = |clause: &Clause| format!("{} {}", clause.word, clause.text).trim().to_owned();
        self.clauses.iter().map(clause).collect::<Vec<_>>().join(" ")
    }
}
