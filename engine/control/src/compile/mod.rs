//! The component compiler: compiles each component once, outside of all serving threads.
//!
//! Each component is compiled in a process of its own ([`process`]). There are two lanes, for the
//! operator's and for members' components, so that no member's component delays one of the
//! operator's. Members take turns ([`queue`]). A reload waits for all components of the operator
//! together, and for all of members ([`Patience`]). After that time it continues without them: a
//! member's part stays as it is, an operator's edit is not published. When the component is
//! compiled, the reload trigger is notified. A start treats members' components in the same way,
//! but needs all components of the operator.
//!
//! Compiled code is sealed and kept in a folder ([`code_cache`]). Errors are remembered, so a bad
//! component costs its ten seconds once and not at every save. A component over the limit is also
//! recorded in the folder, for the next start.

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

/// Milliseconds that a reload waits for all components of the operator, and that a start waits for
/// all of members. A small component takes some tens.
pub const COMPILE_WAIT_MS: u64 = 2_000;
/// Milliseconds that a reload waits for all components of members; they delay the operator's edit.
pub const MEMBERS_COMPILE_WAIT_MS: u64 = 500;
/// Milliseconds that a child process waits for all components of members in an upgrade. The parent
/// serves meanwhile, with their active parts.
pub const UPGRADE_COMPILE_WAIT_MS: u64 = 20_000;
/// Milliseconds that a start waits for all components of the operator. Less than a parent process
/// waits for its child, or a service manager for the server.
pub const START_COMPILE_WAIT_MS: u64 = 240_000;
/// Maximum of results in memory, with errors.
pub const RESULTS_MAX: usize = 64;
/// Maximum of automatic retries in a row after an error of the machine, at the regular polls.
pub const COMPILE_TRIES_MAX: u32 = 3;

/// Interval of the checks whether waiting must stop.
const STOP_LOOK_MS: u64 = 50;

type CompileResult = std::result::Result<Arc<[u8]>, LoadError>;

/// How long a build waits for components, in milliseconds; without a limit if none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For all components of the operator together.
    host_ms: Option<u64>,
    /// For all components of members together.
    members_ms: Option<u64>,
}

impl Patience {
    /// A person waits for the result and blocks nothing.
    pub(crate) const ENDLESS: Self = Self { host_ms: None, members_ms: None };
    /// The server does not serve yet.
    pub(crate) const START: Self =
        Self { host_ms: Some(START_COMPILE_WAIT_MS), members_ms: Some(COMPILE_WAIT_MS) };
    /// The parent process serves.
    pub(crate) const UPGRADE: Self =
        Self { host_ms: Some(START_COMPILE_WAIT_MS), members_ms: Some(UPGRADE_COMPILE_WAIT_MS) };
    /// The server serves already.
    pub(crate) const RELOAD: Self =
        Self { host_ms: Some(COMPILE_WAIT_MS), members_ms: Some(MEMBERS_COMPILE_WAIT_MS) };
}

/// Compiles components and remembers the results.
pub struct ComponentCompiler {
    helper: CompilerProcess,
    folder: Option<PathBuf>,
    /// Opened with the first component: a policy without one creates no folder.
    vault: OnceLock<std::result::Result<CodeStore, String>>,
    now: Now,
    book: Mutex<Book>,
    done: Condvar,
    /// Incremented when a component is finished that a reload did not wait for, or when a retry is
    /// due.
    edition: AtomicU64,
    /// A caller got an error that the machine caused.
    is_blamed: AtomicBool,
    /// Retries of such errors since the last success, or since the last request.
    tries: AtomicU32,
    trigger: OnceLock<Arc<ReloadTrigger>>,
}

/// The seal, and the folder that it is for.
struct CodeStore {
    seal: Seal,
    cache: Option<CodeCache>,
}

