//! The list of generations on the disk. Each row of files is stored once, however many generations
//! contain it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use seawall_admin_api::{Marks, MarksOfParts, Past, RollbackPin};
use serde::{Deserialize, Serialize};

pub(super) const VERSION: u32 = 2;

/// What is stored, besides the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GenerationIndex {
    /// The newest last.
    pub(crate) generations: Vec<Arc<Past>>,
    /// Files on the disk that are not active.
    pub(crate) aside: Option<RollbackPin>,
}

/// The same in its stored form.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) version: u32,
    rows: Vec<Marks>,
    generations: Vec<Row>,
    aside: Option<RollbackPin>,
}

/// A generation whose files are rows.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    past: Past,
    files_row: usize,
    part_rows: BTreeMap<Box<str>, usize>,
}

impl Written {
    pub(super) fn of(generations: &[Arc<Past>], aside: Option<RollbackPin>) -> Self {
        let mut rows = Vec::new();
        let mut known = HashMap::new();
        let mut row = |marks: &Marks| {
            *known.entry(marks.address()).or_insert_with(|| {
                rows.push(marks.clone());
                rows.len().saturating_sub(1)
            })
        };
        let mut one = |past: &Arc<Past>| Row {
            files_row: row(&past.files),
            part_rows: past.parts.iter().map(|(name, marks)| (name.clone(), row(marks))).collect(),
            past: Past {
                files: Marks::default(),
                parts: MarksOfParts::default(),
                ..Past::clone(past)
            },
        };
        let generations = generations.iter().map(&mut one).collect();
        Self { version: VERSION, rows, generations, aside }
    }

    /// Returns `None` if it names a row that does not exist.
    pub(super) fn read(self) -> Option<GenerationIndex> {
        let Self { rows, generations, aside, .. } = self;
        let one = |row: Row| {
            let parts = row.part_rows.into_iter();
            let parts = parts.map(|(name, nth)| Some((name, rows.get(nth)?.clone())));
            Some(Arc::new(Past {
                files: rows.get(row.files_row)?.clone(),
                parts: parts.collect::<Option<_>>()?,
                ..row.past
            }))
        };
        let generations = generations.into_iter().map(one).collect::<Option<_>>()?;
        Some(GenerationIndex { generations, aside })
    }
}
