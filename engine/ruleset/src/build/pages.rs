//! The pages of one owner's files, with includes at their positions.

use std::sync::Arc;

use seawall_policy::check::Page;
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, Files};
use seawall_policy::span::Span;
use seawall_policy::syntax::ast::{File, Item};
use seawall_policy::syntax::parse::parse;

use crate::build::sources::{Reached, ReadError};

/// Deepest nesting of includes.
pub const INCLUDE_DEPTH_MAX: usize = 16;

/// Reads the operator's files, or those of one member.
pub(crate) struct PageReader<'s> {
    reached: &'s Reached,
    pub(crate) files: Files,
    pub(crate) pages: Vec<Page>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The free text after the version in the first file.
    pub(crate) revision: Option<Box<str>>,
    /// The files being read, outermost first.
    open: Vec<String>,
    /// Files already read. A second include would declare everything in the file twice.
    done: Vec<String>,
    /// The member whose files are read.
    member: Option<Box<str>>,
}

impl<'s> PageReader<'s> {
    /// Reads the operator's files, beginning with the root policy.
    pub(crate) fn host(reached: &'s Reached, root: &str) -> Self {
        let mut reading = Self::begin(reached, Files::default(), None);
        reading.file(root, None);
        reading
    }

    /// Reads a member's files, beginning with the member's own file. They follow the operator's
    /// `files`. `entry` is the position of the member's entry.
    pub(crate) fn member(
        reached: &'s Reached,
        files: Files,
        (name, path): (&str, &str),
        entry: (FileId, Span),
    ) -> Self {
        let mut reading = Self::begin(reached, files, Some(name.into()));
        reading.file(path, Some(entry));
        reading
    }

    fn begin(reached: &'s Reached, files: Files, member: Option<Box<str>>) -> Self {
        Self {
            reached,
            files,
            pages: Vec::new(),
            diagnostics: Vec::new(),
            revision: None,
            open: Vec::new(),
            done: Vec::new(),
            member,
        }
    }

    /// Reads one file. `from` is the position that names it.
    fn file(&mut self, path: &str, from: Option<(FileId, Span)>) {
        let bytes = match self.reached.bytes(path) {
            Some(Ok(bytes)) => Arc::clone(bytes),
            Some(Err(why)) => return self.unreadable(path, why.clone(), from),
            None => return self.unreadable(path, ReadError::Missing, from),
        };
        self.done.push(path.to_owned());
        self.open.push(path.to_owned());
        let file = self.files.add(path, &String::from_utf8_lossy(&bytes));
        let (tree, complaints) = parse(file, &bytes);
        self.diagnostics.extend(complaints);
        if self.open.len() == 1 {
            self.revision = tree.revision.as_ref().map(|text| text.node.clone());
        }
        self.items(file, path, tree);
        self.open.pop();
    }

    fn items(&mut self, file: FileId, path: &str, tree: File) {
        for item in tree.items {
            match item {
                Item::Include(pattern) => self.include(file, path, &pattern.node, pattern.span),
                item => self.pages.push(Page { file, member: self.member.clone(), item }),
            }
        }
    }

    fn include(&mut self, file: FileId, path: &str, pattern: &str, span: Span) {
        let found = match self.reached.included(path, pattern) {
            Ok(found) => found,
            Err(why) => return self.unreadable(pattern, why, Some((file, span))),
        };
        if found.is_empty() {
            self.diagnostics.push(
                Diagnostic::error(Code::SourceMissing, file, span, "no file matches")
                    .warning()
                    .help("correct the pattern, or add a file"),
            );
        }
        for path in found {
            let message = if self.open.contains(&path) || self.open.len() >= INCLUDE_DEPTH_MAX {
                format!(
                    "`{path}` includes itself, or is nested more than {INCLUDE_DEPTH_MAX} \
                    levels deep"
                )
            } else if self.done.contains(&path) {
                format!("`{path}` is included twice, so all its declarations would occur twice")
            } else {
                self.file(&path, Some((file, span)));
                continue;
            };
            self.diagnostics.push(Diagnostic::error(Code::IncludeCycle, file, span, message));
        }
    }

    fn unreadable(&mut self, path: &str, why: ReadError, from: Option<(FileId, Span)>) {
        let (file, span) = from.unwrap_or_else(|| (self.files.add(path, ""), Span::default()));
        self.diagnostics.push(source_error(file, span, path, &why));
    }
}

/// Returns the diagnostic about a missing file.
pub(crate) fn source_error(file: FileId, span: Span, path: &str, why: &ReadError) -> Diagnostic {
    let code = match why {
        ReadError::TooLarge { .. } | ReadError::OverBudget(_) => Code::SourceTooLarge,
        ReadError::Outside => Code::SourceOutside,
        ReadError::OutsideFolder { .. } | ReadError::Owned { .. } => Code::MemberPath,
        ReadError::NotGranted { .. } => Code::MemberMay,
        _ => Code::SourceMissing,
    };
    let diagnostic = Diagnostic::error(code, file, span, format!("`{path}`: {why}"));
    match why {
        ReadError::Outside => {
            diagnostic.help("keep all files of a policy below the folder of the root policy")
        }
        ReadError::OutsideFolder { .. } | ReadError::Owned { .. } => {
            diagnostic.help("use files in the member's own folder that belong to no other owner")
        }
        ReadError::Missing => diagnostic.help("paths are relative to the file that names them"),
        _ => diagnostic,
    }
}
