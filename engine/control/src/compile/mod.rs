//! Where components become machine code: once for each, away from everything that serves.
//!
//! Each is compiled in a process of its own ([`process`]), the host's and the members' in two lanes,
//! so that no member's component stands before one of the host's; members take turns ([`queue`]). The
//! host's components are waited for together, and so are all members' ([`Patience`]). What takes
//! longer goes on behind a reload, which is made without it (a member's part stays as it is, a host's
//! edit stays unpublished), and when it is done the trigger is told. So an edit that comes meanwhile, or
//! one that takes the component back, waits for nobody. A start does the same with what members bring;
//! the host's components it needs, and without them it is refused.
//!
//! What was compiled is kept sealed in a folder ([`code_cache`]), and what could not be is remembered, so
//! that a bad component costs its ten seconds once and not at every save. That it took too much is
//! noted in the folder, so that it does not cost them at every start either.

mod code_cache;
mod limits;
mod process;
mod queue;

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use code_cache::CodeCache;
pub use code_cache::{CODE_CACHE_BYTES_MAX, CODE_CACHE_FILES_MAX, DEAR_FILES_MAX, DEAR_KEPT_S};
pub use limits::CODE_BYTES_MAX;
pub use process::{
    COMPILE_BYTES_MAX, COMPILE_CPU_S_MAX, COMPILE_LARGE_BYTES_MAX, COMPILE_LARGE_CPU_S_MAX,
    COMPILE_NICENESS, CompilerProcess, compile_confined,
};
pub use queue::{COMPILE_QUEUE_MAX, COMPILE_QUEUE_MEMBER_MAX};
use queue::{Digest, Place, Turns, Waiting};
use seawall_model::{Now, Tick};
use seawall_ruleset::{CompileJob, Compiler};
use seawall_wasm::{Component, LoadError, Sandbox, Seal};

use crate::reload::trigger::{FileChange, ReloadTrigger};
use crate::storage::digest::hex;
use crate::util::random::random_bytes;
use crate::util::stop_flag::StopFlag;

/// Milliseconds that the host's components are waited for together in one reload, and all members'
/// together in a start. A small one takes some tens.
pub const COMPILE_WAIT_MS: u64 = 2_000;
/// Milliseconds that all members' components are waited for together in one reload: the host's edit
/// waits behind them.
pub const MEMBERS_COMPILE_WAIT_MS: u64 = 500;
/// Milliseconds that all members' components are waited for together by a process that takes over:
/// the older one serves meanwhile, with their parts in force.
pub const UPGRADE_COMPILE_WAIT_MS: u64 = 20_000;
/// Milliseconds that the host's components are waited for together in a start. Less than an older
/// process waits for its successor, or a service manager for us.
pub const START_COMPILE_WAIT_MS: u64 = 240_000;
/// Results that are held in memory until they are asked for again, failures among them.
pub const RESULTS_MAX: usize = 64;
/// How often in a row something is tried again that the machine is to blame for, without anybody
/// asking: at the regular looks.
pub const COMPILE_TRIES_MAX: u32 = 3;

/// Time between two looks whether a compiler is still to be waited for.
const STOP_LOOK_MS: u64 = 50;

type CompileResult = std::result::Result<Arc<[u8]>, LoadError>;

/// How long one assembly waits for components, in milliseconds; without a number as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For all of the host's together.
    host_ms: Option<u64>,
    /// For those of all members together.
    members_ms: Option<u64>,
}

impl Patience {
    /// Somebody waits for the answer, and nothing else waits for them.
    pub(crate) const ENDLESS: Self = Self { host_ms: None, members_ms: None };
    /// Nothing serves yet.
    pub(crate) const START: Self =
        Self { host_ms: Some(START_COMPILE_WAIT_MS), members_ms: Some(COMPILE_WAIT_MS) };
    /// Another process serves still.
    pub(crate) const UPGRADE: Self =
        Self { host_ms: Some(START_COMPILE_WAIT_MS), members_ms: Some(UPGRADE_COMPILE_WAIT_MS) };
    /// Something serves already.
    pub(crate) const RELOAD: Self =
        Self { host_ms: Some(COMPILE_WAIT_MS), members_ms: Some(MEMBERS_COMPILE_WAIT_MS) };
}

