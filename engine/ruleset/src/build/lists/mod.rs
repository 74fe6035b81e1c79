//! List files: the elements in force, and the diagnostics.
//!
//! A list that was valid once stays in force if its file fails (`on_error keep`), because a
//! truncated download must not remove the protection. The copy is that of the previous rule set, or
//! a copy from before a restart that the control plane stored ([`Sources`](crate::Sources) provides
//! it). A list must not reject all clients either: an entry that could be wider than intended is
//! omitted and reported.

mod diagnostics;
mod element_kind;
mod elements;
mod formats;
mod line_error;
mod lines;
pub(crate) mod protected;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use seawall_policy::check::empty_set;
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, Severity};
use seawall_policy::program::{List, ListId, ListSource, OnListError, Program};
use seawall_policy::text::bytes as bytes_text;
use seawall_policy::texts::{Search, Searches};
use sha2::{Digest, Sha256};

use crate::build::load_context::LoadContext;
use crate::build::parts::{
    LIST_SEARCH_BYTES_HOST_MAX, LIST_SEARCH_BYTES_MEMBER_MAX, LoadedList, NO_FILE, ready,
};
use crate::build::sources::resolve;
use elements::{Elements, Terms};
pub use lines::LIST_LINE_BYTES_MAX;
pub(crate) use lines::bare_lines;
pub use protected::Guarded;

/// A list to load.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    list: &'w List,
    /// The kinds of text search for its elements.
    searches: &'w [Search],
}

impl Wanted<'_> {
    const fn terms(&self) -> Terms {
        Terms { element: self.list.element, allows_wide: self.list.allows_wide }
    }
}

/// The file of a list.
#[derive(Clone, Copy)]
struct Named<'n> {
    path: &'n str,
    max: usize,
    on_error: OnListError,
}

/// Returns the lists of a program, in its order. For a member's program, the numbers of its lists
/// begin after those of the operator.
pub(crate) fn load_lists(
    loading: &mut LoadContext<'_>,
    program: &Program,
    guarded: &Guarded,
) -> Vec<Arc<LoadedList>> {
    let mut loaded: Vec<Arc<LoadedList>> = Vec::with_capacity(program.lists.len());
    let id = |at: usize| ListId(u32::try_from(at).unwrap_or(u32::MAX));
    let first = loading.first_list;
    for (at, list) in program.lists.iter().enumerate() {
        let searches: Vec<Search> = program.searches(id(first.saturating_add(at)), 0).collect();
        let made = loading.list(Wanted { list, searches: &searches });
        loaded.push(made);
    }
    let own = |list: ListId| {
        let at = (list.0 as usize).checked_sub(first)?;
        loaded.get(at).map(|loaded| &loaded.set)
    };
    for (list, made) in program.lists.iter().zip(&loaded) {
        if let Some(locked) = protected::locked(list, &made.set, guarded, &own) {
            loading.diagnostics.push(diagnostics::locks_out(list, &locked));
        }
    }
    loaded
}

fn empty(list: &List) -> Arc<LoadedList> {
    Arc::new(LoadedList::of(empty_set(list.element)))
}

