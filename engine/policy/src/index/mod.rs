//! An index of the rules of a layer: returns the rules that may apply to a request.
//!
//! Every rule is stored under the narrowest set of tests of which one must hold ([`cover`]). Every
//! value that such tests read is looked up once for all rules ([`field_index`]). Found rules are
//! evaluated in full and in source order. An index therefore changes the cost of a decision and
//! never its result. Rules that no index covers are always evaluated.

mod cache;
mod field_index;
mod grams;
mod literal_cover;
mod literals;
mod nets;
mod postings;
mod strings;

pub use cache::{MEMO_STEPS_MAX, MEMO_VALUE_BYTES_MAX, MEMO_VALUES};
pub use literal_cover::{COVER_TESTS_MAX, Cover, cover};
pub use literals::{SUBSTRING_BYTES_MIN, must_contain};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use seawall_model::RuleId;

use crate::eval::{Context, Value};
use crate::fuel::price;
use crate::program::{LevelId, Program, Step};
use crate::schema::Schema;
use cache::Place;
use field_index::{Draft, FieldIndex, Origin};
use postings::{Found, Postings};

/// Most values, networks and substrings in an index.
pub const INDEX_ENTRIES_MAX: usize = 500_000;

/// Most bytes of all of them together.
pub const INDEX_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The next number of an index. Numbers are unique, so cached results never mix.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// An index above its limit, with the rule that exceeded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The rule.
    pub rule: RuleId,
    /// Entries up to this rule.
    pub entries: usize,
    /// Bytes up to this rule.
    pub bytes: usize,
}

/// Steps, stored by the tests that they need.
#[derive(Debug)]
pub struct Index {
    number: u64,
    /// Ordered by the first step that each can return.
    sources: Box<[FieldIndex]>,
    postings: Postings,
    /// Steps that are always evaluated: for each level, the steps with this or a lower level.
    always: Box<[Box<[u32]>]>,
}

impl Index {
    /// Builds the index. The number of a step is its position in `steps`, in evaluation order.
    ///
    /// # Errors
    /// The index exceeds [`INDEX_ENTRIES_MAX`] or [`INDEX_TEXT_BYTES_MAX`].
    pub fn new<'s>(
        program: &Program,
        schema: &Schema,
        steps: impl Iterator<Item = &'s Step>,
    ) -> Result<Self, TooLarge> {
        let mut filing = Filing { program, drafts: BTreeMap::new(), entries: 0, bytes: 0 };
        let mut always: Vec<(LevelId, u32)> = Vec::new();
        let mut levels = Vec::new();
        for (number, step) in (0_u32..).zip(steps) {
            levels.push(step.level);
            match cover(program, schema, step.when) {
                Cover::Never => {}
                Cover::Always => always.push((step.level, number)),
                Cover::Tests { tests, .. } => {
                    for test in tests {
                        filing.file(test, number);
                    }
                    filing.bounded(step.rule)?;
                }
            }
        }
        let mut postings = Postings::default();
        let drafts = filing.drafts.into_iter();
        let mut sources: Vec<FieldIndex> =
            drafts.map(|(origin, draft)| draft.finish(origin, &levels, &mut postings)).collect();
        for source in &mut sources {
            let repeats = |(field, name)| schema.repeats(field, name);
            source.remembers = source.searches() && source.field().is_some_and(repeats);
        }
        sources.sort_by_key(|source| source.first);
        Ok(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            sources: sources.into(),
            postings,
            always: by_level(program, &always),
        })
    }

    /// Returns the approximate memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let always: usize = self.always.iter().map(|steps| steps.len().saturating_mul(4)).sum();
        let sources: usize = self.sources.iter().map(FieldIndex::bytes).sum();
        always.saturating_add(sources).saturating_add(self.postings.bytes())
    }

    /// Returns the steps that are evaluated for every request at the highest level.
    #[must_use]
    pub fn always(&self) -> &[u32] {
        self.always.last().map_or(&[], |steps| steps)
    }
}

/// The tests that are being added to an index.
struct Filing<'p> {
    program: &'p Program,
    drafts: BTreeMap<Origin, Draft>,
    entries: usize,
    bytes: usize,
}

