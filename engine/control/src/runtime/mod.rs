//! The control plane as one value: started once, stopped once.
//!
//! Four threads: one reloads, one answers the admin socket, one ticks, one writes snapshots. None of
//! them is on the way of a request; the one thing they share with the data plane is the `Handle`.

pub(crate) mod bootstrap;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_model::{Generation, Now};
use seawall_ruleset::{Handle, Live};
use seawall_state::{Seed, Tally};
use tokio::sync::oneshot;

use self::bootstrap::{Beginning, begin};
use crate::admin;
use crate::admin::api::{Cause, Refusal, Upgraded};
use crate::admin::bans::BanDesk;
use crate::admin::levels::LevelDesk;
use crate::admin::socket::{AdminSocket, SocketError, SocketFile};
use crate::config::Config;
use crate::generations::{Archive, Aside, Blob, HistoryDesk, Known, Occasion};
use crate::level_ticker::{self, LevelInputs};
use crate::members::{Coming, Members};
use crate::observe::decision_totals::Totals;
use crate::observe::metrics::EdgeMetric;
use crate::observe::status::{EdgeReport, Sight};
use crate::policy_source::list_cache::Stock;
use crate::policy_source::loader::{Loader, Ready, Standing};
use crate::reload::backend::PolicyForge;
use crate::reload::status::{Board, Past};
use crate::reload::trigger::Bell;
use crate::reload::watcher::Watch;
use crate::reload::{POLL_MS, Reloader};
use crate::snapshot::{Keeper, Keeping};
use crate::storage::background_writer::Scribe;
use crate::upgrade::{Estate, HandOverError, Still};
use crate::util::join_timeout::Ending;
use crate::util::periodic_task::Ticker;

/// Milliseconds between two beats of the admin thread.
const BEAT_MS: u64 = 250;
/// Milliseconds that a reload, and the answers of the admin socket, have to end by themselves when the
/// process stops.
pub const STOP_MS: u64 = 600;

/// The first generation, before anything serves.
pub struct First {
    /// Where it is found, and the next ones will be.
    pub handle: Arc<Handle>,
    /// What is probably not what was meant.
    pub warnings: Vec<String>,
    loader: Loader,
    keeper: Keeper,
    digest: [u8; 32],
    archive: Archive,
    /// The generations of earlier processes.
    history: Vec<Arc<Past>>,
    /// This one.
    past: Past,
    blobs: Vec<Blob>,
    known: Known,
    aside: Option<Aside>,
    /// What the history said of that, before it was held against the disk.
    read_aside: Option<Aside>,
    stock: Stock,
    members: Arc<Members>,
}

/// Has a successor started, and says what came of it.
pub type Upgrade = Arc<dyn Fn() -> oneshot::Receiver<Upgraded> + Send + Sync>;

/// What the control plane asks of others.
pub struct Outside {
    /// The numbers of the data plane.
    pub edge: EdgeReport,
    /// What levels look at besides counters.
    pub level_inputs: LevelInputs,
    /// Which of them are metrics, with what each says.
    pub described: Vec<EdgeMetric>,
    /// Has a successor started.
    pub upgrade: Upgrade,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for First {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("First").field("loader", &self.loader).finish_non_exhaustive()
    }
}

