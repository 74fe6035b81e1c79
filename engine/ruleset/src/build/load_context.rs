//! The context for loading the lists and components of one owner.

use std::sync::Arc;

use seawall_policy::diagnostic::{Diagnostic, FileId, Files};
use seawall_policy::span::Span;

use super::pages::source_error;
use crate::build::parts::{Components, ListsBefore};
use crate::build::sources::{Reached, ReadError, resolve};
use crate::ruleset::RuleSet;

/// Loads what one owner's program needs.
pub(crate) struct LoadContext<'l> {
    pub(crate) reached: &'l Reached,
    /// The policy files; lists with diagnostics are appended.
    pub(crate) files: &'l mut Files,
    pub(crate) diagnostics: &'l mut Vec<Diagnostic>,
    pub(crate) previous: Option<&'l RuleSet>,
    pub(crate) before: ListsBefore<'l>,
    /// Components compiled for any owner since the start of this assembly.
    pub(crate) made: &'l mut Components,
    /// The owner; `None` is the operator.
    pub(crate) member: Option<&'l str>,
    /// The number of the owner's first list.
    pub(crate) first_list: usize,
    /// Memory of the automata for the owner's lists so far.
    pub(crate) search_bytes: usize,
    /// Remaining milliseconds for component tests, by the time that each extern grants.
    pub(crate) cases_ms: u64,
    /// Returns false when the result is no longer needed.
    pub(crate) go_on: &'l dyn Fn() -> bool,
}

impl LoadContext<'_> {
    /// Returns the bytes of a file that a policy names at a position.
    pub(crate) fn named(&mut self, file: FileId, span: Span, path: &str) -> Option<Arc<[u8]>> {
        let full = resolve(self.files.name(file), path);
        let bytes = full.as_deref().map(|full| self.reached.bytes(full).cloned());
        let why = match bytes {
            None => ReadError::Outside,
            Some(Some(Ok(bytes))) => return Some(bytes),
            Some(Some(Err(why))) => why,
            Some(None) => ReadError::Missing,
        };
        self.diagnostics.push(source_error(file, span, path, &why));
        None
    }
}
