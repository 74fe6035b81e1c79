//! The one way from files to a ruleset, for start-up, reload and `seawall check` alike.
//!
//! So what `check` passes, `run` takes, and what a reload refuses would not have started either.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use seawall_model::{Now, Tick, shown};
use seawall_ruleset::{
    Assembly, Diagnostic, KeptList, MemberPart, MemberState, Purpose, ReadError, RuleSet, Sandbox,
    Severity, Sources, Store, Style, TestOutcome, Workshop, render,
};
use seawall_state::CounterSpec;

use crate::bell::Bell;
use crate::board::Past;
use crate::foundry::{COMPILE_WAIT_MS, Foundry};
use crate::history::past_sources_with;
use crate::outcome::{Complaint, Refusal, Tests};
use crate::reload::{AGAIN_MS, READS_MAX};
use crate::shelf::{ListAge, Shelf, Stock, digest};
use crate::store::FolderStore;
use crate::ticker::Ticker;

/// The code under which a failing test of a policy is reported.
pub const TEST_CODE: &str = "test";

/// Makes a workshop for a day, counted since 1970: policies may hold dates.
pub type MakeWorkshop = Arc<dyn Fn(u64) -> Workshop + Send + Sync>;

/// Loads one root policy. While it lives, the rules of whatever it made are reminded of the time:
/// those that are rehearsed before anything is published, too.
#[derive(Clone)]
pub struct Loader {
    store: Arc<Recorder>,
    root: String,
    make: MakeWorkshop,
    now: Now,
    ticker: Arc<Ticker>,
    foundry: Option<Arc<Foundry>>,
}

/// What came of the sources.
#[derive(Debug)]
pub struct Built {
    /// What may be published: there where no diagnostic is an error.
    pub rules: Option<RuleSet>,
    /// All that is to be said about the policy.
    pub diagnostics: Vec<Diagnostic>,
    /// The tests that it holds, with their results.
    pub tests: Vec<TestOutcome>,
    /// How many of members' tests fail and refuse nothing, since the host's rules break them.
    pub broken: usize,
    /// Members whose files are wrong, where that does not refuse the rest.
    pub members: Vec<MemberState>,
}

