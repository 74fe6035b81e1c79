//! The differences between two policies.

use std::collections::{BTreeSet, HashMap};

use super::Outline;
use super::clause::{Clause, Entry};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The keyword, such as `rule`.
    pub kind: &'static str,
    /// The full name.
    pub name: Box<str>,
    /// The kind of change.
    pub how: How,
}

/// A change of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The entry is new; its text on one line.
    Added(String),
    /// The entry was removed; its text on one line.
    Removed(String),
    /// Clauses of the entry changed.
    Changed(Vec<ClauseChange>),
    /// The entry is unchanged at another position. The value is the entry before it; `None` at the
    /// start.
    Moved(Option<Box<str>>),
}

/// A changed clause. If both texts are equal, a `let` name in them has another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClauseChange {
    /// The keyword of the clause.
    pub word: &'static str,
    /// The text before, if the clause existed.
    pub before: Option<Box<str>>,
    /// The text after, if the clause exists.
    pub after: Option<Box<str>>,
}

type Key<'e> = (&'static str, &'e str);

fn key(entry: &Entry) -> Key<'_> {
    (entry.kind, &entry.name)
}

impl Outline {
    /// Returns the changes to get `newer`: first the removed entries, then the others in the order
    /// of `newer`.
    #[must_use]
    pub fn changes(&self, newer: &Self) -> Vec<Change> {
        let old: HashMap<Key<'_>, &Entry> = self.entries().map(|e| (key(e), e)).collect();
        let new: BTreeSet<Key<'_>> = newer.entries().map(key).collect();
        let change =
            |entry: &Entry, how| Change { kind: entry.kind, name: entry.name.clone(), how };
        let gone = self.entries().filter(|entry| !new.contains(&key(entry)));
        let mut all: Vec<Change> =
            gone.map(|entry| change(entry, How::Removed(entry.text()))).collect();
        let moved = moved(self, newer);
        let mut last: HashMap<&str, &str> = HashMap::new();
        for entry in newer.entries() {
            match old.get(&key(entry)) {
                None => all.push(change(entry, How::Added(entry.text()))),
                Some(before) => {
                    let clauses = clause_changes(&before.clauses, &entry.clauses);
                    if !clauses.is_empty() {
                        all.push(change(entry, How::Changed(clauses)));
                    }
                }
            }
            if let Some(order) = entry.order.as_deref() {
                let behind = last.insert(order, &entry.name);
                if moved.contains(&key(entry)) {
                    all.push(change(entry, How::Moved(behind.map(Box::from))));
                }
            }
        }
        all
    }
}

/// Compares clauses with the same keyword in their order; a decision table has many of them.
fn clause_changes(before: &[Clause], after: &[Clause]) -> Vec<ClauseChange> {
    let mut words: Vec<&'static str> = Vec::new();
    for clause in before.iter().chain(after) {
        if !words.contains(&clause.word) {
            words.push(clause.word);
        }
    }
    let mut all = Vec::new();
    for word in words {
        let mut old = before.iter().filter(|clause| clause.word == word);
        let mut new = after.iter().filter(|clause| clause.word == word);
        loop {
            let (old, new) = (old.next(), new.next());
            if old.is_none() && new.is_none() {
                break;
            }
            if old.map(|clause| &clause.meaning) != new.map(|clause| &clause.meaning) {
                let text = |clause: Option<&Clause>| clause.map(|clause| clause.text.clone());
                all.push(ClauseChange { word, before: text(old), after: text(new) });
            }
        }
    }
    all
}

/// Returns the entries in both outlines whose order changed: all that are not in the longest
/// subsequence with the same order. One moved entry is therefore reported as one.
fn moved<'e>(old: &Outline, newer: &'e Outline) -> BTreeSet<Key<'e>> {
    let ordered = |entry: &&Entry| entry.order.is_some();
    let places: HashMap<(Key<'_>, Option<&str>), usize> = (old.entries().filter(ordered))
        .enumerate()
        .map(|(at, entry)| ((key(entry), entry.order.as_deref()), at))
        .collect();
    let mut groups: HashMap<Option<&str>, Vec<(usize, Key<'e>)>> = HashMap::new();
    for entry in newer.entries().filter(ordered) {
        let order = entry.order.as_deref();
        if let Some(place) = places.get(&(key(entry), order)) {
            groups.entry(order).or_default().push((*place, key(entry)));
        }
    }
    let mut moved = BTreeSet::new();
    for group in groups.values() {
        let kept = longest_rise(group.iter().map(|(place, _)| *place));
        moved.extend(group.iter().filter(|(place, _)| !kept.contains(place)).map(|(_, key)| *key));
    }
    moved
}

/// Returns a longest increasing subsequence of distinct numbers, by patience sorting.
fn longest_rise(numbers: impl Iterator<Item = usize>) -> BTreeSet<usize> {
    // The last number of the best subsequence of each length, and the predecessor of each number.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: HashMap<usize, usize> = HashMap::new();
    for number in numbers {
        let at = ends.partition_point(|end| *end < number);
        if let Some(previous) = at.checked_sub(1).and_then(|at| ends.get(at)) {
            before.insert(number, *previous);
        }
        match ends.get_mut(at) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
    }
    let mut run = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(number) = next {
        run.insert(number);
        next = before.get(&number).copied();
    }
    run
}
