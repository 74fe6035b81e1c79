//! Diagnostics of the configuration file, each with its place.
//!
//! Columns count characters, not bytes, from 1: that is what an editor shows.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most diagnostics that are shown of one file, as of a policy.
pub const CONFIG_DIAGNOSTICS_MAX: usize = 20;

/// One error in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDiagnostic {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// How to correct it.
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
    /// How many more there are.
    pub omitted: usize,
}

impl ConfigError {
    /// An error of the file as a whole.
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
    found: Vec<(usize, ConfigDiagnostic)>,
    is_incomplete: bool,
}

impl<'t> Diagnostics<'t> {
    pub(crate) const fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, found: Vec::new(), is_incomplete: false }
    }

    /// Adds a diagnostic about the text at `span`.
    pub(crate) fn push(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let (line, column) = self.place(span.start);
        let one = ConfigDiagnostic { file: self.file.to_owned(), line, column, message, help };
        self.found.push((span.start, one));
    }

    /// Says that something required is missing, unless a key could not be read: that key may be the
    /// missing one.
    pub(crate) fn push_missing(&mut self, span: Range<usize>, message: String, help: &str) {
        if !self.is_incomplete {
            self.push(span, message, Some(help.to_owned()));
        }
    }

    /// Notes that a key could not be read.
    pub(crate) const fn set_incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Returns how many diagnostics there are.
    pub(crate) const fn count(&self) -> usize {
        self.found.len()
    }

    /// Returns the text at `span`.
    pub(crate) fn text(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// Returns the line and the column of a byte.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        (from_one(line), from_one(column))
    }

    /// Returns the place of `span` in words.
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
        let shown = found.into_iter().take(CONFIG_DIAGNOSTICS_MAX);
        Err(ConfigError { diagnostics: shown.map(|(_, one)| one).collect(), omitted })
    }
}

fn from_one(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
