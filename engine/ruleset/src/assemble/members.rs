//! Members' parts, one after another, and what becomes of those that are wrong.
//!
//! Nothing here is tried twice: each member's files give a part or do not, her last good part fits
//! the host's or does not, and then the next member's turn comes. So it always ends, and always with
//! the host's policy.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use seawall_model::HostPattern;
use seawall_policy::case::Case;
use seawall_policy::check::{HostPolicy, Page};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId};
use seawall_policy::span::Span;
use seawall_policy::syntax::ast::Item;

use super::budget::Left;
use super::member::{Bench, Member, Wrong};
use super::{Assembly, Terms};
use crate::budget::Whose;
use crate::cases::{Rehearsed, TestOutcome};
use crate::http::SCHEMA;
use crate::report;
use crate::ruleset::RuleSet;
use crate::sources::{MemberSources, Sources};

/// What serves for a member whose files are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberPart {
    /// Her last good part.
    Kept,
    /// The host's layers alone.
    Absent,
}

/// A member whose files are wrong.
#[derive(Debug, Clone)]
pub struct MemberState {
    /// The member.
    pub name: Box<str>,
    /// What serves instead.
    pub part: MemberPart,
    /// What is wrong.
    pub diagnostics: Vec<report::Diagnostic>,
}

/// Where the host names a member: the path in her entry.
pub(crate) fn entry(pages: &[Page], name: &str) -> Option<(FileId, Span)> {
    pages.iter().find_map(|page| match &page.item {
        Item::Tenant(tenant) if *tenant.name.node == *name => {
            Some((page.file, tenant.file.as_ref()?.span))
        }
        _ => None,
    })
}

/// What came of one member's files.
enum Made {
    Part(Arc<Member>),
    Wrong(Vec<report::Diagnostic>),
    /// There was too much to do at once.
    Postponed,
}

/// Members on their way into a ruleset.
pub(super) struct Joining<'b> {
    bench: Bench<'b>,
    terms: Terms<'b>,
    /// The host's, behind which each part is tested; `None` where the host's files are wrong, and
    /// then members' are looked at for what is to be said of them.
    rules: Option<RuleSet>,
    left: Left,
    parts: Vec<Arc<Member>>,
    states: Vec<MemberState>,
    remarks: Vec<report::Diagnostic>,
    tests: Vec<TestOutcome>,
    postponed: Vec<Box<str>>,
    wrong: BTreeMap<Box<str>, Arc<Wrong>>,
    room: Room,
}

/// What members' parts share.
#[derive(Default)]
struct Room {
    counter_bytes: usize,
    hosts: HashSet<HostPattern>,
}

impl<'b> Joining<'b> {
    pub(super) fn new(bench: Bench<'b>, terms: Terms<'b>, rules: Option<RuleSet>) -> Self {
        let counter_bytes = rules.as_ref().map_or(0, RuleSet::counter_bytes);
        Self {
            bench,
            terms,
            rules,
            left: Left::new(terms.effort),
            parts: Vec::new(),
            states: Vec::new(),
            remarks: Vec::new(),
            tests: Vec::new(),
            postponed: Vec::new(),
            wrong: BTreeMap::new(),
            room: Room { counter_bytes, hosts: HashSet::new() },
        }
    }

    /// Looks at all members, those first whose turn did not come last time, and takes in what is
    /// right in the order of their entries.
    pub(super) fn all(&mut self, mut policy: HostPolicy, sources: &Sources) {
        let waiting = self.terms.previous.map_or(&[][..], RuleSet::postponed);
        let waits = |member: &MemberSources| waiting.iter().any(|name| **name == *member.name());
        let mut turns: Vec<(usize, &MemberSources)> =
            sources.members().iter().enumerate().collect();
        turns.sort_by_key(|(_, member)| !waits(member));
        let mut all = Vec::with_capacity(turns.len());
        for (place, member) in turns {
            // An entry without a file is the host's to mend, and is complained about there.
            let entry = entry(&self.bench.host.pages, member.name());
            let Some(entry) = entry.filter(|_| member.file().is_ok()) else { continue };
            let (same, made) = self.made(policy, member, entry);
            policy = same;
            all.push((place, member, entry, made));
        }
        all.sort_by_key(|(place, ..)| *place);
        for (_, member, entry, made) in all {
            policy = self.take_in(policy, member, entry, made);
        }
    }

