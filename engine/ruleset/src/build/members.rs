//! Builds the parts of all members, one after another, and handles those with errors.
//!
//! Nothing is tried twice: a member's files give a part or not, and the last valid part fits the
//! operator's policy or not. Then the next member follows. The build therefore always ends, and
//! always includes the operator's policy.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use seawall_model::HostPattern;
use seawall_policy::check::HostPolicy;
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId};
use seawall_policy::policy_test::PolicyTest;
use seawall_policy::span::Span;

use super::budget::{Left, policy_bytes};
use super::member::Bench;
use super::member_part::{Made as Of, Member, Waiting, Wrong};
use super::{BuildOutput, Terms};
use crate::build::sources::{MemberSources, Sources};
use crate::http::SCHEMA;
use crate::inspect::diagnostics;
use crate::policy_tests::budget::Whose;
use crate::policy_tests::result::{PolicyTestResult, Rehearsed};
use crate::ruleset::RuleSet;

/// The part in force for a member with invalid files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberPart {
    /// The last valid part.
    Kept,
    /// Only the operator's layers.
    Absent,
}

/// A member with invalid files.
#[derive(Debug, Clone)]
pub struct MemberState {
    /// The member.
    pub name: Box<str>,
    /// The part in force instead.
    pub part: MemberPart,
    /// The diagnostics.
    pub diagnostics: Vec<diagnostics::Diagnostic>,
}

/// The result for one member's files.
enum Made {
    Part(Arc<Member>),
    Wrong(Vec<diagnostics::Diagnostic>),
    /// Postponed: the limit on work was reached.
    Postponed,
}

/// One member to process.
struct Turn<'s> {
    /// The position of the member's entry.
    place: usize,
    member: &'s MemberSources,
    entry: (FileId, Span),
    of: Of,
}

/// The state while members are added to a rule set.
pub(super) struct Joining<'b> {
    bench: Bench<'b>,
    terms: Terms<'b>,
    /// The operator's part, after which each member's part is tested. `None` if the operator's
    /// files are invalid; then members' files are checked for diagnostics only.
    rules: Option<RuleSet>,
    left: Left,
    parts: Vec<Arc<Member>>,
    states: Vec<MemberState>,
    remarks: Vec<diagnostics::Diagnostic>,
    tests: Vec<PolicyTestResult>,
    waiting: Waiting,
    wrong: BTreeMap<Box<str>, Arc<Wrong>>,
    room: Room,
}

/// The resources that members' parts share.
#[derive(Default)]
struct Room {
    counter_bytes: usize,
    hosts: HashSet<HostPattern>,
}

