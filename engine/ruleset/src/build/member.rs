//! The part of one member: compiled against the operator's policy, loaded and tested separately.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::check::{HostPolicy, Page};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId, tidy};
use seawall_policy::outline::Outline;
use seawall_policy::span::Span;
use seawall_policy::syntax::ast::Item;

use super::budget::MEMBER_CASES_MS_MAX;
use super::load_context::LoadContext;
use super::member_part::{Made, Member, Wrong};
use super::pages::PageReader;
use super::parts::{Components, ListsBefore};
use super::{HostRead, RuleSetBuilder};
use crate::build::member_hosts::Served;
use crate::build::sources::MemberSources;
use crate::http::foreign_syntax;
use crate::inspect::diagnostics;
use crate::ruleset::RuleSet;

/// Most diagnostics about one member's files that are stored.
pub const MEMBER_COMPLAINTS_KEPT_MAX: usize = 100;

/// The entries of members with a file, with their positions, by name. If a name occurs twice, the
/// first entry counts.
pub(crate) type Entries<'e> = HashMap<&'e str, (&'e Page, (FileId, Span))>;

pub(crate) fn entries(pages: &[Page]) -> Entries<'_> {
    let mut entries = HashMap::new();
    for page in pages {
        if let Item::Member(member) = &page.item
            && let Some(file) = &member.file
        {
            entries.entry(&*member.name.node).or_insert((page, (page.file, file.span)));
        }
    }
    entries
}

/// The inputs for building members' parts.
pub(crate) struct Bench<'b> {
    pub(crate) workshop: &'b RuleSetBuilder,
    pub(crate) host: &'b HostRead,
    pub(crate) entries: Entries<'b>,
    pub(crate) served: &'b Served<'b>,
    pub(crate) previous: Option<&'b RuleSet>,
    pub(crate) purpose: super::Purpose,
    /// Digest of the operator's policy texts and of everything else that affects the compilation of
    /// a member.
    pub(crate) host_digest: [u8; 32],
    /// The same digest over all of the operator's files.
    pub(crate) whole_host: [u8; 32],
    pub(crate) made: Components,
    pub(crate) go_on: &'b dyn Fn() -> bool,
}

impl Bench<'_> {
    /// Compiles and loads one member's files. `Err` contains the diagnostics.
    pub(crate) fn member(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        (path, entry): (&str, (FileId, Span)),
    ) -> (HostPolicy, Result<Member, Vec<diagnostics::Diagnostic>>) {
        let reading = PageReader::member(
            sources.reached(),
            self.host.files.clone(),
            (sources.name(), path),
            entry,
        );
        let PageReader { mut files, pages, mut diagnostics, .. } = reading;
        let own_files = files.from(self.host.files.count());
        let outline = Outline::of_member(&self.host.pages, &pages, &files);
        let given = self.workshop.given(&files, self.purpose);
        let (policy, checked) = policy.check_member(&pages, given, self.host.files.count());
        diagnostics.extend(checked.diagnostics);
        let told = self.entries.get(sources.name()).map(|(page, _)| *page);
        diagnostics.extend(self.served.complaints(&pages, told));
        let before = before(self.previous, sources.name());
        let loaded = checked.part.as_ref().map(|part| {
            let mut loading = LoadContext {
                reached: sources.reached(),
                files: &mut files,
                diagnostics: &mut diagnostics,
                previous: self.previous,
                before,
                made: &mut self.made,
                member: Some(sources.name()),
                first_list: part.host().lists,
                search_bytes: 0,
                cases_ms: MEMBER_CASES_MS_MAX,
                go_on: self.go_on,
            };
            loading.load(part.own(), self.workshop)
        });
        tidy(&mut diagnostics);
        foreign_syntax::help(&mut diagnostics, &files);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        let remarks = diagnostics::located(&diagnostics, &files, MEMBER_COMPLAINTS_KEPT_MAX);
        let (Some(part), Some(loaded), false) = (checked.part, loaded, failed) else {
            return (policy, Err(remarks));
        };
        let member = Member {
            made: self.made_of(sources),
            sources: sources.clone(),
            policies: sources.policies(),
            part,
            files: own_files,
            outline,
            loaded,
            remarks,
        };
        (policy, Ok(member))
    }

    /// Returns the digests of the inputs of a part.
    pub(crate) fn made_of(&self, sources: &MemberSources) -> Made {
        Made { host: self.host_digest, hers: sources.digest() }
    }

    /// Returns the stored diagnostics of the member if the files are unchanged. Returns `None` if
    /// the result can change without them: for a component that is being compiled.
    pub(crate) fn same_wrong(&self, name: &str, made: Made) -> Option<Arc<Wrong>> {
        let wrong = self.previous?.wrong(name)?;
        (wrong.made == made && wrong.host == self.whole_host).then(|| Arc::clone(wrong))
    }

    /// Stores the diagnostics of the member's files for the next assembly.
    pub(crate) fn wrong(
        &self,
        sources: &MemberSources,
        diagnostics: &[diagnostics::Diagnostic],
    ) -> Option<Arc<Wrong>> {
        let lasts = diagnostics.iter().all(|d| d.code != Code::Component.as_str());
        let made = self.made_of(sources);
        let diagnostics = diagnostics.to_vec();
        lasts.then(|| Arc::new(Wrong { made, host: self.whole_host, diagnostics }))
    }

    /// Returns the position of the member's entry in the operator's files.
    pub(crate) fn entry(&self, name: &str) -> Option<(FileId, Span)> {
        self.entries.get(name).map(|(_, entry)| *entry)
    }

    /// Returns the member's active part, or the part that was active when the operator's files last
    /// changed.
    pub(crate) fn former(&self, name: &str) -> Option<&Arc<Member>> {
        self.previous?.former(name)
    }
}

/// Returns the member's lists in the previous rule set.
fn before<'p>(previous: Option<&'p RuleSet>, name: &str) -> ListsBefore<'p> {
    let member = previous.and_then(|previous| previous.former(name));
    member.map_or(ListsBefore::default(), |member| ListsBefore {
        declared: &member.part.own().lists,
        loaded: &member.loaded.lists,
    })
}