    fn take_in(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
        made: Made,
    ) -> HostPolicy {
        let wrong = match made {
            Made::Part(part) => match self.admit(part) {
                Ok(()) => return policy,
                Err(wrong) => wrong,
            },
            Made::Wrong(wrong) => wrong,
            Made::Postponed => {
                self.postponed.push(sources.name().into());
                let why = "it is looked at as soon as those before it are";
                vec![self.at_entry(Code::MemberQuota, entry, why)]
            }
        };
        let (policy, part) = self.instead(policy, sources, entry);
        self.states.push(MemberState { name: sources.name().into(), part, diagnostics: wrong });
        policy
    }

    /// A member's part of the files that are there now.
    fn made(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, Made) {
        if let Some(same) = self.bench.same(sources) {
            return (policy, Made::Part(same));
        }
        if let Some(same) = self.bench.same_wrong(sources) {
            let diagnostics = same.diagnostics.clone();
            self.wrong.insert(sources.name().into(), same);
            return (policy, Made::Wrong(diagnostics));
        }
        if sources.is_unsettled() {
            let why = "her files keep changing while they are read";
            return (policy, Made::Wrong(vec![self.at_entry(Code::SourceMissing, entry, why)]));
        }
        // Where only the host's files have changed, hers have to be compiled in any case.
        let before = self.terms.previous.and_then(|rules| rules.member(sources.name()));
        let hers = before.is_none_or(|before| before.digest() != sources.digest());
        if hers && !self.left.compile(sources) {
            return (policy, Made::Postponed);
        }
        let (policy, compiled) = self.compiled(policy, sources, entry);
        let part = match compiled {
            Ok(part) => part,
            Err(wrong) => return (policy, self.is_wrong(sources, wrong)),
        };
        self.remarks.extend(part.remarks.iter().cloned());
        // Where the host's new rules break the test of files that have not changed, that is the
        // host's to know, and no reason to put the member's part aside.
        let outcomes = if hers || self.left.may_test() { self.tested(&part) } else { Vec::new() };
        let failed: Vec<report::Diagnostic> = outcomes
            .iter()
            .filter(|outcome| hers && !outcome.passed)
            .map(report::Diagnostic::failed_test)
            .collect();
        self.tests.extend(outcomes);
        if !failed.is_empty() {
            return (policy, self.is_wrong(sources, failed));
        }
        (policy, Made::Part(Arc::new(part)))
    }

    fn is_wrong(&mut self, sources: &MemberSources, why: Vec<report::Diagnostic>) -> Made {
        let known = self.bench.wrong(sources, &why);
        self.wrong.extend(known.map(|known| (Box::from(sources.name()), known)));
        Made::Wrong(why)
    }

    fn compiled(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, Result<Member, Vec<report::Diagnostic>>) {
        let Ok(path) = sources.file() else { return (policy, Err(Vec::new())) };
        self.bench.member(policy, sources, (path, entry))
    }

    /// How her tests end, behind the host's part alone.
    fn tested(&mut self, part: &Member) -> Vec<TestOutcome> {
        let Some(rules) = &mut self.rules else { return Vec::new() };
        let mark = rules.mark();
        let whose = Whose { host: false, member: &|name| name == part.name() };
        let rehearsed = match rules.push(part) {
            Ok(()) => rules.rehearse_within(whose, self.terms.go_on),
            // It is found again, and told, where the part is to join.
            Err(_) => Rehearsed::default(),
        };
        rules.take_off(&mark);
        self.left.test(part.part.own().cases.iter().map(Case::requests).sum());
        rehearsed.outcomes
    }

