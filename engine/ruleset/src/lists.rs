//! List files: one element a line, `#` comments, overlaps merged, a bad line skipped and reported.
//!
//! A list that was good once is kept where its file fails (`on_error keep`): a download that broke
//! off must not open the wall. The copy is that of the ruleset before, or one that the control
//! plane kept from before a restart ([`Sources`](crate::Sources) brings it).

use std::sync::Arc;
use std::time::Duration;

use seawall_policy::check::{list_element, list_set};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, Files, Severity};
use seawall_policy::program::{Const, List, ListSource, OnListError, Program};
use seawall_policy::schema::Type;
use seawall_policy::span::Span;
use sha2::{Digest, Sha256};

use crate::assemble::Loading;
use crate::http::SCHEMA;
use crate::ruleset::LoadedList;
use crate::sources::resolve;

/// The most bad lines of one list that are reported each with its place.
const BAD_LINES_SHOWN_MAX: usize = 5;

/// The digest of what no file gave.
const NO_FILE: [u8; 32] = [0; 32];

/// The lists of a program, in its order.
pub(crate) fn load_lists(loading: &mut Loading<'_>, program: &Program) -> Vec<Arc<LoadedList>> {
    program.lists.iter().map(|list| loading.list(list)).collect()
}

fn empty(list: &List) -> Arc<LoadedList> {
    let set = list_set(Vec::new(), list.element);
    Arc::new(LoadedList { digest: NO_FILE, set, lines: 0, bad_lines: 0 })
}

