//! Builds a rule set from sources, or returns all diagnostics.
//!
//! `seawall check`, start and reload use this one function. A policy that passes a check therefore
//! cannot fail at reload for a reason that the check can detect.
//!
//! The operator's files come first: they are compiled, loaded and tested without members, and only
//! their errors reject a policy. Then each member's part is compiled against them, loaded and
//! tested separately. A failed part affects only itself. A part with unchanged inputs is reused, so
//! that the cost depends on the changes. At the end the parts are linked after the operator's.

mod budget;
pub(crate) mod compiler;
pub(crate) mod component_tests;
pub(crate) mod counter_spec;
pub(crate) mod list_file;
pub(crate) mod lists;
mod load;
mod load_context;
mod member;
pub(crate) mod member_hosts;
pub(crate) mod member_part;
mod members;
pub(crate) mod memory_store;
mod pages;
pub(crate) mod parts;
pub(crate) mod settings;
pub(crate) mod signatures;
pub(crate) mod sources;

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::check::{Given, HostChecked, HostPolicy, Page, Purpose, check_host};
use seawall_policy::diagnostic::{Diagnostic, Files, tidy};
use seawall_policy::outline::Outline;
use seawall_policy::syntax::ast::Item;
use seawall_state::CounterSpec;
use seawall_wasm::Sandbox;

pub use budget::{
    Effort, MEMBER_CASES_MS_MAX, MEMBERS_COMPILE_BYTES_MAX, MEMBERS_REBUILD_BYTES_MAX,
    MEMBERS_TEST_REQUESTS_MAX, START_EFFORTS,
};
pub use member::MEMBER_COMPLAINTS_KEPT_MAX;
pub(crate) use member::entries;
pub use members::{MemberPart, MemberState};
pub use pages::INCLUDE_DEPTH_MAX;
pub(crate) use pages::PageReader;

use crate::build::compiler::{Compiler, InProcessCompiler};
use crate::build::counter_spec::spec;
use crate::build::load_context::LoadContext;
use crate::build::member_hosts::Served;
use crate::build::parts::ListsBefore;
use crate::build::settings::ServerSettings;
use crate::build::sources::{MemberSources, Sources};
use crate::eval::index_plan::{IndexPlan, too_large};
use crate::http::{SCHEMA, foreign_syntax};
use crate::inspect::diagnostics::{self, COMPLAINTS_MAX};
use crate::policy_tests::budget::Whose;
use crate::policy_tests::result::{PolicyTestResult, Rehearsed};
use crate::ruleset::{Parts, RuleSet};

/// Builds rule sets.
pub struct RuleSetBuilder {
    settings: ServerSettings,
    sandbox: Sandbox,
    compiler: Arc<dyn Compiler>,
}

impl std::fmt::Debug for RuleSetBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSetBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The parameters of a build.
#[derive(Clone, Copy)]
pub struct Terms<'t> {
    /// The active rule set, whose unchanged parts are reused.
    pub previous: Option<&'t RuleSet>,
    /// Returns the files of a member's last valid part if no active part fits: from before a
    /// restart, or from the generation of a rollback.
    pub good: &'t dyn Fn(&str) -> Option<MemberSources>,
    /// The amount of work for members.
    pub effort: Effort,
    /// Returns whether the rule set is still needed. Called between members, requests of tests and
    /// component tests. If it returns false, there is no rule set.
    pub go_on: &'t dyn Fn() -> bool,
}

impl<'t> Terms<'t> {
    /// Creates parameters without last valid parts other than the active ones.
    #[must_use]
    pub fn new(previous: Option<&'t RuleSet>, effort: Effort) -> Self {
        Self { previous, good: &|_| None, effort, go_on: &|| true }
    }
}

impl std::fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms").field("effort", &self.effort).finish_non_exhaustive()
    }
}