impl Filing<'_> {
    fn file(&mut self, test: crate::program::AtomId, step: u32) {
        let Some(atom) = self.program.atoms.get(test.0 as usize) else { return };
        let Some((origin, folded)) = field_index::origin(self.program, atom.operand) else {
            return;
        };
        let (entries, bytes) = self.drafts.entry(origin).or_default().file(atom, folded, step);
        self.entries = self.entries.saturating_add(entries);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn bounded(&self, rule: RuleId) -> Result<(), TooLarge> {
        let (entries, bytes) = (self.entries, self.bytes);
        if entries > INDEX_ENTRIES_MAX || bytes > INDEX_TEXT_BYTES_MAX {
            return Err(TooLarge { rule, entries, bytes });
        }
        Ok(())
    }
}

/// Returns for each level the steps with this or a lower level.
fn by_level(program: &Program, always: &[(LevelId, u32)]) -> Box<[Box<[u32]>]> {
    let of = |level: usize| {
        let steps = always.iter().filter(|(least, _)| usize::from(least.0) <= level);
        steps.map(|(_, number)| *number).collect()
    };
    (0..=program.levels.len()).map(of).collect()
}

/// An iterator over the steps of an index in ascending order, for one request.
#[derive(Debug)]
pub struct Walk<'i> {
    index: &'i Index,
    level: LevelId,
    always: &'i [u32],
    /// Sources that were not looked up yet.
    sources: &'i [FieldIndex],
    /// Steps that sources returned; the next one is last.
    found: Found,
}

impl<'i> Walk<'i> {
    /// Starts at the first step, at this level.
    #[must_use]
    pub fn new(index: &'i Index, level: LevelId) -> Self {
        let always = index.always.get(usize::from(level.0)).map_or(index.always(), |steps| steps);
        Self { index, level, always, sources: &index.sources, found: Found::new() }
    }

    /// Returns the next step below `end` that may apply. A source is looked up only when it can
    /// return the next step. If an early rule ends the walk, later values are never read. The
    /// result has no meaning if the fuel is exhausted.
    pub fn next<C: Context>(&mut self, end: u32, program: &Program, ctx: &C) -> Option<u32> {
        loop {
            let always = self.always.first().copied().unwrap_or(u32::MAX);
            let next = always.min(self.found.last().copied().unwrap_or(u32::MAX));
            match self.sources.first() {
                Some(source) if source.first <= next && source.first < end => {
                    self.ask(source, program, ctx);
                    continue;
                }
                _ if next >= end => return None,
                _ => {}
            }
            if always == next {
                self.always = self.always.get(1..).unwrap_or_default();
            }
            while self.found.last() == Some(&next) {
                self.found.pop();
            }
            return Some(next);
        }
    }

    fn ask<C: Context>(&mut self, source: &'i FieldIndex, program: &Program, ctx: &C) {
        if source.level > self.level {
            self.sources = self.sources.get(1..).unwrap_or_default();
            return;
        }
        let number = self.index.sources.len().saturating_sub(self.sources.len());
        self.sources = self.sources.get(1..).unwrap_or_default();
        let place =
            Place { index: self.index.number, source: u32::try_from(number).unwrap_or(u32::MAX) };
        let before = self.found.len();
        let (found, postings, fuel) = (&mut self.found, &self.index.postings, ctx.fuel());
        if !fuel.take(price::LOOKUP) {
            return self.stop();
        }
        source.values(program, ctx, |value| {
            source.find_in_lists(value, ctx, postings, found);
            match value {
                Value::Bytes(bytes) if source.remembers => {
                    cache::find(place, bytes, (found, fuel), |found| {
                        source.find(value, postings, (found, fuel));
                    });
                }
                value => source.find(value, postings, (found, fuel)),
            }
        });
        if found.len() > before {
            found.sort_unstable_by(|a, b| b.cmp(a));
        }
        if fuel.is_empty() {
            self.stop();
        }
    }

    /// Ends the search, because results without fuel are incomplete.
    #[cold]
    fn stop(&mut self) {
        (self.always, self.sources) = (&[], &[]);
        self.found.clear();
    }
}