    /// Takes a part in, where there is room beside those before it.
    fn admit(&mut self, part: Arc<Member>) -> Result<(), Vec<report::Diagnostic>> {
        let entry = entry(&self.bench.host.pages, part.name()).unwrap_or_default();
        let bytes = self.room.counter_bytes.saturating_add(part.counter_bytes());
        let most = SCHEMA.counters.most;
        if bytes > most {
            let why = format!(
                "the counters of the host and of the members before her leave no room for hers: \
                 {bytes} of {most} bytes"
            );
            return Err(vec![self.at_entry(Code::Memory, entry, &why)]);
        }
        let hosts = || part.part.own().sites.iter().flat_map(|site| &site.hosts);
        if let Some(twice) = hosts().find(|host| self.room.hosts.contains(*host)) {
            let why = format!("`{twice}` has a `site` block of another member already");
            return Err(vec![self.at_entry(Code::DuplicateName, entry, &why)]);
        }
        self.room.hosts.extend(hosts().cloned());
        self.room.counter_bytes = bytes;
        self.parts.push(part);
        Ok(())
    }

    /// Her last good part, where there is one that fits the host's policy: the one in force, else the
    /// one from before.
    fn instead(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, MemberPart) {
        let name = sources.name();
        let running = self.terms.previous.and_then(|rules| rules.member(name)).cloned();
        let running = running.filter(|member| member.sources.file() == sources.file());
        if let Some(member) = &running
            && member.made.host == self.bench.host_digest
        {
            let kept = self.admit(Arc::clone(member)).is_ok();
            return (policy, if kept { MemberPart::Kept } else { MemberPart::Absent });
        }
        let known = running.as_ref().map(|member| member.digest());
        let (policy, part) = match &running {
            Some(member) => self.fitting(policy, &member.sources, entry),
            None => (policy, MemberPart::Absent),
        };
        if part == MemberPart::Kept {
            return (policy, part);
        }
        let good = (self.terms.good)(name);
        let good =
            good.filter(|good| good.file() == sources.file() && known != Some(good.digest()));
        match good {
            Some(good) => self.fitting(policy, &good, entry),
            None => (policy, MemberPart::Absent),
        }
    }

    /// A part of these files, where they fit the host's policy.
    fn fitting(
        &mut self,
        policy: HostPolicy,
        good: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, MemberPart) {
        let (policy, compiled) = self.compiled(policy, good, entry);
        let kept = compiled.is_ok_and(|part| self.admit(Arc::new(part)).is_ok());
        (policy, if kept { MemberPart::Kept } else { MemberPart::Absent })
    }

    /// A complaint at her entry.
    fn at_entry(&self, code: Code, (file, span): (FileId, Span), why: &str) -> report::Diagnostic {
        let diagnostic = Diagnostic::error(code, file, span, why);
        report::one(&diagnostic, &self.bench.host.files)
    }

    /// Puts the parts behind the host's.
    pub(super) fn finish(self, mut tests: Vec<TestOutcome>) -> Assembly {
        let Self { terms, rules, parts, states, remarks, tests: hers, postponed, wrong, .. } = self;
        let mut states = states;
        let rules = rules.map(|mut rules| {
            for part in parts {
                if let Err(why) = rules.join(&part) {
                    states.push(MemberState {
                        name: part.name().into(),
                        part: MemberPart::Absent,
                        diagnostics: vec![*why],
                    });
                }
            }
            rules.joined(postponed.clone(), wrong);
            rules.go_on_from(terms.previous);
            rules
        });
        tests.extend(hers);
        let postponed = postponed.len();
        Assembly { rules, diagnostics: remarks, members: states, tests, postponed }
    }
}