/// The result of a build.
#[derive(Debug)]
pub struct BuildOutput {
    /// The rule set with the active part of each member; `None` after an error in the operator's
    /// files.
    pub rules: Option<RuleSet>,
    /// All diagnostics about the operator's files, in source order, and those about new active
    /// parts of members.
    pub diagnostics: Vec<diagnostics::Diagnostic>,
    /// Members with invalid files. Only their parts are rejected.
    pub members: Vec<MemberState>,
    /// The results of the tests: those of the operator, and those in new files of members.
    pub tests: Vec<PolicyTestResult>,
    /// Number of members whose files, or whose last valid part, were postponed because the limit on
    /// work was reached.
    pub postponed: usize,
}

impl BuildOutput {
    /// Returns all diagnostics, with those about members' files. A failed test is in its result
    /// instead.
    #[must_use]
    pub fn everything(&self) -> Vec<diagnostics::Diagnostic> {
        let hers = self.members.iter().flat_map(|member| &member.diagnostics);
        let all = self.diagnostics.iter().chain(hers);
        all.filter(|said| said.code != diagnostics::TEST_FAILED).cloned().collect()
    }
}

/// The operator's files after parsing.
pub(crate) struct HostRead {
    pub(crate) files: Files,
    pub(crate) pages: Vec<Page>,
    pub(crate) revision: Option<Box<str>>,
}

impl RuleSetBuilder {
    /// Creates a builder for one server, which compiles components in this process.
    #[must_use]
    pub fn new(settings: ServerSettings, sandbox: Sandbox) -> Self {
        Self { settings, sandbox, compiler: Arc::new(InProcessCompiler) }
    }

    /// Sets another compiler.
    #[must_use]
    pub fn with_compiler(self, compiler: Arc<dyn Compiler>) -> Self {
        Self { compiler, ..self }
    }

    /// Builds a rule set from sources, without a limit on the work.
    #[must_use]
    pub fn build(
        &self,
        sources: &Sources,
        purpose: Purpose,
        previous: Option<&RuleSet>,
    ) -> BuildOutput {
        self.assemble_within(sources, purpose, Terms::new(previous, Effort::Unbounded))
    }

    /// Builds a rule set with a limit on the work for members, so that the operator's edit does not
    /// wait for their changes.
    #[must_use]
    pub fn assemble_within(
        &self,
        sources: &Sources,
        purpose: Purpose,
        terms: Terms<'_>,
    ) -> BuildOutput {
        let reading = PageReader::host(sources.host(), sources.root());
        let PageReader { files, pages, mut diagnostics, revision, .. } = reading;
        let HostChecked { policy, diagnostics: checked } =
            check_host(&pages, self.given(&files, purpose));
        let served = Served::new(&self.settings.sites);
        diagnostics.extend(checked);
        diagnostics.extend(served.complaints(&pages, None));
        diagnostics.extend(wrong_entries(sources, &pages));
        let host = HostRead { files, pages, revision };
        let mut bench = member::Bench {
            workshop: self,
            entries: member::entries(&host.pages),
            host: &host,
            served: &served,
            previous: terms.previous,
            purpose,
            host_digest: self.host_digest(sources, purpose),
            whole_host: sources.host_digest(),
            made: HashMap::new(),
            go_on: terms.go_on,
        };
        let mut files = host.files.clone();
        let said = (&mut files, &mut diagnostics);
        let rules = self.host_rules(&mut bench, &policy, sources, said);
        tidy(&mut diagnostics);
        foreign_syntax::help(&mut diagnostics, &files);
        let located = diagnostics::located(&diagnostics, &files, COMPLAINTS_MAX);
        let rehearsed = rules.as_ref().map(|rules| rules.rehearse_within(Whose::HOST, terms.go_on));
        let Rehearsed { outcomes: tests, unfinished } = rehearsed.unwrap_or_default();
        let failed = diagnostics.iter().any(Diagnostic::is_error) || !unfinished.is_empty();
        let mut joining = members::Joining::new(bench, terms, rules);
        joining.all(policy, sources);
        let mut assembly = joining.finish(tests);
        // A rule set that is no longer needed can be incomplete, so it is not returned.
        assembly.rules = assembly.rules.filter(|_| !failed && (terms.go_on)());
        assembly.diagnostics.splice(0..0, located);
        assembly
    }

