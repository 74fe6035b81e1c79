//! The control plane as one value: started once, stopped once.
//!
//! It has four threads: reloads, the admin socket, ticks, snapshots. No request passes them; they
//! only share the `RuleSetHandle` with the data plane.

pub(crate) mod bootstrap;
pub(crate) mod deps;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seawall_config::Config;
use seawall_model::Now;
use tokio::sync::oneshot;

use self::bootstrap::Bootstrap;
use self::deps::ControlDeps;
use crate::admin;
use crate::admin::bans::BanAdmin;
use crate::admin::history::HistoryAdmin;
use crate::admin::levels::LevelAdmin;
use crate::admin::socket::{AdminSocket, SocketError, SocketFile};
use crate::generations::GenerationStore;
use crate::level_ticker;
use crate::observe::decision_totals::DecisionTotals;
use crate::observe::status::StatusReporter;
use crate::policy_source::rollback_pin::Standing;
use crate::reload::backend::LivePolicyBackend;
use crate::reload::trigger::ReloadTrigger;
use crate::reload::watcher::PolicyWatcher;
use crate::reload::{POLL_MS, Reloader};
use crate::snapshot::{SnapshotStore, SnapshotTask};
use crate::storage::write_gate::WriteGate;
use crate::upgrade::TransferableState;
use crate::util::join_timeout::Ending;
use crate::util::periodic_task::PeriodicTask;

/// Milliseconds between two heartbeats of the admin thread.
const BEAT_MS: u64 = 250;
/// Milliseconds that a reload, and pending responses of the admin socket, have to end when the
/// process stops.
pub const STOP_MS: u64 = 600;

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The admin socket could not be bound.
    #[error("the admin socket cannot be opened: {0}")]
    Socket(#[from] SocketError),
    /// The system provided no thread or no runtime.
    #[error("the control plane cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// The running control plane; it stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    trigger: Arc<ReloadTrigger>,
    reloading: Option<Ending>,
    admin: Option<(oneshot::Sender<()>, Ending)>,
    keeping: Option<SnapshotTask>,
    _ticker: Arc<PeriodicTask>,
    _levels: PeriodicTask,
    transfer: TransferableState,
    file: SocketFile,
    /// Heartbeats of the admin thread and of the level ticker.
    beats: [Arc<AtomicU64>; 2],
}

impl ControlPlane {
    /// Starts the control plane for `first`. In an upgrade, clients find its admin socket only
    /// after [`publish_socket`](Self::publish_socket).
    ///
    /// # Errors
    /// Returns the part that could not be started.
    pub fn start(
        config: &Config,
        first: Bootstrap,
        outside: ControlDeps,
        now: Now,
    ) -> Result<Self, ControlError> {
        let AdminSocket { listener, file } = admin_socket(&config.socket, &first.keeper)?;
        let (board, scribe) = first.posted()?;
        let Bootstrap { handle, loader, keeper, digest, archive, aside, members, known, .. } =
            first;
        let trigger = Arc::new(ReloadTrigger::stopping_with(loader.stop_flag()));
        loader.ring(trigger.clone());
        let totals = Arc::new(DecisionTotals::default());
        let transfer = TransferableState::new(handle.clone(), now.clone(), scribe.settle());
        let keeping = keeper.keep(handle.clone(), transfer.still.clone())?;
        let sight = StatusReporter {
            handle: handle.clone(),
            board: board.clone(),
            members: members.clone(),
            totals: totals.clone(),
            root: config.policy_file.clone(),
            sites: config.sites.clone(),
            outside,
            snapshot: Arc::new(keeping.status()),
            units: config.limits.client_prefixes(),
            last_upgrade: transfer.last.clone(),
            loader: loader.clone(),
            now: now.clone(),
            busiest: Mutex::default(),
        };
        let levels = sight.levels();
        let desk = admin_state(trigger.clone(), sight, archive.clone(), transfer.still.clone());
        let beats: [Arc<AtomicU64>; 2] = Default::default();
        let admin = serve_admin(listener, desk, beats[0].clone())?;
        let ticker = loader.ticker();
        loader.running(&[&handle.load().rules]);
        // Levels from before a restart are active again at once, not a second later.
        levels.evaluate(&handle.load());
        let watching = level_ticker::start(handle.clone(), levels.clone(), beats[1].clone())?;
        // Watched before this returns, so that no save after "ready" is missed. The requested
        // reload finds saves between the first load and now.
        let watch = Arc::new(Mutex::new(PolicyWatcher::new(
            &folder_of(&config.policy_file),
            trigger.clone(),
        )));
        let forge = LivePolicyBackend {
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
        let (both, still) = ((trigger.clone(), board), transfer.still.clone());
        let reloader = Reloader::new(forge, both, still, now, (digest, aside));
        let reloading = Some(reload(reloader, watch, trigger.clone())?);
        Ok(Self {
            trigger,
            reloading,
            admin: Some(admin),
            keeping: Some(keeping),
            _ticker: ticker,
            _levels: watching,
            transfer,
            file,
            beats,
        })
    }

    /// Announces the end: a snapshot is written now, and a current reload ends at its next step. It
    /// does not wait for either.
    pub fn stopping(&self) {
        if let Some(keeping) = &self.keeping {
            keeping.at_once();
        }
        self.trigger.stop();
    }

    /// Returns the state that a child process takes over.
    #[must_use]
    pub fn transferable_state(&self) -> TransferableState {
        self.transfer.clone()
    }

    /// Returns the counts of its threads: a thread whose count does not change for seconds hangs.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }

    /// Returns a summary in one line.
    #[must_use]
    pub fn status_line(&self) -> String {
        let live = self.transfer.handle.load();
        let (level, bans) = (live.rules.level_name(&live.state, ""), live.state.bans().len());
        format!("generation {} is active, level {level}, {bans} bans", live.generation.0)
    }

    /// Publishes the admin socket in place of the parent's.
    ///
    /// # Errors
    /// The folder of the socket has changed.
    pub fn publish_socket(&mut self) -> Result<(), SocketError> {
        self.file.take_name()
    }

    /// Returns the reload trigger.
    #[must_use]
    pub fn reload_trigger(&self) -> Arc<ReloadTrigger> {
        self.trigger.clone()
    }
}

impl ControlPlane {
    /// Ends within `ms`: the reloader may be in a long operation, and the writer may wait for the
    /// disk. A thread that does not end in time ends with the process.
    pub fn end(mut self, ms: u64) {
        self.end_within(ms);
    }

