//! Builds a ruleset from files, for start, reload and `seawall check` alike.
//!
//! So `run` accepts what `check` accepts, and a start rejects what a reload rejects.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_admin_api::{PolicyError, PolicyRejection, TestCounts};
use seawall_model::{Now, Tick, shown};
use seawall_ruleset::{
    BuildOutput, CachedList, Diagnostic, MemberState, Memo, PolicyTestResult, Purpose, RuleSet,
    RuleSetBuilder, Sandbox, Severity, SourceStore, Sources, Style, TEST_FAILED, Terms, render,
};
use seawall_state::CounterSpec;

use super::hashing_store::HashingStore;
use crate::admin::rejection::own_refusal;
use crate::compile::{ComponentCompiler, Patience};
use crate::policy_source::list_cache::{ListAge, ListCache, PublishedLists};
use crate::policy_source::policy_dir::{PolicyDir, Stoppable};
use crate::reload::trigger::ReloadTrigger;
use crate::storage::digest::digest;
use crate::util::periodic_task::PeriodicTask;
use crate::util::stop_flag::StopFlag;

/// The code of the diagnostic for a failed policy test.
pub const TEST_CODE: &str = "test";
/// Interval between two reads of files that change while they are read, in milliseconds.
pub const AGAIN_MS: u64 = 50;
/// Maximum of reads of files that keep changing before that is reported: two seconds and a half.
pub const READS_MAX: u32 = 50;
/// Reads in which a member's changing files are waited for like the operator's. After them the
/// member's last good part is used.
pub(crate) const PATIENT_READS: u32 = 1;

/// Makes a ruleset builder for a day, counted since 1970: policies may contain dates.
pub type MakeBuilderFn = Arc<dyn Fn(u64) -> RuleSetBuilder + Send + Sync>;

/// Loads one root policy. While it lives, the epoch of its rules advances, also of those that are
/// tested before publication.
#[derive(Clone)]
pub struct PolicyLoader {
    store: Arc<HashingStore>,
    /// Files that the last policy named.
    memo: Arc<Mutex<Memo>>,
    root: String,
    make: MakeBuilderFn,
    now: Now,
    ticker: Arc<PeriodicTask>,
    compiler: Option<Arc<ComponentCompiler>>,
    /// How often members' files were postponed.
    rounds: Arc<AtomicU64>,
    /// Set when nothing that is loaded is needed any more.
    stop: StopFlag,
    /// How long the first load waits for components.
    first: Patience,
}

/// The result of a build.
#[derive(Debug)]
pub struct BuildResult {
    /// The ruleset, if no diagnostic is an error.
    pub rules: Option<RuleSet>,
    /// All diagnostics of the operator's files, and of members' active parts.
    pub diagnostics: Vec<Diagnostic>,
    /// The policy tests, with their results.
    pub tests: Vec<PolicyTestResult>,
    /// Number of members' tests that fail because of the operator's rules; they reject nothing.
    pub broken: usize,
    /// Members with invalid files, which only reject their own parts.
    pub members: Vec<MemberState>,
    /// Members whose files are not evaluated yet.
    pub postponed: usize,
}

/// A ruleset that may be published, with its companions.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) rules: RuleSet,
    /// Its warnings.
    pub(crate) warnings: Vec<String>,
    /// The results of its tests.
    pub(crate) tests: TestCounts,
    /// Its list files.
    pub(crate) stock: PublishedLists,
    /// Members with invalid files.
    pub(crate) members: Vec<MemberState>,
}

impl std::fmt::Debug for PolicyLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyLoader").field("root", &self.root).finish_non_exhaustive()
    }
}

impl PolicyLoader {
    /// Returns a loader for the policy file `file`, whose folder is the policy root. All builders
    /// that `make` returns must share `sandbox`. Last good copies of lists lie in `state_dir`, if
    /// there is one.
    ///
    /// # Errors
    /// The system provides no thread for the epoch ticker.
    pub fn new(
        file: &Path,
        make: MakeBuilderFn,
        sandbox: Sandbox,
        now: Now,
        state_dir: Option<&Path>,
    ) -> std::io::Result<Self> {
        let root = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().unwrap_or(Path::new(""));
        let shelf = state_dir.map(|dir| ListCache::new(dir, now.clone()));
        let inner = PolicyDir::new(folder);
        let store = HashingStore::new(inner, shelf);
        let ticker = Arc::new(PeriodicTask::start(move || sandbox.raise_epoch())?);
        let memo = Arc::default();
        Ok(Self {
            store: Arc::new(store),
            memo,
            root,
            make,
            now,
            ticker,
            compiler: None,
            rounds: Arc::default(),
            stop: StopFlag::default(),
            first: Patience::START,
        })
    }

    /// Uses a component compiler, so that this process does not compile.
    #[must_use]
    pub fn with_foundry(self, compiler: Arc<ComponentCompiler>) -> Self {
        Self { compiler: Some(compiler), ..self }
    }