/// What may be published, with what goes with it.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) rules: RuleSet,
    /// What is probably not what was meant.
    pub(crate) warnings: Vec<String>,
    /// How its tests ended.
    pub(crate) tests: Tests,
    /// The list files that it is made of.
    pub(crate) stock: Stock,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Loader {
    /// A loader for the policy file `file`, whose folder is the policy root. All workshops that
    /// `make` makes must share `sandbox`. Good copies of lists lie in `state_dir`, where there is
    /// one.
    ///
    /// # Errors
    /// The system has no thread to give for the rules' clock.
    pub fn new(
        file: &Path,
        make: MakeWorkshop,
        sandbox: Sandbox,
        now: Now,
        state_dir: Option<&Path>,
    ) -> std::io::Result<Self> {
        let root = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().unwrap_or(Path::new(""));
        let shelf = state_dir.map(|dir| Shelf::new(dir, now.clone()));
        let inner = FolderStore::new(folder);
        let store = Recorder { inner, digests: Mutex::default(), built: Mutex::default(), shelf };
        let ticker = Arc::new(Ticker::start(move || sandbox.raise_epoch())?);
        Ok(Self { store: Arc::new(store), root, make, now, ticker, foundry: None })
    }

    /// The same with components compiled by a foundry, not in this process.
    #[must_use]
    pub fn with_foundry(self, foundry: Arc<Foundry>) -> Self {
        Self { foundry: Some(foundry), ..self }
    }

    /// What differs where a reload of these sources could come out otherwise.
    pub(crate) fn digest(&self, sources: &Sources) -> [u8; 32] {
        self.store.read_through(sources);
        let edition = self.foundry.as_ref().map_or(0, |foundry| foundry.edition());
        match edition {
            0 => sources.digest(),
            _ => digest(&[&sources.digest()[..], &edition.to_le_bytes()].concat()),
        }
    }

    /// Lets a bell be rung where a component is compiled that a reload did not wait for.
    pub(crate) fn ring(&self, bell: Arc<Bell>) {
        if let Some(foundry) = &self.foundry {
            foundry.ring(bell);
        }
    }

    /// Reads all that the root reaches; it may be found changing.
    #[must_use]
    pub fn gather(&self) -> Sources {
        Sources::gather(&self.root, &*self.store)
    }

    /// Reads until nothing changes while it is read, for a while.
    #[must_use]
    pub fn gather_settled(&self) -> Sources {
        let mut sources = self.gather();
        for _ in 1..READS_MAX {
            if !sources.changing() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(AGAIN_MS));
            sources = self.gather();
        }
        sources
    }

    /// Checks, builds and rehearses.
    #[must_use]
    pub fn build(&self, sources: &Sources, purpose: Purpose, previous: Option<&RuleSet>) -> Built {
        let Assembly { rules, diagnostics, members, .. } =
            self.workshop(None).assemble(sources, purpose, previous);
        let tests = rules.as_ref().map(RuleSet::rehearse).unwrap_or_default();
        Built { rules, diagnostics, tests, broken: 0, members }
    }

    /// The same for a server, where a member's mistakes refuse the member's part alone.
    #[must_use]
    pub fn build_to_run(&self, sources: &Sources, previous: Option<&RuleSet>) -> Built {
        self.store.building(sources);
        // Where something serves already, it need not wait for a compiler.
        let patience_ms = previous.map(|_| COMPILE_WAIT_MS);
        let Assembly { rules, diagnostics, members, mut tests } =
            self.workshop(patience_ms).assemble_without_veto(sources, previous);
        // A member's test that still fails is broken by the host's rules: worth a warning.
        let mut broken: usize = 0;
        let members_own = |test: &&mut TestOutcome| sources.is_members(&test.file) && !test.passed;
        tests.iter_mut().filter(members_own).for_each(|test| {
            log::warn!("{}", test_line(test));
            test.passed = true;
            broken = broken.saturating_add(1);
        });
        Built { rules, diagnostics, tests, broken, members }
    }

    /// A workshop for today, with the rules' clock running: a rehearsed rule that outruns its fuel
    /// must end on its time.
    fn workshop(&self, patience_ms: Option<u64>) -> Workshop {
        self.ticker.want(true);
        let workshop = (self.make)((self.now)().day());
        match &self.foundry {
            Some(foundry) => workshop.with_compiler(Arc::new(foundry.visit(patience_ms))),
            None => workshop,
        }
    }

    /// From now on rules of these generations can be running, and no others.
    pub(crate) fn running(&self, generations: &[&RuleSet]) {
        self.ticker.want(generations.iter().any(|rules| !rules.summary().externs.is_empty()));
    }

    /// The rules' clock, for whoever must keep it going.
    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        Arc::clone(&self.ticker)
    }

    /// Keeps good copies of the lists that are in force now.
    pub(crate) fn put_away(&self, stock: &Stock) {
        if let Some(shelf) = &self.store.shelf {
            shelf.put_away(stock);
        }
    }

    /// How old a list in force is.
    pub(crate) fn list_age(&self, name: &str, path: &str) -> Option<ListAge> {
        self.store.shelf.as_ref()?.age(name, path)
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

    /// What an earlier generation was made of, its contents from `fetch`.
    pub(crate) fn recall(&self, past: &Past, fetch: &dyn Fn(&str) -> Option<Vec<u8>>) -> Sources {
        past_sources_with(&past.root, &past.files, fetch, &|name, path| {
            self.store.kept_list(name, path)
        })
    }
}

impl Built {
    /// What may be published and the warnings that come with it, or why nothing may.
    ///
    /// # Errors
    /// There is an error, or a test of the policy fails.
    pub(crate) fn judged(self, sources: &Sources) -> Result<Ready, Refusal> {
        let is_error = |d: &&Diagnostic| d.severity == Severity::Error;
        let errors = self.diagnostics.iter().filter(is_error).map(complaint);
        let failed: Vec<&TestOutcome> = self.tests.iter().filter(|test| !test.passed).collect();
        let complaints: Vec<Complaint> = errors.chain(failed.iter().map(|t| failure(t))).collect();
        match self.rules {
            Some(rules) if complaints.is_empty() => {
                let others = self.diagnostics.iter().filter(|d| d.severity == Severity::Warning);
                let members = self.members.iter().flat_map(member_lines);
                let warnings = others.map(Diagnostic::one_line).chain(members).collect();
                let stock = Stock::of(&rules, sources, self.members.is_empty());
                let passed = self.tests.len().saturating_sub(self.broken);
                let tests = Tests { passed, failed: self.broken };
                Ok(Ready { rules, warnings, tests, stock })
            }
            _ => {
                let mut rendered = render(&self.diagnostics, sources, Style::Plain);
                for test in failed {
                    rendered.push_str(&format!("{}\n", test_line(test)));
                }
                Err(Refusal { complaints, rendered })
            }
        }
    }
}

/// What is wrong with a member's files, and what serves instead.
fn member_lines(member: &MemberState) -> Vec<String> {
    let instead = match member.part {
        MemberPart::Kept => "the last good part stays in force",
        MemberPart::Absent => "the host's layers alone are in force",
    };
    let head = format!("member {}: {instead}", shown::one_line(&member.name));
    std::iter::once(head).chain(member.diagnostics.iter().map(Diagnostic::one_line)).collect()
}

