//! What a policy says is made of.

use std::collections::BTreeSet;

/// A part of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The word that it begins with, as in `when`.
    pub word: &'static str,
    /// What follows, on one line, as its author wrote it.
    pub text: Box<str>,
    /// What that means.
    pub(super) meaning: Box<str>,
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The word of the language, as in `rule`.
    pub kind: &'static str,
    /// The full name.
    pub name: Box<str>,
    /// Its parts, in the order of the language.
    pub clauses: Vec<Clause>,
    /// What it is ordered among, where the order means something: a layer, a member, the levels.
    pub(super) order: Option<Box<str>>,
    /// The tracks that it asks, by full name.
    pub(super) asks: BTreeSet<Box<str>>,
}

impl Entry {
    /// The clause that begins with `word`.
    #[must_use]
    pub fn clause(&self, word: &str) -> Option<&Clause> {
        self.clauses.iter().find(|clause| clause.word == word)
    }

    /// All of it on one line.
    #[must_use]
    pub fn text(&self) -> String {
        let clause = |clause: &Clause| format!("{} {}", clause.word, clause.text).trim().to_owned();
        self.clauses.iter().map(clause).collect::<Vec<_>>().join(" ")
    }
}