    /// Ends long operations once `stop` is set. Their results are then incomplete and must not be
    /// used.
    #[must_use]
    pub fn with_stop(self, stop: StopFlag) -> Self {
        Self { stop, ..self }
    }

    /// Sets the waiting times of a child process in an upgrade.
    pub(crate) fn taking_over(self) -> Self {
        Self { first: Patience::UPGRADE, ..self }
    }

    /// Returns the flag that ends long operations.
    pub(crate) fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Returns whether results are not needed any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Returns whether a component is being compiled.
    pub(crate) fn is_compiling(&self) -> bool {
        self.compiler.as_ref().is_some_and(|compiler| compiler.is_busy())
    }

    /// Returns a digest that differs if a reload of these sources could have another result.
    pub(crate) fn digest(&self, sources: &Sources) -> [u8; 32] {
        let edition = self.compiler.as_ref().map_or(0, |compiler| compiler.completion_count());
        match edition.saturating_add(self.rounds.load(Relaxed)) {
            0 => sources.digest(),
            again => digest(&[&sources.digest()[..], &again.to_le_bytes()].concat()),
        }
    }

    /// Makes the same files worth another reload if the machine caused the last error.
    pub(crate) fn try_again(&self, is_asked: bool) {
        if let Some(compiler) = &self.compiler {
            compiler.try_again(is_asked);
        }
    }

    /// Sets the trigger to notify when a component is compiled that a reload did not wait for.
    pub(crate) fn ring(&self, trigger: Arc<ReloadTrigger>) {
        if let Some(compiler) = &self.compiler {
            compiler.set_reload_trigger(trigger);
        }
    }

    /// Reads all files that the root names; they may be changing.
    #[must_use]
    pub fn gather(&self) -> Sources {
        self.reading(|store, memo| Sources::gather_again(&self.root, store, memo))
    }

    /// Does one reading: files that it does not use are forgotten.
    pub(super) fn reading<T>(&self, read: impl FnOnce(&dyn SourceStore, &mut Memo) -> T) -> T {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.begin();
        let read = read(&Stoppable { inner: &*self.store, stop: &self.stop }, &mut memo);
        self.store.end();
        read
    }

    /// Returns the folders, with links resolved, in which the last reading found or expected files.
    /// Those of the operator come first.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.store.seen().folders.clone()
    }

    /// Reads until no file changes during the reading, for a while. A member whose files keep
    /// changing after the first reads is ignored.
    #[must_use]
    pub fn gather_settled(&self) -> Sources {
        let mut sources = self.gather();
        for read in 1..READS_MAX {
            if read > PATIENT_READS {
                sources.unsettle_changing();
            }
            if !sources.changing() || self.is_stopped() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(AGAIN_MS));
            sources = self.gather();
        }
        sources
    }

    /// Checks, builds and tests a policy.
    #[must_use]
    pub fn build(
        &self,
        sources: &Sources,
        purpose: Purpose,
        previous: Option<&RuleSet>,
    ) -> BuildResult {
        let assembly = self.workshop(Patience::ENDLESS).build(sources, purpose, previous);
        BuildResult::of(assembly)
    }

    /// Returns the same for a server, which members' saves must not delay.
    #[must_use]
    pub fn build_to_run(&self, sources: &Sources, terms: Terms<'_>) -> BuildResult {
        // A server that serves already does not wait for a compiler.
        let is_first = terms.previous.is_none();
        let workshop = self.workshop(if is_first { self.first } else { Patience::RELOAD });
        let terms = Terms { go_on: &|| !self.is_stopped() && (terms.go_on)(), ..terms };
        let mut built = BuildResult::of(workshop.assemble_within(sources, Purpose::Run, terms));
        if built.postponed > 0 {
            // Postponed files must be built later: the same files are worth another reload.
            self.rounds.fetch_add(1, Relaxed);
        }
        // Tests of files that are not active show nothing about the active ones.
        let members = &built.members;
        let wrong = |name: &str| members.iter().any(|member| *member.name == *name);
        built.tests.retain(|test| test.passed || !test.member.as_deref().is_some_and(wrong));
        // A member's test that still fails is broken by the operator's rules: it gets a warning.
        let members_own = |test: &&mut PolicyTestResult| test.member.is_some() && !test.passed;
        for test in built.tests.iter_mut().filter(members_own) {
            log::warn!(target: "seawall::policy", "{}", test_line(test));
            test.passed = true;
            built.broken = built.broken.saturating_add(1);
        }
        built
    }

    /// Returns a builder for today, with the epoch ticker running: a tested rule over its fuel must
    /// end on time.
    fn workshop(&self, patience: Patience) -> RuleSetBuilder {
        self.ticker.want(true);
        let workshop = (self.make)((self.now)().day());
        match &self.compiler {
            Some(compiler) => {
                let visit = compiler.compile_session(patience, self.stop_flag());
                workshop.with_compiler(Arc::new(visit))
            }
            None => workshop,
        }
    }

    /// Sets the generations whose rules may run.
    pub(crate) fn running(&self, generations: &[&RuleSet]) {
        self.ticker.want(generations.iter().any(|rules| !rules.summary().externs.is_empty()));
    }

    /// Returns the epoch ticker.
    pub(crate) fn ticker(&self) -> Arc<PeriodicTask> {
        Arc::clone(&self.ticker)
    }

    /// Stores last good copies of the active lists.
    pub(crate) fn put_away(&self, stock: &PublishedLists) {
        if let Some(shelf) = self.store.shelf() {
            shelf.put_away(stock);
        }
    }

    /// Returns the last good copy of a list, if one is stored that differs from its file.
    pub(crate) fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        self.store.kept_list(name, path)
    }

    /// Returns the age of an active list.
    pub(crate) fn list_age(&self, name: &str, path: &str) -> Option<ListAge> {
        self.store.shelf()?.age(name, path)
    }

    /// Returns the counters that a policy declares; none if the policy is invalid. Lists and
    /// components are not read.
    #[must_use]
    pub fn counter_specs(&self, sources: &Sources) -> Option<Vec<CounterSpec>> {
        (self.make)((self.now)().day()).counter_specs(sources)
    }

    /// Returns the time of the clock that policies are loaded with.
    pub(crate) fn now(&self) -> Tick {
        (self.now)()
    }

    /// Returns the root policy's file name.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }
}