impl LoadContext<'_> {
    fn list(&mut self, wanted: Wanted<'_>) -> Arc<LoadedList> {
        let list = wanted.list;
        let loaded = match &list.source {
            ListSource::Inline(set) => Arc::new(LoadedList::of(set.clone())),
            ListSource::File { path, max, on_error } => {
                let named = Named { path, max: *max, on_error: *on_error };
                return self.file_list(wanted, named);
            }
        };
        if let Err(why) = self.make_ready(&loaded, wanted.searches) {
            let said = Diagnostic::error(Code::SearchTooLarge, list.file, list.span, why);
            self.diagnostics.push(said);
        }
        loaded
    }

    fn file_list(&mut self, wanted: Wanted<'_>, named: Named<'_>) -> Arc<LoadedList> {
        let list = wanted.list;
        let before = self.diagnostics.len();
        let loaded = self
            .named(list.file, list.span, named.path)
            .and_then(|bytes| self.read_list(wanted, named, &bytes));
        if let Some(loaded) = loaded {
            return loaded;
        }
        let instead = match named.on_error {
            OnListError::Reject => return empty(list),
            OnListError::Empty => {
                Ok(Some((empty(list), "the list is empty until it can be read".to_owned())))
            }
            OnListError::Keep => self.good_copy(wanted, named),
        };
        for complaint in self.diagnostics.iter_mut().skip(before) {
            let words = match &instead {
                Ok(None) => continue,
                Ok(Some((_, words))) => {
                    complaint.severity = Severity::Warning;
                    words.clone()
                }
                Err(why) => format!("the last good copy cannot be used: {why}"),
            };
            // The correction of the content is more useful than the base of relative paths.
            let own = complaint.help.take().filter(|_| complaint.code == Code::ListLine);
            complaint.help = Some(own.map_or(words.clone(), |own| format!("{words}; {own}")));
        }
        instead.ok().flatten().map_or_else(|| empty(list), |(instead, _)| instead)
    }

    /// Returns the last valid copy of the list, from the previous rule set or from before a
    /// restart, with a text about it.
    fn good_copy(
        &mut self,
        wanted: Wanted<'_>,
        named: Named<'_>,
    ) -> Result<Option<(Arc<LoadedList>, String)>, String> {
        if let Some(old) = self.loaded_before(wanted.list) {
            self.make_ready(&old, wanted.searches)?;
            return Ok(Some((old, "the last good copy stays in force".to_owned())));
        }
        let full = resolve(self.files.name(wanted.list.file), named.path);
        let kept = full.and_then(|full| self.reached.kept(&wanted.list.name, &full));
        let Some(kept) = kept else { return Ok(None) };
        let kept = kept.as_ref().map_err(Clone::clone)?;
        let read = Elements::read(&kept.bytes, wanted.terms());
        if let Some((why, _)) = read.fault("the copy", named.max) {
            return Err(why);
        }
        let words = format!(
            "the last good copy is in force, {} old",
            age_words(Duration::from_millis(kept.age_ms))
        );
        let loaded = Arc::new(loaded(read, digest(&kept.bytes), None));
        self.make_ready(&loaded, wanted.searches)?;
        Ok(Some((loaded, words)))
    }

    /// Returns the list of this name and type in the previous rule set if it came from a file.
    fn loaded_before(&self, list: &List) -> Option<Arc<LoadedList>> {
        let same = |old: &List| {
            old.name == list.name
                && old.element == list.element
                && old.allows_wide == list.allows_wide
        };
        let at = self.before.declared.iter().position(same)?;
        self.before.loaded.get(at).filter(|old| old.digest != NO_FILE).cloned()
    }

    fn read_list(
        &mut self,
        wanted: Wanted<'_>,
        named: Named<'_>,
        bytes: &[u8],
    ) -> Option<Arc<LoadedList>> {
        let (list, path) = (wanted.list, named.path);
        let full = resolve(self.files.name(list.file), path);
        let known = full.as_deref().and_then(|full| self.reached.sha256(full));
        let digest = known.unwrap_or_else(|| digest(bytes));
        let old = self.loaded_before(list);
        let same = old.clone().filter(|old| old.digest == digest && old.lines <= named.max);
        let loaded = if let Some(same) = same {
            same
        } else {
            let read = Elements::read(bytes, wanted.terms());
            if let Some((why, help)) = read.fault(&format!("`{path}`"), named.max) {
                let code = if read.len() == 0 { Code::ListLine } else { Code::ListTooLong };
                let mut said = Diagnostic::error(code, list.file, list.span, why);
                said.help = help;
                self.diagnostics.push(said);
                return None;
            }
            let before = self.lines_before(wanted, old.as_deref(), full.as_deref());
            let shrank_from = before.filter(|before| read.len() < before.div_ceil(2));
            self.report_lines(path, bytes, &read);
            if let Some(before) = shrank_from {
                self.diagnostics.push(diagnostics::shrank(list, path, (before, read.len())));
            }
            Arc::new(loaded(read, digest, shrank_from))
        };
        if let Err(why) = self.make_ready(&loaded, wanted.searches) {
            let why = format!("`{path}`: {why}");
            self.diagnostics.push(Diagnostic::error(
                Code::SearchTooLarge,
                list.file,
                list.span,
                why,
            ));
            return None;
        }
        Some(loaded)
    }

    /// Returns the previous number of elements: in the previous rule set, or in the last valid
    /// copy.
    fn lines_before(
        &self,
        wanted: Wanted<'_>,
        old: Option<&LoadedList>,
        full: Option<&str>,
    ) -> Option<usize> {
        old.map(|old| old.lines).or_else(|| {
            let kept = self.reached.kept(&wanted.list.name, full?)?.as_ref().ok()?;
            Some(Elements::read(&kept.bytes, wanted.terms()).len())
        })
    }

    /// Prepares a list for text searches, within the budget of its owner.
    fn make_ready(&mut self, loaded: &LoadedList, searches: &[Search]) -> Result<(), String> {
        if searches.is_empty() {
            return Ok(());
        }
        ready(loaded, searches).map_err(|why| format!("the list {why}"))?;
        self.search_bytes = self.search_bytes.saturating_add(loaded.searches.bytes());
        let most = match self.member {
            Some(_) => LIST_SEARCH_BYTES_MEMBER_MAX,
            None => LIST_SEARCH_BYTES_HOST_MAX,
        };
        if self.search_bytes > most {
            return Err(format!(
                "with this list, what is looked for in texts takes {}; the most is {}",
                bytes_text(self.search_bytes),
                bytes_text(most)
            ));
        }
        Ok(())
    }

    fn report_lines(&mut self, path: &str, bytes: &[u8], read: &Elements) {
        if read.reports.is_empty() && read.cut.is_none() {
            return;
        }
        let file = self.files.add(path, &String::from_utf8_lossy(bytes));
        self.diagnostics.extend(diagnostics::of_lines(file, read));
    }
}

fn loaded(read: Elements, digest: [u8; 32], shrank_from: Option<usize>) -> LoadedList {
    let (lines, bad_lines) = (read.len(), read.skipped);
    LoadedList {
        digest,
        set: read.set(),
        lines,
        bad_lines,
        shrank_from,
        searches: Searches::default(),
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Returns an age in the largest unit that fits, such as `3 hours`.
#[must_use]
pub fn age_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (count, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit)
        .map_or((seconds, "second"), |(unit, word)| (seconds / unit, word));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