/// A failing test on one line.
#[must_use]
pub fn test_line(test: &TestOutcome) -> String {
    let TestOutcome { name, file, line, column, says, .. } = test;
    let text = format!("{file}:{line}:{column}: test `{name}` fails: {says}");
    shown::one_line(&text).into_owned()
}

fn complaint(of: &Diagnostic) -> Complaint {
    Complaint {
        file: of.file.to_string(),
        line: of.line,
        column: of.column,
        code: of.code.to_owned(),
        message: of.message.clone(),
    }
}

fn failure(of: &TestOutcome) -> Complaint {
    Complaint {
        file: of.file.to_string(),
        line: of.line,
        column: of.column,
        code: TEST_CODE.to_owned(),
        message: shown::one_line(&format!("test `{}` fails: {}", of.name, of.says)).into_owned(),
    }
}

/// A store that remembers the digest of each file at its last read, and where good copies of lists
/// lie.
struct Recorder {
    inner: FolderStore,
    digests: Mutex<BTreeMap<String, Known>>,
    /// The digest of what was built last, whatever became of it.
    built: Mutex<Option<[u8; 32]>>,
    shelf: Option<Shelf>,
}

/// What a file was when it was read last.
struct Known {
    digest: [u8; 32],
    /// The bytes, from the first reading of a reload to the second: comparing the two takes a tenth of
    /// the time that hashing takes. Between reloads nothing is held.
    bytes: Option<Arc<[u8]>>,
}

impl Recorder {
    fn digests(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both readings of a reload are done.
    fn building(&self, sources: &Sources) {
        *self.built.lock().unwrap_or_else(PoisonError::into_inner) = Some(sources.digest());
        self.forget();
    }

    /// One reading is done; where nothing differs from what was built last, it is the only one.
    fn read_through(&self, sources: &Sources) {
        if *self.built.lock().unwrap_or_else(PoisonError::into_inner) == Some(sources.digest()) {
            self.forget();
        }
    }

    fn forget(&self) {
        self.digests().values_mut().for_each(|known| known.bytes = None);
    }
}

impl Store for Recorder {
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ReadError> {
        let read = self.inner.read(path, bytes_max);
        if read.is_err() {
            self.digests().remove(path);
        }
        read
    }

    fn digest(&self, path: &str, bytes: &Arc<[u8]>) -> [u8; 32] {
        let mut digests = self.digests();
        let before = digests.get(path);
        let same = before.filter(|known| known.bytes.as_ref() == Some(bytes));
        let digest = same.map_or_else(|| digest(bytes), |known| known.digest);
        digests.insert(path.to_owned(), Known { digest, bytes: Some(Arc::clone(bytes)) });
        digest
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, ReadError> {
        self.inner.glob(pattern)
    }

    fn kept_list(&self, name: &str, path: &str) -> Result<Option<KeptList>, String> {
        let Some(shelf) = &self.shelf else { return Ok(None) };
        let read = self.digests().get(path).map(|known| known.digest);
        shelf.take(name, path, read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(store: &Recorder) -> usize {
        store.digests().values().filter(|known| known.bytes.is_some()).count()
    }

    #[test]
    fn a_second_reading_is_compared_and_nothing_is_held_between_reloads() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("a.wall"), text).unwrap();
        let inner = FolderStore::new(dir.path());
        let digests = Mutex::default();
        let store = Recorder { inner, digests, built: Mutex::default(), shelf: None };
        let gather = || Sources::gather("a.wall", &store);
        let is_right = |sources: &Sources, text: &str| {
            assert_eq!(sources.sha256("a.wall"), Some(digest(text.as_bytes())));
        };
        write("policy 1\n");
        let (first, second) = (gather(), gather());
        is_right(&first, "policy 1\n");
        is_right(&second, "policy 1\n");
        // As long, and other: the second reading says so.
        write("policy 2\n");
        let third = gather();
        is_right(&third, "policy 2\n");
        assert_eq!(held(&store), 1);
        store.building(&third);
        assert_eq!(held(&store), 0);
        // A look that finds nothing changed ends with its one reading.
        let fourth = gather();
        is_right(&fourth, "policy 2\n");
        assert_eq!(held(&store), 1);
        store.read_through(&fourth);
        assert_eq!(held(&store), 0);
        std::fs::remove_file(dir.path().join("a.wall")).unwrap();
        assert_eq!(gather().sha256("a.wall"), None);
        assert!(store.digests().is_empty());
    }
}