impl Room {
    /// Returns the postponed members whose counters still fit in memory beside the others.
    fn beside(mut self, mut waiting: Waiting) -> Waiting {
        waiting.former.retain(|_, member| {
            self.counter_bytes = self.counter_bytes.saturating_add(member.counter_bytes());
            self.counter_bytes <= SCHEMA.counters.most
        });
        waiting
    }
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
            waiting: Waiting::default(),
            wrong: BTreeMap::new(),
            room: Room { counter_bytes, hosts: HashSet::new() },
        }
    }

    /// Processes all members and adds the valid parts in the order of the entries.
    pub(super) fn all(&mut self, mut policy: HostPolicy, sources: &Sources) {
        let turns = self.turns(sources);
        let mut all = Vec::with_capacity(turns.len());
        for turn in turns {
            if !(self.terms.go_on)() {
                return;
            }
            let (same, made) = self.made(policy, &turn);
            policy = same;
            all.push((turn, made));
        }
        all.sort_by_key(|(turn, _)| turn.place);
        for (Turn { member, entry, .. }, made) in all {
            if !(self.terms.go_on)() {
                return;
            }
            policy = self.take_in(policy, member, entry, made);
        }
    }

    /// Returns the members with a file, in processing order: first those postponed last time.
    /// Unchanged members that must be compiled again come last, the smallest first.
    fn turns<'s>(&self, sources: &'s Sources) -> Vec<Turn<'s>> {
        let all = sources.members().iter().enumerate();
        // An entry without a file is reported as an error of the operator.
        let mut turns: Vec<Turn<'_>> = all
            .filter_map(|(place, member)| {
                let entry = self.bench.entry(member.name())?;
                member.file().ok()?;
                Some(Turn { place, member, entry, of: self.bench.made_of(member) })
            })
            .collect();
        let waiting = self.terms.previous.map_or(&[][..], RuleSet::postponed);
        let waiting: HashSet<&str> = waiting.iter().map(|name| &**name).collect();
        turns.sort_by_cached_key(|turn| {
            let former = self.bench.former(turn.member.name());
            let unchanged = former.is_some_and(|former| former.digest() == turn.of.hers);
            let bytes = if unchanged { policy_bytes(turn.member) } else { 0 };
            (!waiting.contains(turn.member.name()), bytes)
        });
        turns
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
                self.waiting.add(sources.name(), None);
                let why = "the file is compiled after those of earlier members";
                vec![self.at_entry(Code::MemberQuota, entry, why)]
            }
        };
        let (policy, part) = self.instead(policy, sources, entry);
        self.states.push(MemberState { name: sources.name().into(), part, diagnostics: wrong });
        policy
    }

    /// Returns a member's part from its current files.
    fn made(&mut self, policy: HostPolicy, turn: &Turn<'_>) -> (HostPolicy, Made) {
        let &Turn { member: sources, entry, of, .. } = turn;
        let before = self.bench.former(sources.name());
        if let Some(same) = before.filter(|before| before.made == of) {
            return (policy, Made::Part(Arc::clone(same)));
        }
        // If only the operator's files changed, the member's have to be compiled nevertheless.
        let hers = before.is_none_or(|before| before.digest() != of.hers);
        if let Some(same) = self.bench.same_wrong(sources.name(), of) {
            let diagnostics = same.diagnostics.clone();
            self.wrong.insert(sources.name().into(), same);
            return (policy, Made::Wrong(diagnostics));
        }
        if sources.is_unsettled() {
            let why = "the member's files change while they are read";
            return (policy, Made::Wrong(vec![self.at_entry(Code::SourceMissing, entry, why)]));
        }
        let may = if hers { self.left.compile(sources) } else { self.left.rebuild(sources) };
        if !may {
            return (policy, Made::Postponed);
        }
        let (policy, compiled) = self.compiled(policy, sources, entry);
        let part = match compiled {
            Ok(part) => part,
            Err(wrong) => return (policy, self.is_wrong(sources, wrong)),
        };
        self.remarks.extend(part.remarks.iter().cloned());
        // If the operator's new rules break a test in unchanged files, that is reported to the
        // operator. It is no reason to disable the member's part.
        let outcomes = if hers || self.left.may_test() { self.tested(&part) } else { Vec::new() };
        let failed: Vec<diagnostics::Diagnostic> = outcomes
            .iter()
            .filter(|outcome| hers && !outcome.passed)
            .map(diagnostics::Diagnostic::failed_test)
            .collect();
        self.tests.extend(outcomes);
        if !failed.is_empty() {
            return (policy, self.is_wrong(sources, failed));
        }
        (policy, Made::Part(Arc::new(part)))
    }

    fn is_wrong(&mut self, sources: &MemberSources, why: Vec<diagnostics::Diagnostic>) -> Made {
        let known = self.bench.wrong(sources, &why);
        self.wrong.extend(known.map(|known| (Box::from(sources.name()), known)));
        Made::Wrong(why)
    }

    fn compiled(
        &mut self,
        policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, Result<Member, Vec<diagnostics::Diagnostic>>) {
        let Ok(path) = sources.file() else { return (policy, Err(Vec::new())) };
        self.bench.member(policy, sources, (path, entry))
    }

    /// Runs the member's tests, after the operator's part only.
    fn tested(&mut self, part: &Member) -> Vec<PolicyTestResult> {
        let Some(rules) = &mut self.rules else { return Vec::new() };
        let mark = rules.mark();
        let whose = Whose { host: false, member: &|name| name == part.name() };
        let rehearsed = match rules.push(part) {
            Ok(()) => rules.rehearse_within(whose, self.terms.go_on),
            // The same error is found and reported when the part is added.
            Err(_) => Rehearsed::default(),
        };
        rules.take_off(&mark);
        self.left.test(part.part.own().cases.iter().map(PolicyTest::requests).sum());
        rehearsed.outcomes
    }

    /// Adds a part if there are sufficient resources.
    fn admit(&mut self, part: Arc<Member>) -> Result<(), Vec<diagnostics::Diagnostic>> {
        let bytes = self.room.counter_bytes.saturating_add(part.counter_bytes());
        let most = SCHEMA.counters.most;
        if bytes > most {
            let why = format!(
                "the counters of the member do not fit: with those of the operator and of earlier \
                 members they need {bytes} of {most} bytes"
            );
            return Err(vec![self.at_entry(Code::Memory, self.entry(&part), &why)]);
        }
        let hosts = || part.part.own().sites.iter().flat_map(|site| &site.hosts);
        if let Some(twice) = hosts().find(|host| self.room.hosts.contains(*host)) {
            let why = format!("`{twice}` already has a `site` block of another member");
            return Err(vec![self.at_entry(Code::DuplicateName, self.entry(&part), &why)]);
        }
        self.room.hosts.extend(hosts().cloned());
        self.room.counter_bytes = bytes;
        self.parts.push(part);
        Ok(())
    }

    /// Returns the last valid part that fits the operator's policy: the active one, else the one
    /// from before. If the limit on work is reached, the member's hosts have only the operator's
    /// layers until the next assembly. Waiting for all members would delay the operator's edit.
    fn instead(
        &mut self,
        mut policy: HostPolicy,
        sources: &MemberSources,
        entry: (FileId, Span),
    ) -> (HostPolicy, MemberPart) {
        let (name, find_good) = (sources.name(), self.terms.good);
        let running = self.bench.former(name).cloned();
        let running = running.filter(|member| member.sources.file() == sources.file());
        if let Some(member) = &running
            && member.made.host == self.bench.host_digest
        {
            let kept = self.admit(Arc::clone(member)).is_ok();
            return (policy, if kept { MemberPart::Kept } else { MemberPart::Absent });
        }
        let known = running.as_ref().map(|member| member.digest());
        let is_other =
            |good: &MemberSources| good.file() == sources.file() && known != Some(good.digest());
        let in_force = running.iter().map(|member| member.sources.clone());
        // Read only if the active part does not fit.
        let before = std::iter::once_with(|| find_good(name)).flatten().filter(is_other);
        for good in in_force.chain(before) {
            if !self.left.rebuild(&good) {
                self.waiting.add(name, running.clone());
                break;
            }
            let (again, compiled) = self.compiled(policy, &good, entry);
            policy = again;
            if compiled.is_ok_and(|part| self.admit(Arc::new(part)).is_ok()) {
                return (policy, MemberPart::Kept);
            }
        }
        (policy, MemberPart::Absent)
    }

    fn entry(&self, part: &Member) -> (FileId, Span) {
        self.bench.entry(part.name()).unwrap_or_default()
    }

    /// Returns a diagnostic at the member's entry.
    fn at_entry(
        &self,
        code: Code,
        (file, span): (FileId, Span),
        why: &str,
    ) -> diagnostics::Diagnostic {
        let diagnostic = Diagnostic::error(code, file, span, why);
        diagnostics::one(&diagnostic, &self.bench.host.files)
    }

    /// Links the parts after the operator's.
    pub(super) fn finish(self, mut tests: Vec<PolicyTestResult>) -> BuildOutput {
        let Self { terms, rules, parts, states, remarks, tests: hers, waiting, wrong, .. } = self;
        let (postponed, waiting) = (waiting.names.len(), self.room.beside(waiting));
        let mut states = states;
        let rules = rules.filter(|_| (terms.go_on)()).map(|mut rules| {
            for part in parts {
                if let Err(why) = rules.join(&part) {
                    states.push(MemberState {
                        name: part.name().into(),
                        part: MemberPart::Absent,
                        diagnostics: vec![*why],
                    });
                }
            }
            rules.joined(waiting, wrong);
            rules.go_on_from(terms.previous);
            rules
        });
        tests.extend(hers);
        BuildOutput { rules, diagnostics: remarks, members: states, tests, postponed }
    }
}