impl Ready {
    /// Requires that this member's files are active.
    ///
    /// # Errors
    /// The member's files are invalid, or do not fit the operator's.
    pub(crate) fn with(self, member: &str) -> Result<Self, PolicyRejection> {
        let Some(state) = self.members.iter().find(|state| *state.name == *member) else {
            return Ok(self);
        };
        let complaints: Vec<PolicyError> = state.diagnostics.iter().map(complaint).collect();
        if complaints.is_empty() {
            return Err(own_refusal(&format!("the files of member {member} cannot be activated")));
        }
        let line = |error: &PolicyError| format!("{error}\n");
        Err(PolicyRejection { rendered: complaints.iter().map(line).collect(), errors: complaints })
    }
}

impl BuildResult {
    fn of(assembly: BuildOutput) -> Self {
        let BuildOutput { rules, diagnostics, members, tests, postponed } = assembly;
        Self { rules, diagnostics, tests, broken: 0, members, postponed }
    }

    /// Returns all diagnostics, with those of members' files. A failed test is reported by its
    /// result.
    #[must_use]
    pub fn everything(&self) -> Vec<Diagnostic> {
        let hers = self.members.iter().flat_map(|member| &member.diagnostics);
        let all = self.diagnostics.iter().chain(hers);
        all.filter(|said| said.code != TEST_FAILED).cloned().collect()
    }

    /// Returns the ruleset with its warnings.
    ///
    /// # Errors
    /// There is an error, or a policy test fails.
    pub(crate) fn judged(self, sources: &Sources) -> Result<Ready, PolicyRejection> {
        let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
        let errors = self.diagnostics.iter().filter(is_error).map(complaint);
        let failed: Vec<&PolicyTestResult> =
            self.tests.iter().filter(|test| !test.passed).collect();
        let complaints: Vec<PolicyError> =
            errors.chain(failed.iter().map(|t| failure(t))).collect();
        match self.rules {
            Some(rules) if complaints.is_empty() => {
                let others = self.diagnostics.iter().filter(|d| d.severity == Severity::Warning);
                let warnings = others.map(Diagnostic::one_line).collect();
                let stock = PublishedLists::of(&rules, sources, self.members.is_empty());
                let passed = self.tests.len().saturating_sub(self.broken);
                let tests = TestCounts { passed, failed: self.broken };
                Ok(Ready { rules, warnings, tests, stock, members: self.members })
            }
            _ => {
                let mut rendered = render(&self.diagnostics, sources, Style::Plain);
                for test in failed {
                    rendered.push_str(&format!("{}\n", test_line(test)));
                }
                Err(PolicyRejection { errors: complaints, rendered })
            }
        }
    }
}

/// Returns a failed test as one line.
#[must_use]
pub fn test_line(test: &PolicyTestResult) -> String {
    let PolicyTestResult { name, file, line, column, says, .. } = test;
    let text = format!("{file}:{line}:{column}: test `{name}` fails: {says}");
    shown::one_line(&text).into_owned()
}

fn complaint(of: &Diagnostic) -> PolicyError {
    PolicyError {
        file: of.file.to_string(),
        line: of.line,
        column: of.column,
        code: of.code.to_owned(),
        message: of.message.clone(),
    }
}

fn failure(of: &PolicyTestResult) -> PolicyError {
    PolicyError {
        file: of.file.to_string(),
        line: of.line,
        column: of.column,
        code: TEST_CODE.to_owned(),
        message: shown::one_line(&format!("test `{}` fails: {}", of.name, of.says)).into_owned(),
    }
}
