//! List files: one element a line, `#` comments, overlaps merged, a bad line skipped and reported.
//!
//! A list that was good once is kept where its file fails (`on_error keep`): a download that broke
//! off must not open the wall.

use std::sync::Arc;

use seawall_policy::check::{list_element, list_set};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::Diagnostic;
use seawall_policy::program::{List, ListSource, OnListError, Program};
use seawall_policy::span::Span;
use sha2::{Digest, Sha256};

use crate::assemble::Loading;
use crate::http::SCHEMA;
use crate::ruleset::LoadedList;

/// The most bad lines of one list that are reported each with its place.
const BAD_LINES_SHOWN_MAX: usize = 5;

/// The lists of a program, in its order.
pub(crate) fn load_lists(loading: &mut Loading<'_>, program: &Program) -> Vec<Arc<LoadedList>> {
    program.lists.iter().map(|list| loading.list(list)).collect()
}

fn empty(list: &List) -> Arc<LoadedList> {
    Arc::new(LoadedList { digest: [0; 32], set: list_set(Vec::new(), list.element), bad_lines: 0 })
}

impl Loading<'_> {
    fn list(&mut self, list: &List) -> Arc<LoadedList> {
        match &list.source {
            ListSource::Inline(set) => {
                Arc::new(LoadedList { digest: [0; 32], set: set.clone(), bad_lines: 0 })
            }
            ListSource::File { path, max, on_error } => self.file_list(list, path, *max, *on_error),
        }
    }

    fn file_list(
        &mut self,
        list: &List,
        path: &str,
        max: usize,
        on_error: OnListError,
    ) -> Arc<LoadedList> {
        let before = self.diagnostics.len();
        let loaded = self
            .named(list.file, list.span, path)
            .and_then(|bytes| self.parse_list(list, path, &bytes, max));
        if let Some(loaded) = loaded {
            return loaded;
        }
        let old = self.loaded_before(list);
        let instead = match on_error {
            OnListError::Reject => None,
            OnListError::Empty => Some((empty(list), "the list is empty until it can be read")),
            OnListError::Keep => old.map(|old| (old, "the last good copy stays in force")),
        };
        let Some((instead, words)) = instead else { return empty(list) };
        for complaint in self.diagnostics.iter_mut().skip(before) {
            complaint.severity = seawall_policy::diagnostic::Severity::Warning;
            complaint.help = Some(words.to_owned());
        }
        instead
    }

    /// The list of this name and type in the ruleset before.
    fn loaded_before(&self, list: &List) -> Option<Arc<LoadedList>> {
        let previous = self.previous?;
        let at = previous
            .program
            .lists
            .iter()
            .position(|old| old.name == list.name && old.element == list.element)?;
        previous.lists.get(at).cloned()
    }

    fn parse_list(
        &mut self,
        list: &List,
        path: &str,
        bytes: &[u8],
        max: usize,
    ) -> Option<Arc<LoadedList>> {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        if let Some(old) = self.loaded_before(list)
            && old.digest == digest
        {
            return Some(old);
        }
        let mut elements = Vec::new();
        let mut bad = Vec::new();
        let mut bad_lines = 0_usize;
        for (start, line) in lines(bytes) {
            let text = std::str::from_utf8(line).map_err(|_| "is no text");
            match text.and_then(|text| list_element(text, list.element, &SCHEMA)) {
                Ok(element) => elements.push(element),
                Err(why) => {
                    bad_lines = bad_lines.saturating_add(1);
                    if bad.len() < BAD_LINES_SHOWN_MAX {
                        bad.push((Span::new(start, start.saturating_add(line.len())), why));
                    }
                }
            }
        }
        if elements.len() > max {
            let message =
                format!("`{path}` has {} elements, more than `max` allows", elements.len());
            self.diagnostics.push(Diagnostic::error(
                Code::ListTooLong,
                list.file,
                list.span,
                message,
            ));
            return None;
        }
        self.report_bad_lines(path, bytes, &bad, bad_lines);
        Some(Arc::new(LoadedList { digest, set: list_set(elements, list.element), bad_lines }))
    }

    fn report_bad_lines(
        &mut self,
        path: &str,
        bytes: &[u8],
        bad: &[(Span, &'static str)],
        count: usize,
    ) {
        if bad.is_empty() {
            return;
        }
        let file = self.files.add(path, &String::from_utf8_lossy(bytes));
        for (at, (span, why)) in bad.iter().enumerate() {
            let mut diagnostic = Diagnostic::error(
                Code::ListLine,
                file,
                *span,
                format!("this line {why}; it is skipped"),
            )
            .warning();
            if at == 0 && count > bad.len() {
                diagnostic = diagnostic.help(format!("{count} lines of this list are skipped"));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The elements' lines with the offset of each: comments, blanks and carriage returns off.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0_usize;
    bytes.split(|b| *b == b'\n').filter_map(move |line| {
        let start = at;
        at = at.saturating_add(line.len()).saturating_add(1);
        let end = line.iter().position(|b| *b == b'#').unwrap_or(line.len());
        let text = line.get(..end)?;
        let lead = text.len().saturating_sub(text.trim_ascii_start().len());
        let text = text.trim_ascii();
        (!text.is_empty()).then_some((start.saturating_add(lead), text))
    })
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn comments_and_blanks_are_no_elements() {
        let found: Vec<_> = lines(b"# head\r\nAS1\r\n\n  AS2  # why\nAS3").collect();
        assert_eq!(found, [(8, &b"AS1"[..]), (16, b"AS2"), (27, b"AS3")]);
    }
}
