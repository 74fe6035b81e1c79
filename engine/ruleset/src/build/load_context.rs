//! What the loading of one owner's lists and components goes by.

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
    /// The policy files; lists that are complained about are put behind them.
    pub(crate) files: &'l mut Files,
    pub(crate) diagnostics: &'l mut Vec<Diagnostic>,
    pub(crate) previous: Option<&'l RuleSet>,
    pub(crate) before: ListsBefore<'l>,
    /// Components that were made for any owner since this assembly began.
    pub(crate) made: &'l mut Components,
    /// Whose it is; the host's is nobody's.
    pub(crate) member: Option<&'l str>,
    /// The number of its first list.
    pub(crate) first_list: usize,
    /// What automata of its lists take so far.
    pub(crate) search_bytes: usize,
    /// Milliseconds that the cases inside components may still take, by what is granted each.
    pub(crate) cases_ms: u64,
    /// Whether it is still wanted.
    pub(crate) go_on: &'l dyn Fn() -> bool,
}

impl LoadContext<'_> {
    /// The bytes of a file that a policy names at a place.
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
