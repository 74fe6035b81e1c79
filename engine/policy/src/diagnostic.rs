//! What is said about a policy: one value that a terminal, an editor and a tool can all show.
//!
//! Messages are lower case, without a final stop, with the author's words in backticks and no name
//! of ours in them.

use std::sync::Arc;

use crate::code::Code;
use crate::span::{Span, line_column};

/// The most complaints shown for one policy; a file of nonsense should not scroll away the first.
pub const SHOWN_MAX: usize = 20;

/// A file among those that were loaded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// Loads, and is probably not what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// As it is shown.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A change that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced; empty for an insertion.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its number.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub file: FileId,
    /// Where in it.
    pub span: Span,
    /// A few words at the place itself.
    pub label: String,
    /// Another place that matters, with a few words.
    pub related: Option<(FileId, Span, String)>,
    /// How to mend it.
    pub help: Option<String>,
    /// A change that mends it by itself.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// An error at a place.
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

    /// The same, as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same, as a note.
    #[must_use]
    pub fn note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }

    /// With a few words at the place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// With another place.
    #[must_use]
    pub fn related(mut self, file: FileId, span: Span, text: impl Into<String>) -> Self {
        self.related = Some((file, span, text.into()));
        self
    }

    /// With a change that mends it.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// Whether it refuses the policy.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The texts that were loaded together, by [`FileId`].
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<(Arc<str>, Arc<str>)>,
}

impl Files {
    /// Adds a file; `name` is its path below the policy root.
    pub fn add(&mut self, name: &str, text: &str) -> FileId {
        self.files.push((name.into(), text.into()));
        FileId(u32::try_from(self.files.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.files.len()).unwrap_or(u32::MAX)
    }

    /// Those from the `first` on.
    #[must_use]
    pub fn from(&self, first: u32) -> Self {
        Self { files: self.files.get(first as usize..).unwrap_or_default().to_vec() }
    }

    /// Puts others behind these.
    pub fn append(&mut self, others: &Self) {
        self.files.extend(others.files.iter().cloned());
    }

    /// Leaves the first `count` of them.
    pub fn truncate(&mut self, count: u32) {
        self.files.truncate(count as usize);
    }

    /// The path of a file.
    #[must_use]
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |(name, _)| name)
    }

    /// The text of a file.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(file.0 as usize).map_or("", |(_, text)| text)
    }

    /// Line and column of an offset, both from 1.
    #[must_use]
    pub fn place(&self, file: FileId, offset: u32) -> (u32, u32) {
        line_column(self.text(file), offset)
    }
}

/// Puts complaints in the order of reading, without repeating one that stands at the same place
/// with the same number.
pub fn tidy(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (a.file, a.span.start, a.severity, a.code).cmp(&(b.file, b.span.start, b.severity, b.code))
    });
    diagnostics.dedup_by(|a, b| a.file == b.file && a.span == b.span && a.code == b.code);
}

/// Longest word worth comparing, in characters: the table of a comparison is this squared.
const WORD_CHARS_MAX: usize = 64;

/// The nearest of `known` to `word`: within edit distance 2, and never more than half the word.
/// Beyond that a guess misleads.
#[must_use]
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest_within(word, known, 2)
}

/// The same within another edit distance.
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

/// Insertions, deletions, changes and swaps of neighbours between two words, case apart (the optimal
/// string alignment). A swap is the commonest slip of all, so it counts as one. Words whose lengths
/// differ by more than `most` are not compared.
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