impl Loading<'_> {
    fn list(&mut self, list: &List) -> Arc<LoadedList> {
        match &list.source {
            ListSource::Inline(set) => {
                let set = set.clone();
                Arc::new(LoadedList { digest: NO_FILE, set, lines: 0, bad_lines: 0 })
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
            .and_then(|bytes| self.read_list(list, path, &bytes, max));
        if let Some(loaded) = loaded {
            return loaded;
        }
        let instead = match on_error {
            OnListError::Reject => return empty(list),
            OnListError::Empty => {
                Ok(Some((empty(list), "the list is empty until it can be read".to_owned())))
            }
            OnListError::Keep => self.good_copy(list, path, max),
        };
        for complaint in self.diagnostics.iter_mut().skip(before) {
            match &instead {
                Ok(Some((_, words))) => {
                    complaint.severity = Severity::Warning;
                    complaint.help = Some(words.clone());
                }
                Ok(None) => {}
                Err(why) => {
                    complaint.help = Some(format!("the last good copy cannot be used: {why}"));
                }
            }
        }
        instead.ok().flatten().map_or_else(|| empty(list), |(instead, _)| instead)
    }

    /// What the list was when it was good last, in the ruleset before or kept since an earlier
    /// start, and words for it.
    fn good_copy(
        &self,
        list: &List,
        path: &str,
        max: usize,
    ) -> Result<Option<(Arc<LoadedList>, String)>, String> {
        if let Some(old) = self.loaded_before(list) {
            return Ok(Some((old, "the last good copy stays in force".to_owned())));
        }
        let name = self.files.name(list.file);
        let full = resolve(name, path);
        let kept = full.and_then(|full| self.sources.of(name).kept(&list.name, &full));
        let Some(kept) = kept else { return Ok(None) };
        let kept = kept.as_ref().map_err(Clone::clone)?;
        let read = Elements::read(&kept.bytes, list.element);
        if let Some(why) = read.fault("it", max) {
            return Err(why);
        }
        let words = format!(
            "the last good copy is in force, {} old",
            age_words(Duration::from_millis(kept.age_ms))
        );
        Ok(Some((read.loaded(digest(&kept.bytes), list), words)))
    }

    /// The list of this name and type in the ruleset before, where a file gave it.
    fn loaded_before(&self, list: &List) -> Option<Arc<LoadedList>> {
        let previous = self.previous?;
        let at = previous
            .program
            .lists
            .iter()
            .position(|old| old.name == list.name && old.element == list.element)?;
        previous.lists.get(at).filter(|old| old.digest != NO_FILE).cloned()
    }

    fn read_list(
        &mut self,
        list: &List,
        path: &str,
        bytes: &[u8],
        max: usize,
    ) -> Option<Arc<LoadedList>> {
        let full = resolve(self.files.name(list.file), path);
        let known = full.and_then(|full| self.sources.sha256(&full));
        let digest = known.unwrap_or_else(|| digest(bytes));
        let old = self.loaded_before(list);
        if let Some(old) = old.filter(|old| old.digest == digest && old.lines <= max) {
            return Some(old);
        }
        let read = Elements::read(bytes, list.element);
        if let Some(why) = read.fault(&format!("`{path}`"), max) {
            let code = if read.found.is_empty() { Code::ListLine } else { Code::ListTooLong };
            self.diagnostics.push(Diagnostic::error(code, list.file, list.span, why));
            return None;
        }
        self.report_bad_lines(path, bytes, &read);
        Some(read.loaded(digest, list))
    }

    fn report_bad_lines(&mut self, path: &str, bytes: &[u8], read: &Elements) {
        if read.bad.is_empty() {
            return;
        }
        let file = self.files.add(path, &String::from_utf8_lossy(bytes));
        for (at, (span, why)) in read.bad.iter().enumerate() {
            let mut diagnostic = Diagnostic::error(
                Code::ListLine,
                file,
                *span,
                format!("this line {why}; it is skipped"),
            )
            .warning();
            if at == 0 && read.bad_lines > read.bad.len() {
                diagnostic =
                    diagnostic.help(format!("{} lines of this list are skipped", read.bad_lines));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// What the lines of a list file hold.
struct Elements {
    found: Vec<Const>,
    /// The first lines that are no element.
    bad: Vec<(Span, &'static str)>,
    bad_lines: usize,
}

impl Elements {
    fn read(bytes: &[u8], element: Type) -> Self {
        let mut read = Self { found: Vec::new(), bad: Vec::new(), bad_lines: 0 };
        for (start, line) in lines(bytes) {
            let text = std::str::from_utf8(line).map_err(|_| "is no text");
            match text.and_then(|text| list_element(text, element, &SCHEMA)) {
                Ok(element) => read.found.push(element),
                Err(why) => {
                    read.bad_lines = read.bad_lines.saturating_add(1);
                    if read.bad.len() < BAD_LINES_SHOWN_MAX {
                        let end = start.saturating_add(line.len());
                        read.bad.push((Span::new(start, end), why));
                    }
                }
            }
        }
        read
    }

    /// Why they are no list: too many, or none where there are lines. An error page that was
    /// saved in the list's place must not empty the list.
    fn fault(&self, what: &str, max: usize) -> Option<String> {
        if self.found.len() > max {
            let count = self.found.len();
            return Some(format!("{what} has {count} elements, more than `max` allows"));
        }
        let (_, why) = self.bad.first().filter(|_| self.found.is_empty())?;
        Some(format!("{what} holds no element: the first of its lines {why}"))
    }

    fn loaded(self, digest: [u8; 32], list: &List) -> Arc<LoadedList> {
        let Self { found, bad_lines, .. } = self;
        let lines = found.len();
        Arc::new(LoadedList { digest, set: list_set(found, list.element), lines, bad_lines })
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The file of a list, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListFile {
    /// Its path, from the policy root.
    pub path: Box<str>,
    /// SHA-256 of the bytes that are in force; all zero where none ever were.
    pub digest: [u8; 32],
}

pub(crate) fn list_file(files: &Files, list: &List, loaded: &LoadedList) -> Option<ListFile> {
    let ListSource::File { path, .. } = &list.source else { return None };
    let path = resolve(files.name(list.file), path)?.into();
    Some(ListFile { path, digest: loaded.digest })
}

/// An age in the largest unit that fits, as in `3 hours`.
#[must_use]
pub fn age_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit)
        .map_or((seconds, "second"), |(unit, word)| (seconds / unit, word));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The elements' lines with the offset of each: comments, blanks and carriage returns off.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
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
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7_300, "2 hours"),
            (86_400, "1 day"),
        ] {
            assert_eq!(age_words(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn comments_and_blanks_are_no_elements() {
        let found: Vec<_> = lines(b"# head\r\nAS1\r\n\n  AS2  # why\nAS3").collect();
        assert_eq!(found, [(8, &b"AS1"[..]), (16, b"AS2"), (27, b"AS3")]);
    }
}
