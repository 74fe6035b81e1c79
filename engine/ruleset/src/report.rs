//! Complaints as people and tools read them: with file, line and column.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use seawall_policy::diagnostic::{self, Files, SHOWN_MAX};

pub use seawall_policy::diagnostic::Severity;

use crate::cases::TestOutcome;
use crate::sources::Sources;

/// The code under which a failing test of a policy is reported.
pub const TEST_FAILED: &str = "test";

/// A change that mends it.
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
    /// The text that goes there.
    pub replacement: String,
    /// The bytes that it replaces.
    pub bytes: Range<usize>,
}

/// One complaint, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its number: a letter and three digits.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file, below the policy root.
    pub file: Box<str>,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// The last line.
    pub end_line: u32,
    /// One past the last column.
    pub end_column: u32,
    /// What is wrong.
    pub message: String,
    /// A few words at the place.
    pub label: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Changes that mend it by themselves.
    pub fixes: Vec<Fix>,
    /// The bytes it is about.
    pub bytes: Range<usize>,
    /// Another place that matters: its file, its bytes and a few words.
    pub related: Option<(Box<str>, Range<usize>, String)>,
}

impl Diagnostic {
    /// With its place in `files`.
    pub(crate) fn located(from: &diagnostic::Diagnostic, files: &Files) -> Self {
        let (line, column) = files.place(from.file, from.span.start);
        let (end_line, end_column) = files.place(from.file, from.span.end);
        let fix = from.fix.as_ref().map(|fix| {
            let (line, column) = files.place(from.file, fix.span.start);
            let (end_line, end_column) = files.place(from.file, fix.span.end);
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
            message: from.message.clone(),
            label: from.label.clone(),
            help: from.help.clone(),
            fixes: fix.into_iter().collect(),
            bytes: from.span.range(),
            related: from
                .related
                .as_ref()
                .map(|(file, span, text)| (files.name(*file).into(), span.range(), text.clone())),
        }
    }

    /// A test of a policy that failed, as an error at its place.
    #[must_use]
    pub fn failed_test(outcome: &TestOutcome) -> Self {
        Self {
            code: TEST_FAILED,
            severity: Severity::Error,
            file: outcome.file.clone(),
            line: outcome.line,
            column: outcome.column,
            end_line: outcome.line,
            end_column: outcome.column,
            message: format!("test `{}` fails: {}", outcome.name, outcome.says),
            label: String::new(),
            help: None,
            fixes: Vec::new(),
            bytes: 0..0,
            related: None,
        }
    }

    /// `file:line:column: severity[code]: message`, for logs.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Self { file, line, column, code, message, .. } = self;
        let help = self.help.as_deref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{file}:{line}:{column}: {}[{code}]: {message}{help}", self.severity.word())
    }
}

/// How complaints are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For files and pipes.
    Plain,
    /// For a terminal.
    Colour,
}

/// Draws complaints with the lines they are about, at most [`SHOWN_MAX`] of them.
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

/// A span as the drawing wants it: inside the text and between characters. A file that is not UTF-8
/// is shown with its bad bytes replaced, so its spans may point into the middle of a replacement.
fn within(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(bytes.start.min(text.len()));
    let end = text.ceil_char_boundary(bytes.end.min(text.len()));
    start..end.max(start)
}

fn draw(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let text = sources.text(&diagnostic.file);
    let mut here = AnnotationKind::Primary.span(within(&text, &diagnostic.bytes));
    if !diagnostic.label.is_empty() {
        here = here.label(diagnostic.label.as_str());
    }
    let mut main =
        Group::with_title(level.primary_title(diagnostic.message.as_str()).id(diagnostic.code))
            .element(Snippet::source(&*text).path(&*diagnostic.file).annotation(here));
    let other = diagnostic
        .related
        .as_ref()
        .map(|(file, bytes, words)| (sources.text(file), &**file, bytes.clone(), words.as_str()));
    if let Some((text, file, bytes, words)) = &other {
        let there = AnnotationKind::Context.span(within(text, bytes)).label(*words);
        main = main.element(Snippet::source(&**text).path(*file).annotation(there));
    }
    if let Some(help) = &diagnostic.help {
        main = main.element(Level::HELP.message(help.as_str()));
    }
    let mut groups = vec![main];
    for fix in &diagnostic.fixes {
        let patch = Patch::new(within(&text, &fix.bytes), fix.replacement.as_str());
        groups.push(
            Group::with_title(Level::HELP.secondary_title("a change that mends it"))
                .element(Snippet::source(&*text).path(&*diagnostic.file).patch(patch)),
        );
    }
    renderer.render(&groups)
}
