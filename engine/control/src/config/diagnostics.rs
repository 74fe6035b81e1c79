//! Where in `seawall.toml` something stands, and what is said about it.
//!
//! Columns count characters, not bytes, from 1: that is what an editor shows.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most complaints shown about one file: LANGUAGE's figure for policies, for the same reason.
pub const FAULTS_MAX: usize = 20;

/// One complaint about `seawall.toml`.
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
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for ConfigDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, help } = self;
        write!(f, "{}:{line}:{column}: {message}", file.display())?;
        help.as_ref().map_or(Ok(()), |help| write!(f, "\n  help: {help}"))
    }
}

/// All complaints about `seawall.toml`, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The complaints, at most [`FAULTS_MAX`].
    pub faults: Vec<ConfigDiagnostic>,
    /// How many more there were.
    pub left_off: usize,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "\n" })?;
            fault.fmt(f)?;
        }
        match self.left_off {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Collects complaints about one text.
#[derive(Debug)]
pub(crate) struct Diagnostics<'t> {
    file: &'t Path,
    text: &'t str,
    found: Vec<(usize, ConfigDiagnostic)>,
    incomplete: bool,
}

impl<'t> Diagnostics<'t> {
    pub(crate) const fn new(file: &'t Path, text: &'t str) -> Self {
        Self { file, text, found: Vec::new(), incomplete: false }
    }

    /// Notes a complaint about the text at `span`.
    pub(crate) fn push(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let (line, column) = self.place(span.start);
        let fault = ConfigDiagnostic { file: self.file.to_owned(), line, column, message, help };
        self.found.push((span.start, fault));
    }

    /// Notes that something needed is not there; keeps still where mistakes were found before, as
    /// the missing thing may be what was mistaken.
    pub(crate) fn miss(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        if !self.incomplete {
            self.push(span, message, help);
        }
    }

    /// From here on, what is missing may have been there and been wrong.
    pub(crate) const fn set_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// The line and column of a byte.
    pub(crate) fn place(&self, byte: usize) -> (u32, u32) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        (from_one(line), from_one(column))
    }

    /// The complaints in the order of the file, or `value` where there are none.
    pub(crate) fn or<T>(mut self, value: T) -> Result<T, ConfigError> {
        if self.found.is_empty() {
            return Ok(value);
        }
        self.found.sort_by_key(|(byte, _)| *byte);
        let left_off = self.found.len().saturating_sub(FAULTS_MAX);
        let faults = self.found.into_iter().take(FAULTS_MAX).map(|(_, fault)| fault).collect();
        Err(ConfigError { faults, left_off })
    }
}

fn from_one(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}
