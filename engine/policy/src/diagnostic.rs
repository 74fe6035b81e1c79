//! Diagnostics about a policy: one type that a terminal, an editor and a tool can display.
//!
//! Messages are lower case and have no final stop. Words of the author are in backquotes. Internal
//! names never occur in them.

use std::sync::Arc;

use crate::code::Code;
use crate::span::{Span, line_column};

/// Most diagnostics shown for one policy, so that the first one stays visible.
pub const SHOWN_MAX: usize = 20;

/// A file among those that were loaded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy is rejected.
    Error,
    /// The policy loads, but has probably not the intended meaning.
    Warning,
    /// Additional information.
    Note,
}

impl Severity {
    /// Returns the displayed form.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A change that corrects the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// The text to replace; empty for an insertion.
    pub span: Span,
    /// The new text.
    pub replacement: String,
}

/// One diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// The problem, in one line.
    pub message: String,
    /// The file.
    pub file: FileId,
    /// The position in the file.
    pub span: Span,
    /// A short text at this position.
    pub label: String,
    /// A second relevant position, with a short text.
    pub related: Option<(FileId, Span, String)>,
    /// How to correct the problem.
    pub help: Option<String>,
    /// A change that corrects it automatically.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// Returns an error at this position.
    #[must_use]
    pub fn error(code: Code, file: FileId, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            file,
            span,
            label: String::new(),
            related: None,
            help: None,
            fix: None,
        }
    }

    /// Makes this diagnostic a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Makes this diagnostic a note.
    #[must_use]
    pub fn note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }

    /// Sets the short text at the position.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Sets the help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Sets a second position.
    #[must_use]
    pub fn related(mut self, file: FileId, span: Span, text: impl Into<String>) -> Self {
        self.related = Some((file, span, text.into()));
        self
    }

    /// Sets a change that corrects the problem.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// Returns whether the diagnostic rejects the policy.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The texts of the files that were loaded together, by [`FileId`].
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<(Arc<str>, Arc<str>)>,
}

impl Files {
    /// Adds a file. `name` is its path relative to the policy root.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        self.files.push((name.into(), text.into()));
        FileId(u32::try_from(self.files.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    /// Returns the number of files.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.files.len()).unwrap_or(u32::MAX)
    }

    /// Returns the files from number `first` on.
    #[must_use]
    pub fn from(&self, first: u32) -> Self {
        Self { files: self.files.get(first as usize..).unwrap_or_default().to_vec() }
    }

    /// Appends other files.
    pub fn append(&mut self, others: &Self) {
        self.files.extend(others.files.iter().cloned());
    }

    /// Keeps the first `count` files only.
    pub fn truncate(&mut self, count: u32) {
        self.files.truncate(count as usize);
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |(name, _)| name)
    }

    /// Returns the text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |(_, text)| text)
    }

    /// Returns the line and the column of an offset, both from 1.
    #[must_use]
    pub fn place(&self, file: FileId, offset: u32) -> (u32, u32) {
        line_column(self.text(file), offset)
    }
}

/// Sorts diagnostics by position. Removes duplicates with the same code and position.
pub fn tidy(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (a.file, a.span.start, a.severity, a.code).cmp(&(b.file, b.span.start, b.severity, b.code))
    });
    diagnostics.dedup_by(|a, b| a.file == b.file && a.span == b.span && a.code == b.code);
}

/// Longest word to compare, in characters. The table of a comparison has this number squared.
const WORD_CHARS_MAX: usize = 64;

/// Returns the word of `known` that is nearest to `word`: within edit distance 2, and at most half
/// of the word. Larger distances give misleading suggestions.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest_within(word, known, 2)
}

/// Returns the nearest word within another edit distance.
#[must_use]
pub fn nearest_within<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
    most: usize,
) -> Option<&'k str> {
    let length = word.chars().count();
    let most = most.min(length / 2);
    if length > WORD_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate, most), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the number of insertions, deletions, substitutions and swaps of neighbours between two
/// words. Ignores case (optimal string alignment). A swap is the most frequent typing error, so it
/// counts as one. Words whose lengths differ by more than `most` are not compared.
fn edit_distance(a: &str, b: &str, most: usize) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    if a.len().abs_diff(b.len()) > most {
        return most.saturating_add(1);
    }
    let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX);
    // The rows of the table for the last two characters of `a`.
    let mut earlier: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for (j, y) in b.iter().enumerate() {
            let changed = at(&row, j).saturating_add(usize::from(x != y));
            let removed = at(&row, j.saturating_add(1)).saturating_add(1);
            let added = at(&next, j).saturating_add(1);
            let before = j.checked_sub(1).filter(|before| b.get(*before) == Some(x));
            let swapped = match before {
                Some(before) if last == Some(y) => at(&earlier, before).saturating_add(1),
                _ => usize::MAX,
            };
            next.push(changed.min(removed).min(added).min(swapped));
        }
        earlier = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{edit_distance, nearest, nearest_within};

    #[test]
    fn suggestions_keep_their_distance() {
        let known = ["challenge", "block", "allow", "ua"];
        assert_eq!(nearest("challnge", known), Some("challenge"));
        assert_eq!(nearest("blok", known), Some("block"));
        assert_eq!(nearest("Allow", known), Some("allow"));
        assert_eq!(nearest("unknown_function", known), None);
        assert_eq!(nearest("x", known), None, "a guess from one letter is noise");
        assert_eq!(nearest(&"x".repeat(65), known), None);
    }

    #[test]
    fn distances_count_slips_of_the_hand() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("htpp", "http", 1),
            ("é", "e", 1),
            ("lgo", "log", 1),
            ("ab", "bca", 3),
            ("GET", "get", 0),
        ] {
            assert_eq!(edit_distance(a, b, 9), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a, 9), expected, "{b} {a}");
        }
        assert_eq!(nearest("sockte", ["socket"]), Some("socket"));
        assert_eq!(nearest("sokctx", ["socket"]), None);
        assert_eq!(nearest_within("PURGE", ["MERGE"], 1), None);
        assert_eq!(nearest_within("PSOT", ["POST"], 1), Some("POST"));
        assert_eq!(nearest("lgo", ["geo", "log"]), Some("log"));
    }
}
