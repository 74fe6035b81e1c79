//! Diagnostics for display: with file, line and column.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use seawall_model::shown::{is_spelt_out, one_line};
use seawall_policy::diagnostic::{self, FileId, Files, SHOWN_MAX};

pub use seawall_policy::diagnostic::Severity;

use crate::build::sources::Sources;
use crate::policy_tests::result::PolicyTestResult;

/// The code of the diagnostic about a failed policy test.
pub const TEST_FAILED: &str = "test";

/// Most diagnostics about the operator's files in one check: 1,000.
pub const COMPLAINTS_MAX: usize = 1_000;

/// A change that corrects the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// First line, from 1.
    pub line: u32,
    /// First column, from 1.
    pub column: u32,
    /// Last line.
    pub end_line: u32,
    /// One past the last column.
    pub end_column: u32,
    /// The new text.
    pub replacement: String,
    /// The bytes to replace.
    pub bytes: Range<usize>,
}

/// A diagnostic with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its code: a letter and three digits.
    pub code: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// The path of the file, relative to the policy root.
    pub file: Box<str>,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// The last line.
    pub end_line: u32,
    /// One past the last column.
    pub end_column: u32,
    /// The problem.
    pub message: String,
    /// A short text at the position.
    pub label: String,
    /// How to correct the problem.
    pub help: Option<String>,
    /// Changes that correct it automatically.
    pub fixes: Vec<Fix>,
    /// Its byte range.
    pub bytes: Range<usize>,
    /// A second position: its file, its bytes and a short text.
    pub related: Option<(Box<str>, Range<usize>, String)>,
}

impl Diagnostic {
    /// Adds the position to a diagnostic.
    fn located(from: &diagnostic::Diagnostic, places: &mut LineIndex<'_>) -> Self {
        let files = places.files;
        let (line, column) = places.go_to(from.file, from.span.start);
        let (end_line, end_column) = places.near(from.file, from.span.end);
        let fix = from.fix.as_ref().map(|fix| {
            let (line, column) = places.near(from.file, fix.span.start);
            let (end_line, end_column) = places.near(from.file, fix.span.end);
            let replacement = fix.replacement.clone();
            Fix { line, column, end_line, end_column, replacement, bytes: fix.span.range() }
        });
        Self {
            code: from.code.as_str(),
            severity: from.severity,
            file: files.name(from.file).into(),
            line,
            column,
            end_line,
            end_column,
            message: one_line(&from.message).into_owned(),
            label: one_line(&from.label).into_owned(),
            help: from.help.as_deref().map(|help| one_line(help).into_owned()),
            fixes: fix.into_iter().collect(),
            bytes: from.span.range(),
            related: from.related.as_ref().map(|(file, span, text)| {
                (files.name(*file).into(), span.range(), one_line(text).into_owned())
            }),
        }
    }

    /// Returns a failed policy test as an error at its position.
    #[must_use]
    pub fn failed_test(outcome: &PolicyTestResult) -> Self {
        Self {
            code: TEST_FAILED,
            severity: Severity::Error,
            file: outcome.file.clone(),
            line: outcome.line,
            column: outcome.column,
            end_line: outcome.line,
            end_column: outcome.column,
            message: one_line(&format!("test `{}` fails: {}", outcome.name, outcome.says))
                .into_owned(),
            label: String::new(),
            help: None,
            fixes: Vec::new(),
            bytes: 0..0,
            related: None,
        }
    }

    /// Returns `file:line:column: severity[code]: message`, for logs.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Self { file, line, column, code, message, .. } = self;
        let help = self.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        let severity = self.severity.word();
        let text = format!("{file}:{line}:{column}: {severity}[{code}]: {message}{help}");
        one_line(&text).into_owned()
    }
}