    /// Returns the operator's part of the rule set; `None` after an error.
    fn host_rules(
        &self,
        bench: &mut member::Bench<'_>,
        policy: &HostPolicy,
        sources: &Sources,
        (files, diagnostics): (&mut Files, &mut Vec<Diagnostic>),
    ) -> Option<RuleSet> {
        let (program, host) = (policy.program(), bench.host);
        let before = bench.previous.map_or(ListsBefore::default(), RuleSet::host_lists);
        let mut loading = LoadContext {
            reached: sources.host(),
            files,
            diagnostics,
            previous: bench.previous,
            before,
            made: &mut bench.made,
            member: None,
            first_list: 0,
            search_bytes: 0,
            cases_ms: u64::MAX,
            go_on: bench.go_on,
        };
        let loaded = loading.load(program, self);
        let plan =
            IndexPlan::new(program).map_err(|why| diagnostics.extend(too_large(program, &why)));
        let complete = loaded.externs.len() == program.externs.len();
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        let (Ok(plan), true, false) = (plan, complete, failed) else { return None };
        Some(RuleSet::new(Parts {
            program: program.clone(),
            plan,
            files: host.files.clone(),
            sources: sources.host_policies(),
            outline: Outline::of(&host.pages, &host.files),
            revision: host.revision.clone(),
            loaded,
            sandbox: self.sandbox.clone(),
            units: self.settings.units,
            fuel: self.settings.fuel,
        }))
    }

    pub(crate) fn given<'g>(&self, files: &'g Files, purpose: Purpose) -> Given<'g> {
        Given { schema: &SCHEMA, files, purpose, today: self.settings.today }
    }

    /// Returns a digest of everything outside a member's files that affects their compilation.
    fn host_digest(&self, sources: &Sources, purpose: Purpose) -> [u8; 32] {
        let mut digest = sha2::Sha256::default();
        sha2::Digest::update(&mut digest, sources.host_policy_digest());
        sha2::Digest::update(&mut digest, self.settings.today.to_le_bytes());
        sha2::Digest::update(&mut digest, [u8::from(purpose == Purpose::Run)]);
        sha2::Digest::finalize(digest).into()
    }

    /// Returns the counters that a policy declares, without those of members with errors. Returns
    /// `None` if the operator's files are invalid. Reads policy files only.
    #[must_use]
    pub fn counter_specs(&self, sources: &Sources) -> Option<Vec<CounterSpec>> {
        let reading = PageReader::host(sources.host(), sources.root());
        let PageReader { files, pages, diagnostics, .. } = reading;
        let is_wrong = |all: &[Diagnostic]| all.iter().any(Diagnostic::is_error);
        let checked = check_host(&pages, self.given(&files, Purpose::Check));
        if is_wrong(&diagnostics) || is_wrong(&checked.diagnostics) {
            return None;
        }
        let host = HostRead { files, pages, revision: None };
        let mut specs: Vec<CounterSpec> =
            checked.policy.program().counters.iter().map(spec).collect();
        let mut policy = checked.policy;
        let entries = member::entries(&host.pages);
        for member in sources.members() {
            let Some((_, entry)) = entries.get(member.name()).copied() else { continue };
            let Ok(path) = member.file() else { continue };
            let (reached, files) = (member.reached(), host.files.clone());
            let reading = PageReader::member(reached, files, (member.name(), path), entry);
            let given = self.given(&reading.files, Purpose::Check);
            let (same, checked) = policy.check_member(&reading.pages, given, host.files.count());
            policy = same;
            let part = checked.part.filter(|_| !is_wrong(&reading.diagnostics));
            specs.extend(part.iter().flat_map(|part| part.own().counters.iter().map(spec)));
        }
        Some(specs)
    }
}

/// Reports `member` entries whose file cannot belong to a member.
fn wrong_entries(sources: &Sources, pages: &[Page]) -> Vec<Diagnostic> {
    let members: HashMap<&str, &MemberSources> =
        sources.members().iter().map(|member| (member.name(), member)).collect();
    let wrong = |page: &Page| {
        let Item::Member(member) = &page.item else { return None };
        let file = member.file.as_ref()?;
        let why = members.get(&*member.name.node)?.file().err()?;
        Some(pages::source_error(page.file, file.span, &file.node, why))
    };
    pages.iter().filter_map(wrong).collect()
}
