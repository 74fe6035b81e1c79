//! The rule set: an immutable value that decides about requests.
//!
//! It contains everything for a decision except the request, the counters and the time. A reload
//! builds a new one. Expensive parts (compiled components, large lists) are shared with the
//! previous rule set if their bytes are equal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::build::counter_spec::spec;
use crate::build::list_file::{ListFile, list_file};
use crate::build::member_part::{Member, Waiting, Wrong};
use crate::build::parts::{
    FunctionKey, LIST_SEARCH_BYTES_HOST_MAX, ListsBefore, Loaded, LoadedList, ready,
};
use crate::build::sources::Sources;
use crate::eval::fuel::{self, FuelLimits};
use crate::eval::index_plan::{IndexPlan, IndexSummary, too_large};
use crate::http::SCHEMA;
use crate::inspect::diagnostics;
use seawall_model::{ClientPrefixes, HostMap, Reason, RuleId, Tick};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, Files};
use seawall_policy::index::TooLarge;
use seawall_policy::outline::Outline;
use seawall_policy::part::Lengths;
use seawall_policy::program::{Check, ListId, OperandId, Program, Scope};
use seawall_policy::text::bytes as bytes_text;
use seawall_state::CounterSpec;
use seawall_wasm::{Component, Failure, Function, LiveCounts, Sandbox};

/// A rule set.
pub struct RuleSet {
    pub(crate) program: Program,
    pub(crate) files: Files,
    pub(crate) lists: Vec<Arc<LoadedList>>,
    pub(crate) externs: Vec<Function>,
    pub(crate) components: HashMap<[u8; 32], Component>,
    pub(crate) functions: HashMap<FunctionKey, Function>,
    pub(crate) sandbox: Sandbox,
    /// The policy files of which it was built, for a member whose next files are invalid.
    pub(crate) sources: Sources,
    /// Their outline.
    pub(crate) outline: Outline,
    pub(crate) sites: HostMap<usize>,
    pub(crate) plan: IndexPlan,
    /// For each counter, the number of its kind of key; `None` if the evaluation can change the
    /// key.
    pub(crate) key_shapes: Vec<Option<u16>>,
    /// The prefix sizes that define clients in tests.
    pub(crate) units: ClientPrefixes,
    /// Limits on the cost of one request.
    pub(crate) fuel: FuelLimits,
    pub(crate) parts: fuel::Parts,
    specs: Vec<CounterSpec>,
    names: Vec<Box<str>>,
    /// The free text after the version in the root policy.
    revision: Option<Box<str>>,
    /// The kinds of key of the operator's counters.
    shapes: Shapes,
    /// The lengths of the operator's tables, which precede those of members.
    host: Lengths,
    /// The active parts of members.
    members: BTreeMap<Box<str>, Arc<Member>>,
    /// The postponed members.
    waiting: Waiting,
    /// The members with invalid files.
    wrong: BTreeMap<Box<str>, Arc<Wrong>>,
}

/// Why a member's part does not fit after the others.
#[derive(Debug)]
pub(crate) enum NoRoom {
    /// The index of the member's rules is too large.
    Index(TooLarge),
    /// A list of the operator that the member's rules search is too large for a search.
    Search(ListId, String),
}

impl NoRoom {
    fn told(&self, program: &Program) -> Option<Diagnostic> {
        match self {
            Self::Index(why) => too_large(program, why),
            Self::Search(list, why) => {
                let list = program.lists.get(list.0 as usize)?;
                let message = format!(
                    "a member searches texts for the elements of `@{}`, and the list {why}",
                    list.name
                );
                Some(Diagnostic::error(Code::SearchTooLarge, list.file, list.span, message))
            }
        }
    }
}

/// Kinds of key, by whether each site has its own and by their operands.
type Shapes = HashMap<(bool, Box<[OperandId]>), u16>;

/// The state of a rule set before a part was added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) lengths: Lengths,
    files: u32,
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.names.len()).finish_non_exhaustive()
    }
}

/// The counts of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSummary {
    /// Its name, without `@`.
    pub name: Box<str>,
    /// Number of elements; merged ones count once.
    pub entries: usize,
    /// Lines without a valid element.
    pub bad_lines: usize,
    /// The previous number of elements, if more than half of them were lost.
    pub shrank_from: Option<usize>,
    /// The file of the list; `None` for a list in the policy.
    pub file: Option<ListFile>,
}