/// Returns the diagnostics with their positions: at most `most`, errors before others. Their order
/// stays that of the source.
pub(crate) fn located(
    all: &[diagnostic::Diagnostic],
    files: &Files,
    most: usize,
) -> Vec<Diagnostic> {
    let errors = all.iter().filter(|of| of.is_error()).count();
    let mut room = [errors.min(most), most.saturating_sub(errors)];
    let mut places = LineIndex { files, here: None };
    let mut kept = Vec::with_capacity(all.len().min(most));
    for of in all {
        let [for_errors, for_others] = &mut room;
        let left = if of.is_error() { for_errors } else { for_others };
        if let Some(less) = left.checked_sub(1) {
            *left = less;
            kept.push(Diagnostic::located(of, &mut places));
        }
    }
    kept
}

/// Returns one diagnostic with its position.
pub(crate) fn one(of: &diagnostic::Diagnostic, files: &Files) -> Diagnostic {
    Diagnostic::located(of, &mut LineIndex { files, here: None })
}

/// Computes lines and columns from the previous position. Otherwise each of many diagnostics about
/// one long line would count from its start.
struct LineIndex<'f> {
    files: &'f Files,
    here: Option<(FileId, u32, (u32, u32))>,
}

impl LineIndex<'_> {
    fn go_to(&mut self, file: FileId, offset: u32) -> (u32, u32) {
        let place = self.near(file, offset);
        self.here = Some((file, offset, place));
        place
    }

    fn near(&self, file: FileId, offset: u32) -> (u32, u32) {
        let text = self.files.text(file).as_bytes();
        let Some((at_file, at, (line, column))) = self.here else {
            return self.files.place(file, offset);
        };
        match text.get(at as usize..offset as usize) {
            Some(between) if at_file == file => {
                between.iter().fold((line, column), |(line, column), byte| match byte {
                    b'\n' => (line.saturating_add(1), 1),
                    // A continuation byte of a character.
                    0x80..=0xbf => (line, column),
                    _ => (line, column.saturating_add(1)),
                })
            }
            _ => self.files.place(file, offset),
        }
    }
}

/// The style of rendered diagnostics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes.
    Plain,
    /// For a terminal.
    Colour,
}

/// Renders diagnostics with their lines, at most [`SHOWN_MAX`].
#[must_use]
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        out.push_str(&draw(diagnostic, sources, &renderer));
        out.push_str("\n\n");
    }
    if let Some(more) = diagnostics.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        out.push_str(&format!("and {more} more\n"));
    }
    out
}

/// Returns a span inside the text and on character boundaries. A file that is not UTF-8 is shown
/// with its invalid bytes replaced, so its spans can point into a replacement.
fn within(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(bytes.start.min(text.len()));
    let end = text.ceil_char_boundary(bytes.end.min(text.len()));
    start..end.max(start)
}

/// Returns a text for rendering. Each escaped character is replaced by a sign of the same number of
/// bytes, so that positions stay valid. The renderer replaces control characters of one byte.
fn drawable(text: Cow<'_, str>) -> Cow<'_, str> {
    let is_out = |c: char| is_spelt_out(c) && !c.is_ascii();
    if !text.contains(is_out) {
        return text;
    }
    let sign = |c: char| match c.len_utf8() {
        _ if !is_out(c) => c,
        2 => '\u{bf}',
        3 => '\u{fffd}',
        _ => '\u{1f6ab}',
    };
    text.chars().map(sign).collect()
}

fn draw(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let (text, path) = (drawable(sources.text(&diagnostic.file)), one_line(&diagnostic.file));
    let mut here = AnnotationKind::Primary.span(within(&text, &diagnostic.bytes));
    if !diagnostic.label.is_empty() {
        here = here.label(diagnostic.label.as_str());
    }
    let mut main =
        Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code))
            .element(Snippet::source(&*text).path(&*path).annotation(here));
    let other = diagnostic.related.as_ref().map(|(file, bytes, words)| {
        (drawable(sources.text(file)), one_line(file), bytes.clone(), words.as_str())
    });
    if let Some((text, file, bytes, words)) = &other {
        let there = AnnotationKind::Context.span(within(text, bytes)).label(*words);
        main = main.element(Snippet::source(&**text).path(&**file).annotation(there));
    }
    if let Some(help) = &diagnostic.help {
        main = main.element(Level::HELP.message(help.as_str()));
    }
    let mut groups = vec![main];
    for fix in &diagnostic.fixes {
        let patch =
            Patch::new(within(&text, &fix.bytes), drawable(fix.replacement.as_str().into()));
        groups.push(
            Group::with_title(Level::HELP.secondary_title("a change that corrects it"))
                .element(Snippet::source(&*text).path(&*path).patch(patch)),
        );
    }
    renderer.render(&groups)
}