impl CodeStore {
    /// Opens the folder. If it cannot be used, that is logged, and components are compiled each
    /// time.
    fn open(folder: Option<&Path>) -> std::io::Result<Self> {
        let cache = folder.and_then(|folder| match CodeCache::open(folder) {
            Ok(cache) => Some(cache),
            Err(error) => {
                log::warn!(
                    target: "seawall::rules",
                    "the code cache cannot be used: {}: {error}",
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
    /// Components that a build continued without.
    missed: HashSet<Digest>,
    /// A component found the queue full.
    turned_away: bool,
    results: HashMap<Digest, CompileResult>,
    /// The order of the results, the oldest first.
    order: VecDeque<Digest>,
    hosts: Lane,
    members: Lane,
}

/// One component at a time is compiled in each lane.
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

/// The owner of a component, which selects the lane.
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
    /// The name under which its code is stored.
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

    /// Puts a component into the queue.
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
    /// Returns a compiler that stores code in `folder`.
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

    /// Sets the trigger to notify when a component is finished that a reload did not wait for.
    pub(crate) fn set_reload_trigger(&self, trigger: Arc<ReloadTrigger>) {
        // Set once, by the one control plane of the process.
        let _set = self.trigger.set(trigger);
    }

    /// Returns whether a component is being compiled.
    pub(crate) fn is_busy(&self) -> bool {
        !self.book().underway.is_empty()
    }

    /// Returns a count that changes when a component is finished that a reload did not wait for, or
    /// when a retry is due.
    pub(crate) fn completion_count(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// Makes the same files worth another reload if the machine caused the last error: it may have
    /// more memory by now. Automatic retries end after a few times.
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

    /// Returns a compiler for one build, which waits as `patience` permits and stops with `stop`.
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
        // Each of its entries is valid by itself.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the component from the code cache, or returns a stored error; none if neither exists.
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
                "the cached code of {} is damaged and is compiled again",
                job.path,
            );
            cache.drop(&name);
            return None;
        }
        Some(loaded)
    }

    /// Queues the component, unless it is queued, being compiled or done.
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
            // A component that the operator names too leaves the members' queue.
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
        // A component that was displaced from the queue learns of it.
        self.done.notify_all();
        if opens { self.open(whose, &digest) } else { Ok(()) }
    }

    /// Starts the thread of a lane, in which only `first` waits so far.
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

    /// Returns the next component of a lane; without one the lane is closed.
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
                "compiling {path} ({mib} MiB); this takes tens of seconds, once",
            );
        }
        // A panic is an error of Seawall and must not close the lane for good.
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
        // A component that found the queue full can be queued now.
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
            log::warn!(target: "seawall::rules", "the code of {path} is not cached: {error}");
        }
    }

    /// Records that the component is over the limit, for the next process.
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
                "cannot record that compiling {path} exceeds the limits: {error}",
            );
        }
    }

    /// Waits for the result, as long as `wait` permits.
    fn wait(&self, digest: &Digest, wait: Option<&Wait>, stop: &StopFlag) -> CompileResult {
        let mut book = self.book();
        // A time that one reload has waited in vain is not waited again by the next.
        let began = book.underway.get(digest).copied();
        let until = wait.map(|wait| {
            let until = *wait.until.get_or_init(|| (self.now)().plus_ms(wait.ms));
            began.map_or(until, |at| until.min(at.plus_ms(wait.ms)))
        });
        loop {
            match book.results.get(digest) {
                Some(Ok(code)) => {
                    let code = code.clone();
                    // The ruleset that uses it keeps it, and so does the folder.
                    book.evict(digest);
                    return Ok(code);
                }
                Some(Err(why)) => {
                    let why = why.clone();
                    // The machine may have more memory next time.
                    if matches!(why, LoadError::Engine(_)) {
                        book.evict(digest);
                    }
                    return Err(why);
                }
                // Another component has displaced it from the queue.
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

/// A deadline that all components of one kind share.
struct Wait {
    ms: u64,
    /// The deadline: the time starts with the first component that is waited for.
    until: OnceLock<Tick>,
}

/// The compiler for one build.
pub(crate) struct CompileSession {
    compiler: Arc<ComponentCompiler>,
    /// For the operator's and for members' components; none waits without a limit.
    waits: [Option<Wait>; 2],
    stop: StopFlag,
    /// A build may be repeated without a member's part, and then needs the same components.
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