    fn end_within(&mut self, ms: u64) {
        self.stopping();
        let admin = self.admin.take().map(|(stop, ending)| {
            drop(stop);
            ending
        });
        // Published files are written first; the writer ends with the reloader.
        if self.reloading.is_some() {
            self.transfer.settle.wait(ms / 4);
        }
        for (what, ending) in
            [("the reload under way", self.reloading.take()), ("pending responses", admin)]
        {
            if ending.is_some_and(|ending| !ending.within(STOP_MS.min(ms / 4))) {
                log::warn!(target: "seawall::server", "{what} did not end in time");
            }
        }
        // Last, when nothing is published any more.
        if self.keeping.take().is_some_and(|keeping| !keeping.end(ms / 4)) {
            log::error!(
                target: "seawall::server",
                "the last snapshot was not written in time",
            );
        }
    }
}

/// Ends with a default time.
impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.end_within(STOP_MS.saturating_mul(4));
    }
}

fn reload(
    reloader: Reloader<LivePolicyBackend>,
    watch: Arc<Mutex<PolicyWatcher>>,
    trigger: Arc<ReloadTrigger>,
) -> io::Result<Ending> {
    trigger.on_file_change(crate::reload::trigger::FileChange::Closed);
    let poll = Duration::from_millis(POLL_MS);
    let before = move || watch.lock().unwrap_or_else(PoisonError::into_inner).renew();
    Ending::of("seawall-reload", move || reloader.run(poll, before))
}

/// Returns the folder of a root policy.
fn folder_of(root: &Path) -> PathBuf {
    match root.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Binds the admin socket; while the parent still uses the path, beside it.
fn admin_socket(path: &Path, keeper: &SnapshotStore) -> Result<AdminSocket, SocketError> {
    if keeper.inherits() { AdminSocket::bind_beside(path) } else { AdminSocket::bind(path) }
}

/// Returns what the admin socket gives access to.
fn admin_state(
    trigger: Arc<ReloadTrigger>,
    sight: StatusReporter,
    archive: GenerationStore,
    still: Arc<WriteGate>,
) -> admin::AdminState {
    let (handle, sight) = (sight.handle.clone(), Arc::new(sight));
    admin::AdminState {
        trigger,
        still,
        upgrade: sight.outside.upgrade.clone(),
        enable: Arc::new(move |name| handle.load().rules.enable_extern(name)),
        levels: Arc::new(LevelAdmin { handle: sight.handle.clone(), levels: sight.levels() }),
        bans: Arc::new(BanAdmin {
            handle: sight.handle.clone(),
            units: sight.units,
            now: sight.now.clone(),
        }),
        history: Arc::new(HistoryAdmin { board: sight.board.clone(), archive }),
        metrics: Arc::new({
            let sight = sight.clone();
            move || sight.metrics()
        }),
        status: Arc::new(move || sight.status()),
    }
}

fn serve_admin(
    listener: std::os::unix::net::UnixListener,
    desk: admin::AdminState,
    beats: Arc<AtomicU64>,
) -> io::Result<(oneshot::Sender<()>, Ending)> {
    // As many threads as connections: requests may wait for the disk without delaying others.
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
            log::error!(target: "seawall::server", "the admin socket failed: {error}");
        }
        // Requests that still wait for the disk are not waited for.
        runtime.shutdown_background();
    })?;
    Ok((stop, ending))
}