#[cfg(test)]
mod tests {
    use seawall_policy::code::Code;
    use seawall_policy::span::Span;

    use super::*;

    fn at(offset: usize) -> diagnostic::Diagnostic {
        let span = Span::new(offset, offset + 3);
        diagnostic::Diagnostic::error(Code::Unexpected, FileId::default(), span, "x")
    }

    #[test]
    fn places_are_those_that_counting_from_the_beginning_gives() {
        let mut files = Files::default();
        let text = "one\nzw\u{f6} lf\r\n\n\u{20ac}\u{20ac}x\n".repeat(4);
        let file = files.add("a", &text);
        let mut places = LineIndex { files: &files, here: None };
        for offset in (0..70).step_by(3).chain([5, 4, 60, 1_000, 2]) {
            assert_eq!(places.go_to(file, offset), files.place(file, offset), "{offset}");
            for other in [offset + 2, offset.saturating_sub(4)] {
                assert_eq!(places.near(file, other), files.place(file, other));
            }
        }
    }

    #[test]
    fn what_a_member_writes_is_drawn_without_what_a_terminal_acts_on() {
        let evil = "\u{1b}[31m\u{9b}2J\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041}\u{7}\u{7f}";
        let text = format!("rule {evil} {{ when x }} # {evil}\n");
        let mut files = Files::default();
        let name = format!("m/{evil}\nseawall: forged.wall");
        let file = files.add(&name, &text);
        let span = Span::new(5, 5 + evil.len());
        let said =
            diagnostic::Diagnostic::error(Code::Unexpected, file, span, format!("`{evil}\nx`"))
                .label(evil)
                .help(evil)
                .related(file, span, evil)
                .fix(span, evil);
        let store = crate::MemoryStore::default().with(&name, text.as_bytes());
        let sources = Sources::gather(&name, &store);
        let all = located(&[said], &files, COMPLAINTS_MAX);
        let line = all[0].one_line();
        let drawn = render(&all, &sources, Style::Plain);
        assert!(drawn.contains("forged"), "{drawn}");
        for shown in
            [line.clone(), all[0].message.clone(), all[0].label.clone(), drawn.replace('\n', "")]
        {
            assert!(!shown.contains(is_spelt_out), "{shown:?}");
        }
        assert!(!drawn.lines().any(|line| line.starts_with("seawall")), "{drawn}");
        assert!(line.contains("\\u{1b}[31m"), "{line}");
    }

    #[test]
    fn of_too_many_complaints_the_errors_stay() {
        let mut files = Files::default();
        files.add("a", &"x".repeat(3 * COMPLAINTS_MAX));
        let mut all: Vec<_> = (0..2 * COMPLAINTS_MAX).map(|n| at(n).note()).collect();
        assert_eq!(located(&all[..COMPLAINTS_MAX], &files, COMPLAINTS_MAX).len(), COMPLAINTS_MAX);
        all.push(at(2 * COMPLAINTS_MAX));
        let kept = located(&all, &files, COMPLAINTS_MAX);
        assert_eq!(kept.len(), COMPLAINTS_MAX);
        assert_eq!(kept.last().map(|last| last.severity), Some(Severity::Error));
        let all: Vec<_> = (0..2 * COMPLAINTS_MAX).map(at).collect();
        assert_eq!(located(&all, &files, COMPLAINTS_MAX).len(), COMPLAINTS_MAX);
    }
}