impl First {
    /// Loads the policy as a reload would, with the state that `keeper` has of it; an empty one
    /// is hashed under `seed`. The generations of earlier processes lie in `state_dir`.
    ///
    /// # Errors
    /// Why the policy cannot be taken.
    pub fn load(
        loader: Loader,
        seed: Seed,
        keeper: Keeper,
        state_dir: &Path,
    ) -> Result<Self, Refusal> {
        let loader = if keeper.inherits() { loader.taking_over() } else { loader };
        let began = loader.now();
        let archive = Archive::new(state_dir);
        let index = archive.load();
        let members = Arc::new(Members::open(state_dir));
        let beginning = begin(&loader, &archive, &index, &members)?;
        let Beginning { sources, digest, aside, ready } = beginning;
        let Ready { rules, mut warnings, tests, stock, members: states } = ready;
        let before = index.generations.last().cloned();
        let last = before.as_ref().map_or(0, |past| past.generation);
        let state = keeper.restore(seed, rules.counter_specs()).numbered_after(Generation(last));
        let tally = Arc::new(Tally::new(rules.rule_names().len()));
        let generation = state.generation();
        let mut known = Known::of(before.as_deref());
        let (made, blobs) = known.made(&sources, &rules);
        let loaded = loader.now();
        warnings.extend(members.came(Coming {
            rules: &rules,
            sources: &sources,
            states: &states,
            generation: generation.0,
            now: loaded,
        }));
        let occasion = Occasion {
            cause: Cause::Start,
            by_uid: None,
            restores: aside.as_ref().and_then(|aside| Some(aside.host.as_ref()?.serves)),
            host_since: None,
            began,
        };
        let past = made.past((generation.0, loaded), occasion, before.as_deref());
        let past = Past { tests, warnings: warnings.len(), ..past };
        let live = Live { generation, rules: Arc::new(rules), state: Arc::new(state), tally };
        // Where a member's turn has yet to come, nothing that is read is the same as what runs.
        let is_whole = live.rules.postponed().is_empty();
        let digest = if is_whole { digest } else { [0; 32] };
        let handle = Arc::new(Handle::new(live));
        let (history, read_aside) = (index.generations, index.aside);
        Ok(Self {
            handle,
            warnings,
            loader,
            keeper,
            digest,
            archive,
            history,
            past,
            blobs,
            known,
            aside,
            read_aside,
            stock,
            members,
        })
    }
}

impl First {
    /// Takes over what the process before remembers, as one that was restarted would.
    ///
    /// # Errors
    /// It cannot be taken, or somebody went back to another generation meanwhile.
    pub fn inherit(&mut self, content: &[u8]) -> Result<(), HandOverError> {
        // It may have published since this process looked.
        let index = self.archive.load();
        if index.aside != self.read_aside {
            let why = "somebody went back to another generation meanwhile; try again";
            return Err(HandOverError::State(why.to_owned()));
        }
        let live = self.handle.load();
        let specs = live.rules.counter_specs();
        let state = self.keeper.inherit(content, specs).map_err(HandOverError::State)?;
        let last = index.generations.last().map_or(0, |past| past.generation);
        let state = state.numbered_after(Generation(last));
        let generation = state.generation();
        self.members.renumber(self.past.generation, generation.0);
        if self.past.host_since == self.past.generation {
            self.past.host_since = generation.0;
        }
        self.past.generation = generation.0;
        self.past.cause = Cause::Upgrade;
        self.history = index.generations;
        let (rules, tally) = (live.rules.clone(), live.tally.clone());
        self.handle.publish(Live { generation, rules, state: Arc::new(state), tally });
        Ok(())
    }
}

/// A secret for the hashing of keys, from the system.
///
/// # Errors
/// The system has none to give.
pub fn random_seed() -> io::Result<Seed> {
    random_bytes().map(Seed)
}

/// Chance, from the system.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No admin socket.
    #[error("the admin socket cannot be opened: {0}")]
    Socket(#[from] SocketError),
    /// The system gave no thread or no runtime.
    #[error("the control plane cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// The running control plane; it stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    bell: Arc<Bell>,
    reloading: Option<Ending>,
    admin: Option<(oneshot::Sender<()>, Ending)>,
    keeping: Option<Keeping>,
    _ticker: Arc<Ticker>,
    _levels: Ticker,
    estate: Estate,
    file: SocketFile,
    /// What the admin thread and the one that looks at levels count.
    beats: [Arc<AtomicU64>; 2],
}