/// Compiles components and remembers what came of it.
pub struct ComponentCompiler {
    helper: CompilerProcess,
    folder: Option<PathBuf>,
    /// Opened with the first component: a policy without one makes no folder.
    vault: OnceLock<std::result::Result<CodeStore, String>>,
    now: Now,
    book: Mutex<Book>,
    done: Condvar,
    /// How often something was finished that a reload did not wait for, or is worth another try.
    edition: AtomicU64,
    /// Somebody was told of a failure that the machine is to blame for.
    is_blamed: AtomicBool,
    /// How often that was tried again since it went well, or since somebody asked.
    tries: AtomicU32,
    trigger: OnceLock<Arc<ReloadTrigger>>,
}

/// The seal, and the folder whose seal it is.
struct CodeStore {
    seal: Seal,
    cache: Option<CodeCache>,
}

impl CodeStore {
    /// Where the folder cannot be used, that is said, and components are compiled each time.
    fn open(folder: Option<&Path>) -> std::io::Result<Self> {
        let cache = folder.and_then(|folder| match CodeCache::open(folder) {
            Ok(cache) => Some(cache),
            Err(error) => {
                log::warn!(
                    target: "seawall::rules",
                    "compiled rules are not kept: {}: {error}",
                    folder.display(),
                );
                None
            }
        });
        let seal = match &cache {
            Some(cache) => cache.seal.clone(),
            None => Seal::new(random_bytes()?),
        };
        Ok(Self { seal, cache })
    }
}

struct Book {
    /// With the time since when.
    underway: HashMap<Digest, Tick>,
    /// Those that somebody went on without.
    missed: HashSet<Digest>,
    /// There was no place for somebody.
    turned_away: bool,
    results: HashMap<Digest, CompileResult>,
    /// Their order, the oldest first.
    order: VecDeque<Digest>,
    hosts: Lane,
    members: Lane,
}

/// One component at a time is compiled in each.
struct Lane {
    turns: Turns<Order>,
    /// Whether a thread works in it.
    is_open: bool,
}

impl Lane {
    const fn new(each_max: usize) -> Self {
        Self { turns: Turns::new(each_max), is_open: false }
    }
}

/// Which lane.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Host,
    Members,
}

impl Whose {
    const fn of(job: &CompileJob<'_>) -> Self {
        if job.member.is_some() { Self::Members } else { Self::Host }
    }
}

/// A component that waits to be compiled.
struct Order {
    digest: Digest,
    bytes: Arc<[u8]>,
    path: String,
    /// The name under which its code is kept.
    name: Option<String>,
}

impl Waiting for Order {
    fn digest(&self) -> Digest {
        self.digest
    }
}

impl Default for Book {
    fn default() -> Self {
        Self {
            underway: HashMap::new(),
            missed: HashSet::new(),
            turned_away: false,
            results: HashMap::new(),
            order: VecDeque::new(),
            hosts: Lane::new(COMPILE_QUEUE_MAX),
            members: Lane::new(COMPILE_QUEUE_MEMBER_MAX),
        }
    }
}

impl Book {
    fn lane(&mut self, whose: Whose) -> &mut Lane {
        match whose {
            Whose::Host => &mut self.hosts,
            Whose::Members => &mut self.members,
        }
    }

    /// Lets a component wait for its turn.
    fn enqueue(
        &mut self,
        job: &CompileJob<'_>,
        order: Order,
        now: Tick,
    ) -> std::result::Result<(), LoadError> {
        match self.lane(Whose::of(job)).turns.push(job.member, order) {
            Place::Kept => {}
            Place::InsteadOf(gone) => {
                self.underway.remove(&gone.digest);
                self.missed.remove(&gone.digest);
                self.turned_away = true;
            }
            Place::None => {
                self.turned_away = true;
                return Err(LoadError::Compiling);
            }
        }
        self.underway.insert(job.digest, now);
        Ok(())
    }

