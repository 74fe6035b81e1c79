//! Diagnostics of the configuration file, each with its place.
//!
//! Columns count characters, not bytes, from 1, as editors show them.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most diagnostics of one file that are shown, as for a policy.
pub const CONFIG_DIAGNOSTICS_MAX: usize = 20;

/// Most diagnostics that are stored and sorted by place. Further ones are only counted, so a file
/// full of errors costs no more than one with a thousand.
const KEPT_MAX: usize = 1_000;

/// One error in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDiagnostic {
    /// The file, as the caller named it.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// The error.
    pub message: String,
    /// The correction.
    pub help: Option<String>,
}

impl fmt::Display for ConfigDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, help } = self;
        write!(f, "{}:{line}:{column}: {message}", file.display())?;
        help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

/// All errors in the configuration file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The errors, at most [`CONFIG_DIAGNOSTICS_MAX`].
    pub diagnostics: Vec<ConfigDiagnostic>,
    /// The number of further errors.
    pub omitted: usize,
}

impl ConfigError {
    /// Returns one error about the file as a whole.
    #[must_use]
    pub fn whole(path: &Path, message: String) -> Self {
        let file = path.to_owned();
        let one = ConfigDiagnostic { file, line: 1, column: 1, message, help: None };
        Self { diagnostics: vec![one], omitted: 0 }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, one) in self.diagnostics.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "\n" })?;
            one.fmt(f)?;
        }
        match self.omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Collects the diagnostics of one text.
#[derive(Debug)]
pub(crate) struct Diagnostics<'t> {
    file: &'t Path,
    text: &'t str,
    /// The byte at which each line starts.
    lines: Vec<usize>,
    found: Vec<(usize, ConfigDiagnostic)>,
    /// The number of diagnostics that were counted and not stored.
    omitted: usize,
    is_incomplete: bool,
}

impl<'t> Diagnostics<'t> {
    pub(crate) fn new(file: &'t Path, text: &'t str) -> Self {
        let newlines = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(newlines).collect();
        Self { file, text, lines, found: Vec::new(), omitted: 0, is_incomplete: false }
    }

    /// Returns whether further diagnostics are only counted.
    pub(crate) const fn is_full(&self) -> bool {
        self.found.len() >= KEPT_MAX
    }

    /// Counts a diagnostic without storing it.
    pub(crate) const fn omit(&mut self) {
        self.omitted = self.omitted.saturating_add(1);
        self.is_incomplete = true;
    }

    /// Adds a diagnostic about the text at `span`.
    pub(crate) fn push(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        if self.is_full() {
            self.omit();
            return;
        }
        let (line, column) = self.place(span.start);
        let one = ConfigDiagnostic { file: self.file.to_owned(), line, column, message, help };
        self.found.push((span.start, one));
    }

    /// Adds a diagnostic about a missing key or section. If a key could not be read, it may be the
    /// missing one, and no diagnostic is added.
    pub(crate) fn push_missing(&mut self, span: Range<usize>, message: String, help: &str) {
        if !self.is_incomplete {
            self.push(span, message, Some(help.to_owned()));
        }
    }

    /// Records that a key could not be read.
    pub(crate) const fn set_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Returns the number of diagnostics.
    pub(crate) const fn count(&self) -> usize {
        self.found.len().saturating_add(self.omitted)
    }

    /// Returns the text at `span`.
    pub(crate) fn text(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// Returns the line and the column of a byte.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..byte).unwrap_or_default();
        (short(line), short(before.chars().count().saturating_add(1)))
    }

    /// Returns the line of a byte.
    pub(crate) fn line(&self, byte: usize) -> u32 {
        short(self.lines.partition_point(|start| *start <= byte))
    }

    /// Returns the place of `span` as text.
    pub(crate) fn place_text(&self, span: Range<usize>) -> String {
        let (line, column) = self.place(span.start);
        format!("line {line}, column {column}")
    }

    /// Returns the diagnostics in the order of the file, if there are any.
    pub(crate) fn finish(&mut self) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|(byte, _)| *byte);
        let omitted = found.len().saturating_sub(CONFIG_DIAGNOSTICS_MAX);
        let omitted = omitted.saturating_add(self.omitted);
        let shown = found.into_iter().take(CONFIG_DIAGNOSTICS_MAX);
        Err(ConfigError { diagnostics: shown.map(|(_, one)| one).collect(), omitted })
    }
}

fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
