//! The one way from files to a ruleset, for start-up, reload and `seawall check` alike.
//!
//! So what `check` passes, `run` takes, and what a reload refuses would not have started either.

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

/// The code under which a failing test of a policy is reported.
pub const TEST_CODE: &str = "test";
/// Time between two reads of files that change while they are read, in milliseconds.
pub const AGAIN_MS: u64 = 50;
/// Most reads of files that keep changing before that is told: two seconds and a half.
pub const READS_MAX: u32 = 50;
/// Reads in which a member's files that change are waited for like the host's; after them her last
/// good part serves, and the rest goes on.
pub(crate) const PATIENT_READS: u32 = 1;

/// Makes a workshop for a day, counted since 1970: policies may hold dates.
pub type MakeBuilderFn = Arc<dyn Fn(u64) -> RuleSetBuilder + Send + Sync>;

/// Loads one root policy. While it lives, the rules of whatever it made are reminded of the time:
/// those that are rehearsed before anything is published, too.
#[derive(Clone)]
pub struct PolicyLoader {
    store: Arc<HashingStore>,
    /// What the policy files name that were read last.
    memo: Arc<Mutex<Memo>>,
    root: String,
    make: MakeBuilderFn,
    now: Now,
    ticker: Arc<PeriodicTask>,
    compiler: Option<Arc<ComponentCompiler>>,
    /// How often members' files were left for the next time.
    rounds: Arc<AtomicU64>,
    /// Raised where nothing that is loaded is wanted any more.
    stop: StopFlag,
    /// How long the first load waits for components.
    first: Patience,
}

/// What came of the sources.
#[derive(Debug)]
pub struct BuildResult {
    /// What may be published: there where no diagnostic is an error.
    pub rules: Option<RuleSet>,
    /// All that is to be said about the host's files, and about members' parts that are in force.
    pub diagnostics: Vec<Diagnostic>,
    /// The tests that it holds, with their results.
    pub tests: Vec<PolicyTestResult>,
    /// How many of members' tests fail and refuse nothing, since the host's rules break them.
    pub broken: usize,
    /// Members whose files are wrong, which refuses nothing but their parts.
    pub members: Vec<MemberState>,
    /// Members whose files have yet to be looked at.
    pub postponed: usize,
}

/// What may be published, with what goes with it.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) rules: RuleSet,
    /// What is probably not what was meant.
    pub(crate) warnings: Vec<String>,
    /// How its tests ended.
    pub(crate) tests: TestCounts,
    /// The list files that it is made of.
    pub(crate) stock: PublishedLists,
    /// Members whose files are wrong.
    pub(crate) members: Vec<MemberState>,
}

impl std::fmt::Debug for PolicyLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyLoader").field("root", &self.root).finish_non_exhaustive()
    }
}

impl PolicyLoader {
    /// A loader for the policy file `file`, whose folder is the policy root. All workshops that
    /// `make` makes must share `sandbox`. Good copies of lists lie in `state_dir`, where there is
    /// one.
    ///
    /// # Errors
    /// The system has no thread to give for the rules' clock.
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

    /// The same with components compiled by a compiler, not in this process.
    #[must_use]
    pub fn with_foundry(self, compiler: Arc<ComponentCompiler>) -> Self {
        Self { compiler: Some(compiler), ..self }
    }

    /// The same where all that takes long ends once `stop` is raised. What came of it then is not
    /// all, and not to be used.
    #[must_use]
    pub fn with_stop(self, stop: StopFlag) -> Self {
        Self { stop, ..self }
    }

    /// The same for a process that takes over from another.
    pub(crate) fn taking_over(self) -> Self {
        Self { first: Patience::UPGRADE, ..self }
    }

    /// The flag that ends what takes long.
    pub(crate) fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Whether what is loaded is not wanted any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Whether some component is being compiled.
    pub(crate) fn is_compiling(&self) -> bool {
        self.compiler.as_ref().is_some_and(|compiler| compiler.is_busy())
    }

    /// What differs where a reload of these sources could come out otherwise.
    pub(crate) fn digest(&self, sources: &Sources) -> [u8; 32] {
        let edition = self.compiler.as_ref().map_or(0, |compiler| compiler.completion_count());
        match edition.saturating_add(self.rounds.load(Relaxed)) {
            0 => sources.digest(),
            again => digest(&[&sources.digest()[..], &again.to_le_bytes()].concat()),
        }
    }

    /// Makes the same files worth another reload, where the machine was to blame for what came of
    /// them.
    pub(crate) fn try_again(&self, is_asked: bool) {
        if let Some(compiler) = &self.compiler {
            compiler.try_again(is_asked);
        }
    }

    /// Asks for a reload by this trigger when a component is compiled that a reload did not wait for.
    pub(crate) fn ring(&self, trigger: Arc<ReloadTrigger>) {
        if let Some(compiler) = &self.compiler {
            compiler.set_reload_trigger(trigger);
        }
    }

    /// Reads all that the root reaches; it may be found changing.
    #[must_use]
    pub fn gather(&self) -> Sources {
        self.reading(|store, memo| Sources::gather_again(&self.root, store, memo))
    }