impl First {
    /// The board with what serves on it, and the one that writes down what that is made of.
    fn posted(&self) -> io::Result<(Arc<Board>, Scribe)> {
        self.loader.put_away(&self.stock);
        let board = Arc::new(Board::remembering(self.history.clone()));
        board.published(self.past.clone());
        board.aside(self.aside.clone());
        let scribe = Scribe::start()?;
        self.archive.hold(&self.blobs);
        let (kept, posted, blobs) = (self.archive.clone(), board.read(), self.blobs.clone());
        scribe.later(move || kept.remember(posted, &blobs));
        let copies = self.members.clone();
        scribe.later(move || copies.write());
        Ok((board, scribe))
    }
}

impl ControlPlane {
    /// Watches, reloads and answers for `first`; where that inherits, whoever asks finds this from
    /// [`take_name`](Self::take_name) on.
    ///
    /// # Errors
    /// What could not be had.
    pub fn start(
        config: &Config,
        first: First,
        outside: Outside,
        now: Now,
    ) -> Result<Self, ControlError> {
        let AdminSocket { listener, file } = admin_socket(&config.socket, &first.keeper)?;
        let (board, scribe) = first.posted()?;
        let First { handle, loader, keeper, digest, archive, aside, members, known, .. } = first;
        let bell = Arc::new(Bell::stopping_with(loader.stop_flag()));
        loader.ring(bell.clone());
        let totals = Arc::new(Totals::default());
        let estate = Estate::new(handle.clone(), now.clone(), scribe.settle());
        let keeping = keeper.keep(handle.clone(), estate.still.clone())?;
        let sight = Sight {
            handle: handle.clone(),
            board: board.clone(),
            members: members.clone(),
            totals: totals.clone(),
            root: config.root.clone(),
            sites: config.sites.clone(),
            outside,
            snapshot: Arc::new(keeping.status()),
            units: config.units,
            last_upgrade: estate.last.clone(),
            loader: loader.clone(),
            now: now.clone(),
        };
        let levels = sight.levels();
        let desk = desk(bell.clone(), sight, archive.clone(), estate.still.clone());
        let beats: [Arc<AtomicU64>; 2] = Default::default();
        let admin = serve_admin(listener, desk, beats[0].clone())?;
        let ticker = loader.ticker();
        loader.running(&[&handle.load().rules]);
        // What was in force before a restart is in force again, before a second has passed.
        levels.look(&handle.load());
        let watching = level_ticker::watch(handle.clone(), levels.clone(), beats[1].clone())?;
        // Watched before this returns, so that no save after "ready" is missed; what was saved
        // between the first load and now, the look that is asked for finds.
        let watch = Arc::new(Mutex::new(Watch::new(&folder_of(&config.root), bell.clone())));
        let forge = PolicyForge {
            loader,
            handle,
            totals,
            levels,
            now: now.clone(),
            standing: Standing::new(archive.clone()),
            known,
            archive,
            scribe,
            stock: None,
            watch: watch.clone(),
            restless: Vec::new(),
            members,
            hosts: None,
        };
        let (both, still) = ((bell.clone(), board), estate.still.clone());
        let reloader = Reloader::new(forge, both, still, now, (digest, aside));
        let reloading = Some(reload(reloader, watch, bell.clone())?);
        Ok(Self {
            bell,
            reloading,
            admin: Some(admin),
            keeping: Some(keeping),
            _ticker: ticker,
            _levels: watching,
            estate,
            file,
            beats,
        })
    }

    /// The end is near: a snapshot is written now, and whatever reloads ends at its next step. Waits for
    /// neither.
    pub fn stopping(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.at_once();
        }
        self.bell.stop();
    }

    /// What a successor inherits.
    #[must_use]
    pub fn estate(&self) -> Estate {
        self.estate.clone()
    }

    /// What its threads have counted: one whose number stands still for seconds is stuck.
    #[must_use]
    pub fn pulse(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }

    /// How it stands, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        let live = self.estate.handle.load();
        let (level, bans) = (live.rules.level_name(&live.state, ""), live.state.bans().len());
        format!("generation {} judges, level {level}, {bans} bans", live.generation.0)
    }

    /// Lets whoever asks find this, and no longer whoever served before.
    ///
    /// # Errors
    /// The folder of the socket has changed.
    pub fn take_name(&mut self) -> Result<(), SocketError> {
        self.file.take_name()
    }

    /// Where reloads are asked for.
    #[must_use]
    pub fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }
}

