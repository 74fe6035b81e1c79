//! Snapshots: the state over a restart. One is written every ten seconds and on stop, and read at
//! start.
//!
//! An error here is logged and costs at most the counts since the last good snapshot; serving is
//! not affected. A snapshot is written to a temporary file, synced and moved, so that there is
//! always a complete one. An unusable one is moved aside, and the state starts empty. It is
//! encrypted, since bans contain addresses.
//!
//! Limitations: a killed process loses the seconds since its last snapshot. If a snapshot takes
//! longer than a second, the interval grows so that snapshots use a tenth of one CPU.

pub(crate) mod encode;
mod encryption;
mod key;
mod timestamp;

use std::fmt::Display;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use encode::content;
use key::KeySource;
use seawall_admin_api::SnapshotStatus;
use seawall_model::{Now, Tick};
use seawall_ruleset::RuleSetHandle;
use seawall_state::{
    ChangeMark, CounterSpec, RestoreClock, RestoreReport, Seed, State, StateLimits,
};
use timestamp::SnapshotTimestamp;

use crate::policy_source::read_file::{self, FileReadError};
use crate::storage::atomic_write::{self, FileSystem, RealFileSystem};
use crate::storage::damaged;
use crate::storage::write_gate::WriteGate;
use crate::util::join_timeout::Ending;
use crate::util::random::random_bytes;

/// Interval of snapshots in milliseconds, and the most that is lost when the process is killed.
pub const SNAPSHOT_EVERY_MS: u64 = 10_000;
/// Snapshots use at most one part in so many of one CPU.
pub const SNAPSHOT_TIME_PARTS: u64 = 10;
/// The file in the state folder.
const FILE: &str = "snapshot";

/// The snapshots of a state folder.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    folder: PathBuf,
    secret: KeySource,
    medium: Arc<dyn FileSystem>,
    stamp: fn() -> SnapshotTimestamp,
    now: NowClock,
    /// Limits of a state.
    limits: StateLimits,
    /// Whether the state comes from a parent process, and not from the disk.
    inherits: bool,
}

/// A clock with `Debug`.
#[derive(Clone)]
struct NowClock(Now);

impl std::fmt::Debug for NowClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Now")
    }
}