    /// One reading: what is not come by in it is forgotten.
    pub(super) fn reading<T>(&self, read: impl FnOnce(&dyn SourceStore, &mut Memo) -> T) -> T {
        let mut memo = self.memo.lock().unwrap_or_else(PoisonError::into_inner);
        self.store.begin();
        let read = read(&Stoppable { inner: &*self.store, stop: &self.stop }, &mut memo);
        self.store.end();
        read
    }

    /// The folders, with links followed, in which all lies that was read last or looked for, those
    /// of the host first.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.store.seen().folders.clone()
    }

    /// Reads until nothing changes while it is read, for a while. A member whose files go on
    /// changing after the first looks is left alone with it.
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

    /// Checks, builds and rehearses.
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

    /// The same for a server, which is not kept waiting by what members save.
    #[must_use]
    pub fn build_to_run(&self, sources: &Sources, terms: Terms<'_>) -> BuildResult {
        // Where something serves already, it need not wait for a compiler.
        let is_first = terms.previous.is_none();
        let workshop = self.workshop(if is_first { self.first } else { Patience::RELOAD });
        let terms = Terms { go_on: &|| !self.is_stopped() && (terms.go_on)(), ..terms };
        let mut built = BuildResult::of(workshop.assemble_within(sources, Purpose::Run, terms));
        if built.postponed > 0 {
            // What is there has yet to be looked at: the same files are worth another reload.
            self.rounds.fetch_add(1, Relaxed);
        }
        // Those of files that are not in force say nothing of what is.
        let members = &built.members;
        let wrong = |name: &str| members.iter().any(|member| *member.name == *name);
        built.tests.retain(|test| test.passed || !test.member.as_deref().is_some_and(wrong));
        // A member's test that still fails is broken by the host's rules: worth a warning.
        let members_own = |test: &&mut PolicyTestResult| test.member.is_some() && !test.passed;
        for test in built.tests.iter_mut().filter(members_own) {
            log::warn!(target: "seawall::policy", "{}", test_line(test));
            test.passed = true;
            built.broken = built.broken.saturating_add(1);
        }
        built
    }

    /// A workshop for today, with the rules' clock running: a rehearsed rule that outruns its fuel
    /// must end on its time.
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

    /// From now on rules of these generations can be running, and no others.
    pub(crate) fn running(&self, generations: &[&RuleSet]) {
        self.ticker.want(generations.iter().any(|rules| !rules.summary().externs.is_empty()));
    }

    /// The rules' clock, for whoever must keep it going.
    pub(crate) fn ticker(&self) -> Arc<PeriodicTask> {
        Arc::clone(&self.ticker)
    }

    /// Keeps good copies of the lists that are in force now.
    pub(crate) fn put_away(&self, stock: &PublishedLists) {
        if let Some(shelf) = self.store.shelf() {
            shelf.put_away(stock);
        }
    }

    /// The good copy of a list, where one is kept that differs from its file.
    pub(crate) fn kept_list(&self, name: &str, path: &str) -> Result<Option<CachedList>, String> {
        self.store.kept_list(name, path)
    }

    /// How old a list in force is.
    pub(crate) fn list_age(&self, name: &str, path: &str) -> Option<ListAge> {
        self.store.shelf()?.age(name, path)
    }

    /// The counters that a policy declares; none where it is wrong. Lists and components are not
    /// looked at.
    #[must_use]
    pub fn counter_specs(&self, sources: &Sources) -> Option<Vec<CounterSpec>> {
        (self.make)((self.now)().day()).counter_specs(sources)
    }

    /// The time, by the clock that policies are loaded by.
    pub(crate) fn now(&self) -> Tick {
        (self.now)()
    }

    /// The root policy's file name.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }
}

impl Ready {
    /// The same where this member's files are in force.
    ///
    /// # Errors
    /// They are wrong, or do not fit the host's.
    pub(crate) fn with(self, member: &str) -> Result<Self, PolicyRejection> {
        let Some(state) = self.members.iter().find(|state| *state.name == *member) else {
            return Ok(self);
        };
        let complaints: Vec<PolicyError> = state.diagnostics.iter().map(complaint).collect();
        if complaints.is_empty() {
            return Err(own_refusal(&format!("the files of member {member} cannot be in force")));
        }
        let line = |complaint: &PolicyError| format!("{complaint}\n");
        Err(PolicyRejection { rendered: complaints.iter().map(line).collect(), errors: complaints })
    }
}

impl BuildResult {
    fn of(assembly: BuildOutput) -> Self {
        let BuildOutput { rules, diagnostics, members, tests, postponed } = assembly;
        Self { rules, diagnostics, tests, broken: 0, members, postponed }
    }

    /// All that is to be said, members' files included. That a test fails is said by its outcome.
    #[must_use]
    pub fn everything(&self) -> Vec<Diagnostic> {
        let hers = self.members.iter().flat_map(|member| &member.diagnostics);
        let all = self.diagnostics.iter().chain(hers);
        all.filter(|said| said.code != TEST_FAILED).cloned().collect()
    }

    /// What may be published and the warnings that come with it, or why nothing may.
    ///
    /// # Errors
    /// There is an error, or a test of the policy fails.
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

/// A failing test on one line.
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