impl ControlPlane {
    /// Ends within `ms`, whatever runs: who reloads may be in the middle of what takes long, and who
    /// writes may wait for a disk. What does not end is left where it is, for the end of the process.
    pub fn end(mut self, ms: u64) {
        self.end_within(ms);
    }

    fn end_within(&mut self, ms: u64) {
        self.stopping();
        let admin = self.admin.take().map(|(stop, ending)| {
            drop(stop);
            ending
        });
        // What was published is written first; a reload that ends takes the writer along.
        if self.reloading.is_some() {
            self.estate.settle.wait(ms / 4);
        }
        for (what, ending) in [("the reload under way", self.reloading.take()), ("answers", admin)]
        {
            if ending.is_some_and(|ending| !ending.within(STOP_MS.min(ms / 4))) {
                log::warn!(target: "seawall::server", "{what} did not end in time and is left");
            }
        }
        // Last, when nothing is published any more.
        if self.keeping.take().is_some_and(|keeping| !keeping.end(ms / 4)) {
            log::error!(
                target: "seawall::server",
                "the last snapshot is not on the disk in time and is left",
            );
        }
    }
}

/// The same where nobody says how long that may take.
impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.end_within(STOP_MS.saturating_mul(4));
    }
}

fn reload(
    reloader: Reloader<PolicyForge>,
    watch: Arc<Mutex<Watch>>,
    bell: Arc<Bell>,
) -> io::Result<Ending> {
    bell.changed(crate::reload::trigger::Change::Closed);
    let poll = Duration::from_millis(POLL_MS);
    let before = move || watch.lock().unwrap_or_else(PoisonError::into_inner).renew();
    Ending::of("seawall-reload", move || reloader.run(poll, before))
}

/// The folder of a root policy.
fn folder_of(root: &Path) -> PathBuf {
    match root.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The admin socket; where another process still answers on it, beside that.
fn admin_socket(path: &Path, keeper: &Keeper) -> Result<AdminSocket, SocketError> {
    if keeper.inherits() { AdminSocket::bind_beside(path) } else { AdminSocket::bind(path) }
}

/// All that the admin socket gives access to.
fn desk(bell: Arc<Bell>, sight: Sight, archive: Archive, still: Arc<Still>) -> admin::Desk {
    let (handle, sight) = (sight.handle.clone(), Arc::new(sight));
    admin::Desk {
        bell,
        still,
        upgrade: sight.outside.upgrade.clone(),
        enable: Arc::new(move |name| handle.load().rules.enable_extern(name)),
        levels: Arc::new(LevelDesk { handle: sight.handle.clone(), levels: sight.levels() }),
        bans: Arc::new(BanDesk {
            handle: sight.handle.clone(),
            units: sight.units,
            now: sight.now.clone(),
        }),
        history: Arc::new(HistoryDesk { board: sight.board.clone(), archive }),
        metrics: Arc::new({
            let sight = sight.clone();
            move || sight.metrics()
        }),
        status: Arc::new(move || sight.status()),
    }
}

fn serve_admin(
    listener: std::os::unix::net::UnixListener,
    desk: admin::Desk,
    beats: Arc<AtomicU64>,
) -> io::Result<(oneshot::Sender<()>, Ending)> {
    // As many as ask at a time may wait for a disk, and nobody else for them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(admin::ADMIN_CONNECTIONS_MAX)
        .build()?;
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let _beating = tokio::spawn(async move {
            loop {
                beats.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
            }
        });
        admin::serve(listener, desk, stopped).await
    };
    let ending = Ending::of("seawall-admin", move || {
        if let Err(error) = runtime.block_on(serve) {
            log::error!(target: "seawall::server", "the admin socket no longer answers: {error}");
        }
        // What still waits for a disk is not waited for.
        runtime.shutdown_background();
    })?;
    Ok((stop, ending))
}