/// The counts of an extern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternSummary {
    /// Its name.
    pub name: Box<str>,
    /// Calls, including failed ones and cache hits.
    pub calls: u64,
    /// Calls answered from the result cache.
    pub memo_hits: u64,
    /// Calls that got their time a second time.
    pub extended: u64,
    /// Failures by kind; only kinds that occurred.
    pub failures: Vec<(&'static str, u64)>,
    /// The most fuel that one call used.
    pub fuel_peak: u64,
    /// Number of quarantines.
    pub quarantines: u64,
    /// The end of the last quarantine, past or future.
    pub quarantined_until: Option<Tick>,
}

impl ExternSummary {
    fn of(name: &str, function: &Function) -> Self {
        let stats = function.stats();
        let failures = Failure::ALL.iter().map(|kind| (kind.word(), stats.failed(*kind)));
        Self {
            name: name.into(),
            calls: stats.calls,
            memo_hits: stats.memo_hits,
            extended: stats.extended,
            failures: failures.filter(|(_, count)| *count > 0).collect(),
            fuel_peak: stats.fuel_peak,
            quarantines: stats.quarantines,
            quarantined_until: stats.quarantined_until,
        }
    }
}

/// The counts of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Rules, limits and the decision table.
    pub rules: usize,
    /// Counters.
    pub counters: usize,
    /// Lists.
    pub lists: Vec<ListSummary>,
    /// Externs.
    pub externs: Vec<ExternSummary>,
    /// Tests.
    pub tests: usize,
    /// The size of the indexes.
    pub index: IndexSummary,
    /// The free text after the version in the root policy.
    pub revision: Option<Box<str>>,
}

/// The parts built by other modules.
pub(crate) struct Parts {
    pub(crate) program: Program,
    pub(crate) plan: IndexPlan,
    pub(crate) files: Files,
    pub(crate) loaded: Loaded,
    pub(crate) sandbox: Sandbox,
    pub(crate) sources: Sources,
    pub(crate) outline: Outline,
    pub(crate) revision: Option<Box<str>>,
    pub(crate) units: ClientPrefixes,
    pub(crate) fuel: FuelLimits,
}