impl SnapshotStore {
    /// Returns the snapshots in the folder `state_dir`, which need not exist yet, of a state with
    /// these limits.
    #[must_use]
    pub fn new(state_dir: &Path, limits: StateLimits, now: Now) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self {
            folder: state_dir.to_owned(),
            secret: KeySource::find(state_dir, credentials.as_deref()),
            medium: Arc::new(RealFileSystem),
            stamp: SnapshotTimestamp::now,
            now: NowClock(now),
            limits,
            inherits: false,
        }
    }

    /// Marks a child process in an upgrade: the snapshot on the disk is older than the parent's
    /// state.
    #[must_use]
    pub fn inheriting(self) -> Self {
        Self { inherits: true, ..self }
    }

    /// Returns whether there is a parent process.
    pub(crate) const fn inherits(&self) -> bool {
        self.inherits
    }

    /// Returns the state of `specs` from the parent process.
    ///
    /// # Errors
    /// The content is invalid.
    pub(crate) fn inherit(&self, content: &[u8], specs: &[CounterSpec]) -> Result<State, String> {
        let (state, restored, _) = self.decode(content, specs)?;
        let counters = &restored.counters;
        let kept = counters.kept.len().saturating_add(counters.rescaled.len());
        log::info!(
            target: "seawall::state",
            "took over {kept} counters and {} bans",
            restored.bans,
        );
        Ok(state.carry(specs).0)
    }

    fn place(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Returns the state of `specs` from the last snapshot; an empty one with `seed` if there is
    /// none. An unusable snapshot is logged and moved aside.
    pub(crate) fn restore(&self, seed: Seed, specs: &[CounterSpec]) -> State {
        if self.inherits {
            return State::with_limits(seed, specs, self.limits.clone());
        }
        match self.read(specs) {
            Ok(Some((state, restored, elapsed_ms))) => {
                log_failure(&restored, elapsed_ms);
                // The generation after the stored one: bans of that one do not belong to this one.
                state.carry(specs).0
            }
            Ok(None) => State::with_limits(seed, specs, self.limits.clone()),
            Err(why) => {
                let place = self.place();
                let kept = match damaged::keep_damaged(&place) {
                    Ok(aside) => format!("it is kept as {}", aside.display()),
                    Err(error) => format!("it cannot be moved aside: {error}"),
                };
                log::error!(
                    target: "seawall::state",
                    "the snapshot {} cannot be used: {why}; {kept}; \
                     counts, holds and bans start empty",
                    place.display()
                );
                State::with_limits(seed, specs, self.limits.clone())
            }
        }
    }

    fn read(&self, specs: &[CounterSpec]) -> Result<Option<(State, RestoreReport, u64)>, String> {
        let file = match read_file::read(&self.place(), encryption::FILE_BYTES_MAX) {
            Ok(file) => file,
            Err(FileReadError::Missing) => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let key = self.secret.read().map_err(text)?;
        let content = encryption::open(&key, file).map_err(text)?;
        self.decode(&content, specs).map(Some)
    }

    fn decode(
        &self,
        content: &[u8],
        specs: &[CounterSpec],
    ) -> Result<(State, RestoreReport, u64), String> {
        let (bytes, made) = SnapshotTimestamp::split(content).ok_or("it is too short")?;
        let elapsed_ms = (self.stamp)().since_ms(&made);
        let when = RestoreClock { now: (self.now.0)(), elapsed_ms };
        let (state, restored) =
            State::restore(bytes, specs, self.limits.clone(), when).map_err(text)?;
        Ok((state, restored, elapsed_ms))
    }

    /// Writes a snapshot; returns its bytes and the number of omitted entries.
    fn write(&self, state: &State) -> Result<(usize, usize), String> {
        let folder = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        folder.map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let key = self.secret.read_or_make(&*self.medium).map_err(text)?;
        let (mut content, left_out) = content(state, (self.now.0)(), &(self.stamp)())?;
        let nonce = random_bytes().map_err(text)?;
        let header = encryption::seal(&key, nonce, &mut content).ok_or("it cannot be encrypted")?;
        let place = self.place();
        atomic_write::put(&*self.medium, &place, &[&header, &content])
            .map_err(|error| format!("{}: {error}", place.display()))?;
        Ok((header.len().saturating_add(content.len()), left_out))
    }

    /// Writes snapshots of the active state until dropped.
    ///
    /// # Errors
    /// The system provides no thread.
    pub(crate) fn keep(
        self,
        handle: Arc<RuleSetHandle>,
        still: Arc<WriteGate>,
    ) -> io::Result<SnapshotTask> {
        let (stop, ledger) = (Arc::new(StopSignal::default()), Arc::new(SnapshotLedger::default()));
        let now = self.now.0.clone();
        let mut writer = SnapshotWriter { keeper: self, ledger: ledger.clone(), last: None };
        let stopped = stop.clone();
        let run = move || {
            let mut wait_ms = SNAPSHOT_EVERY_MS;
            loop {
                let is_last = stopped.wanted_within(wait_ms) == Wanted::Last;
                // The child process writes newer snapshots.
                let Ok(_changing) = still.enter() else { return };
                let took_ms = writer.look(&handle.load().state);
                if is_last {
                    return;
                }
                wait_ms = SNAPSHOT_EVERY_MS.max(took_ms.saturating_mul(SNAPSHOT_TIME_PARTS));
            }
        };
        let thread = Ending::of("seawall-snapshot", run)?;
        Ok(SnapshotTask { thread, stop, ledger, now })
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn log_failure(restored: &RestoreReport, elapsed_ms: u64) {
    let counters = &restored.counters;
    let kept = counters.kept.len().saturating_add(counters.rescaled.len());
    let seconds = elapsed_ms / 1_000;
    let bans = restored.bans;
    log::info!(
        target: "seawall::state",
        "restored {kept} counters and {bans} bans from a snapshot {seconds} s old",
    );
    if !counters.removed.is_empty() {
        log::warn!(
            target: "seawall::state",
            "counters removed from the policy: {}; their counts end",
            counters.removed.join(", "),
        );
    }
}

/// The writer, and what it remembers between two snapshots.
struct SnapshotWriter {
    keeper: SnapshotStore,
    ledger: Arc<SnapshotLedger>,
    last: Option<ChangeMark>,
}

impl SnapshotWriter {
    /// Writes a snapshot if the state has changed since the last; returns the duration.
    fn look(&mut self, state: &State) -> u64 {
        let now = || (self.keeper.now.0)();
        let began = now();
        if self.last.is_some_and(|last| !state.is_changed_since(&last)) {
            return 0;
        }
        let mark = state.mark(began);
        let written = self.keeper.write(state);
        let took_ms = now().since_ms(began);
        if written.is_ok() {
            self.last = Some(mark);
        }
        self.ledger.enter(written, took_ms, began);
        took_ms
    }
}

/// Results of snapshots, for the status.
#[derive(Debug, Default)]
struct SnapshotLedger(Mutex<SnapshotReport>);

#[derive(Debug, Default)]
struct SnapshotReport {
    /// Start, bytes and duration of the last good one.
    last: Option<(Tick, usize, u64)>,
    error: Option<String>,
    left_out: usize,
}

impl SnapshotLedger {
    /// Records the result of a snapshot, and logs changes.
    fn enter(&self, written: Result<(usize, usize), String>, took_ms: u64, began: Tick) {
        let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok((bytes, left_out)) => {
                if report.error.take().is_some() {
                    log::warn!(target: "seawall::state", "snapshots are written again");
                }
                if left_out > 0 && report.left_out == 0 {
                    log::warn!(
                        target: "seawall::state",
                        "{left_out} keys do not fit into a snapshot and are omitted",
                    );
                }
                report.last = Some((began, bytes, took_ms));
                report.left_out = left_out;
            }
            Err(error) => {
                if report.error.as_ref() != Some(&error) {
                    log::error!(
                        target: "seawall::state",
                        "no snapshot is written, a restart would lose the state: {error}",
                    );
                }
                report.error = Some(error);
            }
        }
    }
}

/// Tells the writer what to do.
#[derive(Debug, Default)]
struct StopSignal {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// What the writer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Wanted {
    /// Its regular work.
    #[default]
    Nothing,
    /// A snapshot now.
    One,
    /// The last one, and then to end.
    Last,
}

impl StopSignal {
    fn want(&self, what: Wanted) {
        let mut wanted = self.lock();
        *wanted = what.max(*wanted);
        drop(wanted);
        self.changed.notify_all();
    }

    /// Waits for at most `ms`, and returns what is wanted.
    fn wanted_within(&self, ms: u64) -> Wanted {
        let going_on = |wanted: &mut Wanted| *wanted == Wanted::Nothing;
        let pause = Duration::from_millis(ms);
        let waited = self.changed.wait_timeout_while(self.lock(), pause, going_on);
        let mut wanted = waited.unwrap_or_else(PoisonError::into_inner).0;
        let is = *wanted;
        if is == Wanted::One {
            *wanted = Wanted::Nothing;
        }
        is
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that writes; before it ends, it writes once more.
pub(crate) struct SnapshotTask {
    thread: Ending,
    stop: Arc<StopSignal>,
    ledger: Arc<SnapshotLedger>,
    now: Now,
}

impl std::fmt::Debug for SnapshotTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotTask").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl SnapshotTask {
    /// Requests a snapshot now, without waiting.
    pub(crate) fn at_once(&self) {
        self.stop.want(Wanted::One);
    }

    /// Requests the last snapshot and waits for at most `ms`; returns whether it was
    /// written.
    pub(crate) fn end(self, ms: u64) -> bool {
        self.stop.want(Wanted::Last);
        self.thread.within(ms)
    }

    /// Returns a function that reports the results.
    pub(crate) fn status(&self) -> impl Fn() -> SnapshotStatus + Send + Sync + use<> {
        let (ledger, now) = (self.ledger.clone(), self.now.clone());
        move || {
            let report = ledger.0.lock().unwrap_or_else(PoisonError::into_inner);
            let last = report.last;
            SnapshotStatus {
                age_ms: last.map(|(began, _, _)| now().since_ms(began)),
                bytes: last.map(|(_, bytes, _)| bytes as u64),
                duration_ms: last.map(|(_, _, took_ms)| took_ms),
                omitted_keys: report.left_out as u64,
                last_error: report.error.clone(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