    fn file(&mut self, digest: Digest, result: CompileResult) {
        self.underway.remove(&digest);
        if self.results.insert(digest, result).is_none() {
            self.order.push_back(digest);
        }
        while self.order.len() > RESULTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.results.remove(&oldest);
        }
    }

    fn evict(&mut self, digest: &Digest) {
        self.results.remove(digest);
        self.order.retain(|kept| kept != digest);
    }
}

impl std::fmt::Debug for ComponentCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComponentCompiler").field("helper", &self.helper).finish_non_exhaustive()
    }
}

impl ComponentCompiler {
    /// A compiler that keeps code in `folder`.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, helper: CompilerProcess, now: Now) -> Self {
        Self {
            helper,
            folder,
            vault: OnceLock::new(),
            now,
            book: Mutex::default(),
            done: Condvar::new(),
            edition: AtomicU64::new(0),
            is_blamed: AtomicBool::new(false),
            tries: AtomicU32::new(0),
            trigger: OnceLock::new(),
        }
    }

    fn vault(&self) -> std::result::Result<&CodeStore, LoadError> {
        let open = || CodeStore::open(self.folder.as_deref()).map_err(|error| error.to_string());
        self.vault.get_or_init(open).as_ref().map_err(|why| LoadError::Engine(why.clone()))
    }

    /// Who is to hear when something is finished that a reload did not wait for.
    pub(crate) fn set_reload_trigger(&self, trigger: Arc<ReloadTrigger>) {
        // Set once, by the one control plane there is.
        let _set = self.trigger.set(trigger);
    }

    /// Whether something is being compiled.
    pub(crate) fn is_busy(&self) -> bool {
        !self.book().underway.is_empty()
    }

    /// What changes when something is finished that a reload did not wait for, or is worth another
    /// try.
    pub(crate) fn completion_count(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Makes the same files worth another reload, where the machine was to blame for what came of
    /// them: it may have more to give by now. Without anybody who asks that ends after a few times.
    pub(crate) fn try_again(&self, is_asked: bool) {
        if is_asked {
            self.tries.store(0, Ordering::Relaxed);
        }
        let may = self.tries.load(Ordering::Relaxed) < COMPILE_TRIES_MAX;
        if may && self.is_blamed.swap(false, Ordering::Relaxed) {
            self.tries.fetch_add(u32::from(!is_asked), Ordering::Relaxed);
            self.edition.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A compiler for one assembly, which waits so long for everything in it, and no longer once
    /// `stop` is raised.
    pub(crate) fn compile_session(
        self: &Arc<Self>,
        patience: Patience,
        stop: StopFlag,
    ) -> CompileSession {
        let waits = [patience.host_ms, patience.members_ms];
        let waits = waits.map(|ms| ms.map(|ms| Wait { ms, until: OnceLock::new() }));
        CompileSession { compiler: self.clone(), waits, stop, seen: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // What it holds is valid entry by entry.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The component as its code was kept, or why it cannot be used all the same.
    fn kept(
        &self,
        sandbox: &Sandbox,
        job: CompileJob<'_>,
    ) -> Option<std::result::Result<Component, LoadError>> {
        let CodeStore { seal, cache } = self.vault().ok()?;
        let (cache, name) = (cache.as_ref()?, name(sandbox, &job.digest)?);
        let Some(code) = cache.take(&name) else {
            let limits = process::limits_text(job.bytes.len());
            return cache.is_dear(&name, &limits).then_some(Err(LoadError::TooDear(limits)));
        };
        let loaded = sandbox.load(job.bytes, &code, seal);
        if loaded.as_ref().is_err_and(|why| *why == LoadError::Stale) {
            log::warn!(
                target: "seawall::rules",
                "the code kept of {} is damaged and made anew",
                job.path,
            );
            cache.drop(&name);
            return None;
        }
        Some(loaded)
    }

    /// Sees to it that it is compiled, unless that is under way or done.
    fn begin(
        self: &Arc<Self>,
        sandbox: &Sandbox,
        job: CompileJob<'_>,
    ) -> std::result::Result<(), LoadError> {
        let (digest, whose) = (job.digest, Whose::of(&job));
        let mut book = self.book();
        if book.results.contains_key(&digest) {
            return Ok(());
        }
        if book.underway.contains_key(&digest) {
            // The host does not wait for a member's turn, whatever both name.
            let waits = matches!(whose, Whose::Host).then(|| book.members.turns.remove(&digest));
            let Some(order) = waits.flatten() else { return Ok(()) };
            book.underway.remove(&digest);
            book.enqueue(&job, order, (self.now)())?;
        } else {
            let (bytes, path) = (job.bytes.into(), job.path.to_owned());
            let order = Order { digest, bytes, path, name: name(sandbox, &digest) };
            book.enqueue(&job, order, (self.now)())?;
        }
        let opens = !std::mem::replace(&mut book.lane(whose).is_open, true);
        drop(book);
        // Who lost his place to this one learns of it.
        self.done.notify_all();
        if opens { self.open(whose, &digest) } else { Ok(()) }
    }

    /// Starts the thread that compiles what waits in a lane: `first` alone, so far.
    fn open(self: &Arc<Self>, whose: Whose, first: &Digest) -> std::result::Result<(), LoadError> {
        let compiler = self.clone();
        let work = move || {
            while let Some(order) = compiler.next(whose) {
                compiler.work(&order);
            }
        };
        let started = std::thread::Builder::new().name("seawall-compile".into()).spawn(work);
        started.map(drop).map_err(|error| {
            let mut book = self.book();
            let lane = book.lane(whose);
            lane.is_open = false;
            let _gone = lane.turns.remove(first);
            book.underway.remove(first);
            LoadError::Engine(error.to_string())
        })
    }

    /// What is to be compiled next in a lane; where there is nothing, the lane is closed.
    fn next(&self, whose: Whose) -> Option<Order> {
        let mut book = self.book();
        let lane = book.lane(whose);
        let order = lane.turns.next();
        lane.is_open = order.is_some();
        order
    }

    /// Compiles one component.
    fn work(&self, order: &Order) {
        let Order { digest, bytes, path, name } = order;
        let began = (self.now)();
        if process::is_large(bytes.len()) {
            let mib = bytes.len() >> 20;
            log::info!(
                target: "seawall::rules",
                "compiling {path} ({mib} MiB); that takes some tens of seconds, once",
            );
        }
        // A panic is our fault and must not close the lane for good.
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            let vault = self.vault()?;
            self.helper.compile(bytes, &vault.seal)
        }));
        let failed = || LoadError::Engine("it failed inside Seawall; please report it".into());
        let result = compiled.unwrap_or_else(|_| Err(failed())).map(Arc::<[u8]>::from);
        if let Ok(code) = &result {
            let took_ms = (self.now)().since_ms(began);
            log::info!(
                target: "seawall::rules",
                "compiled {path}: {} KiB of code in {took_ms} ms",
                code.len() >> 10,
            );
            self.tries.store(0, Ordering::Relaxed);
        }
        self.keep(name.as_deref(), &result, path);
        self.note(name.as_deref(), &result, path);
        let mut book = self.book();
        book.file(*digest, result);
        // Who was turned away finds a place now.
        let missed = book.missed.remove(digest) | std::mem::take(&mut book.turned_away);
        drop(book);
        self.done.notify_all();
        if missed {
            self.edition.fetch_add(1, Ordering::AcqRel);
            if let Some(trigger) = self.trigger.get() {
                trigger.on_file_change(FileChange::Closed);
            }
        }
    }

    fn keep(&self, name: Option<&str>, result: &CompileResult, path: &str) {
        if let (Ok(CodeStore { cache: Some(cache), .. }), Some(name), Ok(code)) =
            (self.vault(), name, result)
            && let Err(error) = cache.put(name, code)
        {
            log::warn!(target: "seawall::rules", "the code of {path} is not kept: {error}");
        }
    }

    /// Notes that it took too much, for the next process.
    fn note(&self, name: Option<&str>, result: &CompileResult, path: &str) {
        if let (
            Ok(CodeStore { cache: Some(cache), .. }),
            Some(name),
            Err(LoadError::TooDear(limits)),
        ) = (self.vault(), name, result)
            && let Err(error) = cache.put_dear(name, limits)
        {
            log::warn!(
                target: "seawall::rules",
                "that {path} takes too much to compile is not noted: {error}",
            );
        }
    }

    /// What came of it, waited for as long as `wait` says.
    fn wait(&self, digest: &Digest, wait: Option<&Wait>, stop: &StopFlag) -> CompileResult {
        let mut book = self.book();
        // What one reload has waited for in vain, the next does not wait for.
        let began = book.underway.get(digest).copied();
        let until = wait.map(|wait| {
            let until = *wait.until.get_or_init(|| (self.now)().plus_ms(wait.ms));
            began.map_or(until, |at| until.min(at.plus_ms(wait.ms)))
        });
        loop {
            match book.results.get(digest) {
                Some(Ok(code)) => {
                    let code = code.clone();
                    // A ruleset that uses it holds it, and the folder does.
                    book.evict(digest);
                    return Ok(code);
                }
                Some(Err(why)) => {
                    let why = why.clone();
                    // The machine may have more to give next time.
                    if matches!(why, LoadError::Engine(_)) {
                        book.evict(digest);
                    }
                    return Err(why);
                }
                // Somebody else waits in its place.
                None if !book.underway.contains_key(digest) => {
                    book.turned_away = true;
                    return Err(LoadError::Compiling);
                }
                None => {}
            }
            let left_ms = until.map_or(u64::MAX, |until| until.since_ms((self.now)()));
            if left_ms == 0 || stop.is_stopped() {
                book.missed.insert(*digest);
                return Err(LoadError::Compiling);
            }
            let pause = Duration::from_millis(left_ms.min(STOP_LOOK_MS));
            (book, _) = self.done.wait_timeout(book, pause).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn name(sandbox: &Sandbox, digest: &Digest) -> Option<String> {
    Some(format!("{}-{}", hex(digest), sandbox.code_version().ok()?))
}

/// A time that everything of one kind is waited for together.
struct Wait {
    ms: u64,
    /// Its end: it begins with the first that is waited for.
    until: OnceLock<Tick>,
}

/// The compiler as one assembly sees it.
pub(crate) struct CompileSession {
    compiler: Arc<ComponentCompiler>,
    /// For the host's and the members'; without one as long as it takes.
    waits: [Option<Wait>; 2],
    stop: StopFlag,
    /// An assembly may be made again without a member's part, and then asks again.
    seen: Mutex<HashMap<Digest, Component>>,
}

impl CompileSession {
    fn made(
        &self,
        sandbox: &Sandbox,
        job: CompileJob<'_>,
    ) -> std::result::Result<Component, LoadError> {
        if let Some(component) = self.compiler.kept(sandbox, job) {
            return component;
        }
        if self.stop.is_stopped() {
            return Err(LoadError::Compiling);
        }
        self.compiler.begin(sandbox, job)?;
        let wait = self.waits.get(usize::from(job.member.is_some()));
        let code = self.compiler.wait(&job.digest, wait.and_then(Option::as_ref), &self.stop)?;
        sandbox.load(job.bytes, &code, &self.compiler.vault()?.seal)
    }
}

impl Compiler for CompileSession {
    fn compile(
        &self,
        sandbox: &Sandbox,
        job: CompileJob<'_>,
    ) -> std::result::Result<Component, LoadError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = seen.get(&job.digest) {
            return Ok(component.clone());
        }
        let made = self.made(sandbox, job);
        if matches!(made, Err(LoadError::Engine(_))) {
            self.compiler.is_blamed.store(true, Ordering::Relaxed);
        }
        let component = made?;
        seen.insert(job.digest, component.clone());
        Ok(component)
    }
}

#[cfg(test)]
mod tests;