impl RuleSet {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            program,
            plan,
            files,
            loaded,
            sandbox,
            sources,
            outline,
            revision,
            units,
            fuel,
        } = parts;
        let mut shapes = Shapes::new();
        let mut rules = Self {
            host: Lengths::of(&program),
            specs: program.counters.iter().map(spec).collect(),
            key_shapes: key_shapes(&program, 0, &mut shapes),
            names: program.rules.iter().map(|rule| rule.name.clone()).collect(),
            shapes,
            fuel,
            parts: fuel::Parts::new(&program),
            files,
            lists: loaded.lists,
            externs: Vec::new(),
            components: loaded.components,
            functions: HashMap::new(),
            sandbox,
            sources,
            outline,
            revision,
            sites: HostMap::default(),
            plan,
            units,
            members: BTreeMap::new(),
            waiting: Waiting::default(),
            wrong: BTreeMap::new(),
            program,
        };
        rules.externs.extend(loaded.externs.iter().map(|(_, function)| function.clone()));
        rules.functions.extend(loaded.externs);
        rules.find_sites(0);
        rules
    }

    /// Adds the hosts of the members' layers from number `first` on.
    fn find_sites(&mut self, first: usize) {
        for (at, site) in self.program.sites.iter().enumerate().skip(first) {
            for pattern in &site.hosts {
                self.sites.insert(pattern, at);
            }
        }
    }

    /// Returns the current state, for [`RuleSet::take_off`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { lengths: Lengths::of(&self.program), files: self.files.count() }
    }

    /// Prepares the operator's lists for the text searches of a member. The lists can be newer than
    /// the member's part.
    fn make_ready(&self, member: &Member) -> Result<(), NoRoom> {
        let mut asked = None;
        for atom in &member.part.own().atoms {
            let Check::HasListed(list, search) = atom.check else { continue };
            if list.0 as usize >= self.host.lists {
                continue;
            }
            let Some(loaded) = self.lists.get(list.0 as usize) else { continue };
            asked = Some(list);
            ready(loaded, &[search]).map_err(|why| NoRoom::Search(list, why.to_string()))?;
        }
        let hosts = self.lists.iter().take(self.host.lists);
        let bytes = || hosts.map(|list| list.searches.bytes()).fold(0, usize::saturating_add);
        match asked.filter(|_| bytes() > LIST_SEARCH_BYTES_HOST_MAX) {
            None => Ok(()),
            Some(list) => {
                let most = bytes_text(LIST_SEARCH_BYTES_HOST_MAX);
                let why = format!("needs, with the operator's other lists, more than {most}");
                Err(NoRoom::Search(list, why))
            }
        }
    }

    /// Adds a member's part at the end.
    ///
    /// # Errors
    /// The index of the member's rules, or a text search, is too large. The caller must then remove
    /// the part.
    pub(crate) fn push(&mut self, member: &Member) -> Result<(), NoRoom> {
        let before = Lengths::of(&self.program);
        let own = member.part.own();
        self.program.link(&member.part, &mut self.files, &member.files);
        self.lists.extend(member.loaded.lists.iter().cloned());
        self.externs.extend(member.loaded.externs.iter().map(|(_, function)| function.clone()));
        self.specs.extend(own.counters.iter().map(spec));
        self.names.extend(own.rules.iter().map(|rule| rule.name.clone()));
        // A request has keys of the operator and of one member, so the kinds of all members can use
        // the same numbers.
        let shapes = key_shapes(&self.program, before.counters, &mut self.shapes.clone());
        self.key_shapes.extend(shapes);
        self.find_sites(before.sites);
        self.parts.extend(&self.program);
        self.make_ready(member)?;
        self.plan.extend(&self.program).map_err(NoRoom::Index)
    }

    /// Removes what was added after `mark`.
    pub(crate) fn take_off(&mut self, mark: &Mark) {
        let Mark { lengths, files } = *mark;
        for site in self.program.sites.iter().skip(lengths.sites) {
            for pattern in &site.hosts {
                self.sites.remove(pattern);
            }
        }
        self.program.unlink(lengths);
        self.files.truncate(files);
        self.lists.truncate(lengths.lists);
        self.externs.truncate(lengths.externs);
        self.specs.truncate(lengths.counters);
        self.key_shapes.truncate(lengths.counters);
        self.names.truncate(lengths.rules);
        self.parts.truncate(lengths.sites);
        self.plan.truncate(lengths.sites);
    }

    /// Activates a member's part.
    ///
    /// # Errors
    /// The part does not fit. Then nothing has changed.
    pub(crate) fn join(
        &mut self,
        member: &Arc<Member>,
    ) -> Result<(), Box<diagnostics::Diagnostic>> {
        let mark = self.mark();
        if let Err(why) = self.push(member) {
            let told = why.told(&self.program).map(|why| diagnostics::one(&why, &self.files));
            self.take_off(&mark);
            return told.map_or(Ok(()), |told| Err(Box::new(told)));
        }
        self.functions.extend(member.loaded.externs.iter().cloned());
        let components = member.loaded.components.iter();
        self.components.extend(components.map(|(digest, component)| (*digest, component.clone())));
        self.outline.add(&member.outline);
        self.members.insert(member.name().into(), Arc::clone(member));
        Ok(())
    }

    /// Ends the joining of members. Members that did not join have no part; postponed members come
    /// first the next time, and keep their counters.
    pub(crate) fn joined(&mut self, waiting: Waiting, wrong: BTreeMap<Box<str>, Arc<Wrong>>) {
        let members = &self.members;
        self.sources.fill_members(|name| members.get(name).map(|member| &member.policies));
        // After those of the program: no rule of this generation reads them.
        let idle = waiting.former.values().flat_map(|member| &member.part.own().counters);
        self.specs.extend(idle.map(spec));
        self.waiting = waiting;
        self.wrong = wrong;
    }

    /// Returns the stored diagnostics of a member with invalid files.
    pub(crate) fn wrong(&self, member: &str) -> Option<&Arc<Wrong>> {
        self.wrong.get(member)
    }

    /// Returns the members whose files, or whose last valid part, were postponed.
    #[must_use]
    pub fn postponed(&self) -> &[Box<str>] {
        &self.waiting.names
    }

    /// Returns a member's active part, or the part that still has to be compiled against the
    /// operator's new files.
    pub(crate) fn former(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.get(name).or_else(|| self.waiting.former.get(name))
    }

    /// Returns the active part of a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Arc<Member>> {
        self.members.get(name)
    }

    /// Returns the active parts of all members, by name.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }

    /// Returns the operator's lists.
    pub(crate) fn host_lists(&self) -> ListsBefore<'_> {
        let most = self.host.lists;
        ListsBefore {
            declared: self.program.lists.get(..most).unwrap_or_default(),
            loaded: self.lists.get(..most).unwrap_or_default(),
        }
    }

    /// Returns the full names of rules and limits, by [`RuleId`].
    #[must_use]
    pub fn rule_names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Returns whether a rule or limit belongs to a member.
    #[must_use]
    pub fn is_members(&self, rule: RuleId) -> bool {
        self.program.rules.get(rule.0 as usize).is_some_and(|rule| rule.member.is_some())
    }

    /// Returns the displayed name of the reason of a decision.
    #[must_use]
    pub fn name(&self, reason: Reason) -> &str {
        match reason {
            Reason::Rule(RuleId(at)) => self.names.get(at as usize).map_or("?", |name| name),
            Reason::Banned => "ban",
            Reason::Malformed => "malformed",
            Reason::Unopposed => "unopposed",
            Reason::OutOfFuel => "out-of-fuel",
        }
    }

    /// Returns the counters that the state must have.
    #[must_use]
    pub fn counter_specs(&self) -> &[CounterSpec] {
        &self.specs
    }

    /// Returns the outline of the policy.
    #[must_use]
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Returns the policy files of which it was built: for a member with invalid files, the last
    /// valid ones.
    #[must_use]
    pub fn policies(&self) -> &Sources {
        &self.sources
    }

    /// Returns the counts of the externs.
    #[must_use]
    pub fn extern_summaries(&self) -> Vec<ExternSummary> {
        let externs = self.program.externs.iter().zip(&self.externs);
        externs.map(|(declared, function)| ExternSummary::of(&declared.name, function)).collect()
    }

    /// Returns the live instances and components in the sandbox, with those of other generations.
    #[must_use]
    pub fn sandbox_alive(&self) -> LiveCounts {
        self.sandbox.alive()
    }

    /// Ends the quarantine of an extern or of a member's part. Returns whether `name` exists.
    #[must_use]
    pub fn enable_extern(&self, name: &str) -> bool {
        let externs = self.program.externs.iter().zip(&self.externs);
        let found = externs.filter(|(declared, _)| *declared.name == *name);
        let enabled = found.map(|(_, function)| function.enable()).count() > 0;
        self.enable_part(name) || enabled
    }

    /// Returns the counts of the policy.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let lists = self.program.lists.iter().zip(&self.lists);
        Summary {
            rules: self.names.len(),
            counters: self.program.counters.len(),
            lists: lists
                .map(|(declared, loaded)| ListSummary {
                    name: declared.name.clone(),
                    entries: loaded.set.len(),
                    bad_lines: loaded.bad_lines,
                    shrank_from: loaded.shrank_from,
                    file: list_file(&self.files, declared, loaded),
                })
                .collect(),
            externs: self.extern_summaries(),
            tests: self.program.cases.len(),
            index: self.plan.summary(),
            revision: self.revision.clone(),
        }
    }
}

/// Returns the kinds of key of the counters from number `first` on. Counters with the same `per` in
/// the same scope have the same key.
fn key_shapes(program: &Program, first: usize, shapes: &mut Shapes) -> Vec<Option<u16>> {
    let mut all = Vec::with_capacity(program.counters.len().saturating_sub(first));
    for counter in program.counters.iter().skip(first) {
        let lasting = counter.per.iter().all(|operand| program.is_lasting(*operand, &SCHEMA));
        let next = u16::try_from(shapes.len()).ok().filter(|_| lasting);
        let shape = (counter.scope == Scope::PerSite, counter.per.clone());
        all.push(next.map(|next| *shapes.entry(shape).or_insert(next)));
    }
    all
}
