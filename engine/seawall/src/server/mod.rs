//! A running server: it serves the sites of a configuration until it is stopped.
//!
//! Signal handlers are set first, so that a SIGHUP during the start causes a reload later instead
//! of ending the process. The policy is loaded before a port is bound: without a policy the server
//! does not listen. It is loaded on a thread of its own, so that a signal to stop has an effect
//! meanwhile.

mod fd_budget;
mod signals;
mod status_report;
mod systemd;
mod upgrade;
mod wiring;

use std::sync::Arc;
use std::time::Duration;

use seawall_admin_api::UpgradeOutcome;
use seawall_config::Config;
use seawall_control::{
    Bootstrap, CertificateWatcher, ControlDeps, ControlPlane, HandedSocket, SnapshotStore,
    StartUpgradeFn, StopFlag, TransferableState, UpgradeChild, check_wall_clock, clock,
    harden_process, raise_nofile_limit, random_seed,
};
use seawall_model::Now;
use seawall_proxy::{DataPlane, DrainReport, ListenerGate, ProxyConfig, ProxyHandle, ProxyLimits};
use seawall_state::StateLimits;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::cli::common::ConfigFile;
use crate::cli::exit::{ExitStatus, fail, print_err, print_rendered};
use crate::logger;
use crate::policy_loader::{self, PolicyHost};
use fd_budget::fit_to_fd_limit;
use signals::{SignalAction, Signals};
use status_report::proxy_report;
use systemd::SystemdNotifier;
use upgrade::hand_over;
use wiring::{certificates, listening, memory};

/// Milliseconds that requests in flight have to complete after SIGTERM: a second of the 15 s is
/// left to stop everything else.
const DRAIN_MS: u64 = 14_000;
/// Milliseconds from SIGTERM to the end of the process, in any case.
const STOP_TOTAL_MS: u64 = 14_900;
/// Milliseconds that an interrupted start has to end by itself. After that it ends with the
/// process: nothing is served yet, and files are written atomically.
const STOP_STARTING_MS: u64 = 2_000;
/// Least time of these for the control plane: after an upgrade it has nothing to write.
const STOP_LEAST_MS: u64 = 800;
/// Milliseconds that the connections of a parent process have to end once its child serves. Idle
/// ones end in seconds. A download or a WebSocket is aborted after ten minutes; otherwise it would
/// keep a second process in memory for an hour.
const LEAVE_MS: u64 = 600_000;

/// The client that waits for the result of an upgrade; after a signal there is none.
type UpgradeWaiter = Option<oneshot::Sender<UpgradeOutcome>>;

/// Serves until it is stopped. With `upgrade_child` it replaces its parent process.
pub(crate) fn run(config: &ConfigFile, upgrade_child: bool) -> ExitStatus {
    if let Err(error) = harden_process() {
        print_err(format!("cannot harden the process (core dumps, ptrace): {error}"));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(ExitStatus::InternalError, format!("cannot wait for signals: {error}"));
        }
    };
    runtime.block_on(async {
        let signals = match Signals::take() {
            Ok(signals) => signals,
            Err(error) => {
                return fail(ExitStatus::InternalError, format!("cannot take signals: {error}"));
            }
        };
        let (ask, asked) = mpsc::channel(UPGRADES_ASKED_MAX);
        begin((config.clone(), upgrade_child), signals, (ask, asked)).await
    })
}

/// Reads what a start needs, and starts.
fn load(
    (config, upgrade_child): &(ConfigFile, bool),
    ask: mpsc::Sender<oneshot::Sender<UpgradeOutcome>>,
    stop: &StopFlag,
) -> Result<RunningServer, ExitStatus> {
    check_wall_clock().map_err(|error| fail(ExitStatus::Failure, error))?;
    let taken = upgrade_child.then(UpgradeChild::begin).transpose();
    let taken = taken.map_err(|error| fail(ExitStatus::Failure, error))?;
    let config = config.load()?;
    let upgrade: StartUpgradeFn = Arc::new(move || {
        let (tell, told) = oneshot::channel();
        // If the queue is full, the client gets an error.
        let _full = ask.try_send(tell);
        told
    });
    start(&config, taken, upgrade, stop)
}

/// The queue of upgrade requests.
type Asking = (
    mpsc::Sender<oneshot::Sender<UpgradeOutcome>>,
    mpsc::Receiver<oneshot::Sender<UpgradeOutcome>>,
);

/// Starts on a thread of its own and then serves; if it is stopped before, it ends.
async fn begin(run: (ConfigFile, bool), mut signals: Signals, (ask, asked): Asking) -> ExitStatus {
    let stop_flag = StopFlag::default();
    let (done, mut outcome) = oneshot::channel();
    let begun = std::thread::Builder::new().name("seawall-start".into()).spawn({
        let stop_flag = stop_flag.clone();
        // Without a receiver the process ends.
        move || drop(done.send(load(&run, ask, &stop_flag)))
    });
    if let Err(error) = begun {
        return fail(ExitStatus::InternalError, format!("cannot start: {error}"));
    }
    let failed = || fail(ExitStatus::InternalError, "starting failed inside Seawall");
    tokio::select! {
        started = &mut outcome => match started {
            Ok(Ok(started)) => serve(signals, started, asked).await,
            Ok(Err(exit)) => exit,
            Err(_) => failed(),
        },
        () = signals.told_to_stop() => {
            systemd::stopping();
            print_err("stopping before it serves");
            stop_flag.stop();
            match timeout(Duration::from_millis(STOP_STARTING_MS), outcome).await {
                // The start completed at that very moment.
                Ok(Ok(Ok(started))) => stop(signals, started).await,
                Ok(Ok(Err(exit))) => exit,
                Ok(Err(_)) => failed(),
                Err(_) => {
                    print_err("what the start is at does not end in time and is left");
                    ExitStatus::Success
                }
            }
        }
    }
}

/// Maximum of upgrade requests in the queue.
const UPGRADES_ASKED_MAX: usize = 8;

/// A running server.
struct RunningServer {
    control: ControlPlane,
    running: ProxyHandle,
    certificates: Option<CertificateWatcher>,
}

impl RunningServer {
    /// Returns the heartbeats of the threads that visitors and operators depend on.
    fn pulse(&self) -> Vec<u64> {
        [self.running.heartbeats(), self.control.heartbeats()].concat()
    }
}

/// Loads, binds and serves; in an upgrade, in place of the parent.
fn start(
    config: &Config,
    taken: Option<(UpgradeChild, Vec<HandedSocket>)>,
    upgrade: StartUpgradeFn,
    stop: &StopFlag,
) -> Result<RunningServer, ExitStatus> {
    let now = clock();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut limits = ProxyLimits { settings: config.limits.clone(), ..ProxyLimits::default() };
    fit_to_fd_limit(&mut limits, raise_nofile_limit(), workers).iter().for_each(print_err);
    logger::start(config.log_level, &now, limits.engine_log_lines_per_second);
    let mut first = bootstrap(config, &now, taken.is_some(), stop)?;
    first.warnings.iter().for_each(print_err);
    let handle = first.handle.clone();
    let (mut taker, handed) = taken.unzip();
    let (shown, certificates) = certificates(config)?;
    let edge = ProxyConfig {
        listen: config.listen.clone(),
        listen_tls: config.listen_tls.clone(),
        handed: handed.into_iter().flatten().map(listening).collect(),
        shown,
        workers,
        trusted: config.trusted_proxies.clone(),
        exempt: config.exempt.clone(),
        sites: config.sites.clone(),
        limits,
        memory: memory(config),
    };
    let wrong = |error: &dyn std::fmt::Display| fail(ExitStatus::Failure, error);
    let bound = DataPlane::bind(edge, handle.clone(), now.clone());
    let data = bound.map_err(|e| wrong(&e))?;
    for (scheme, address) in data.addresses() {
        print_err(format!("listening on {scheme}://{address}"));
    }
    if let Some(taker) = &mut taker {
        // All that can fail has succeeded: the rest takes milliseconds.
        let state = taker.receive_state().map_err(|e| wrong(&e))?;
        first.inherit(&state).map_err(|e| wrong(&e))?;
    }
    let generation = handle.load().generation;
    let proxy = proxy_report(&data);
    let level_inputs = Arc::new(data.level_inputs());
    let outside = ControlDeps { proxy, level_inputs, upgrade };
    let control = ControlPlane::start(config, first, outside, now);
    let mut control = control.map_err(|e| wrong(&e))?;
    let running = data.start().map_err(|e| wrong(&e))?;
    if let Some(taker) = taker {
        finish_upgrade(taker, &mut control);
    }
    print_err(format!("ready, generation {generation}"));
    Ok(RunningServer { control, running, certificates })
}

/// Reports that this process serves, and publishes the admin socket.
fn finish_upgrade(mut taker: UpgradeChild, control: &mut ControlPlane) {
    // The report fails if the parent gave up, which ends this process; or if the parent is gone,
    // and then this process must serve.
    let _unheard = taker.notify_serving();
    if let Err(error) = control.publish_socket() {
        print_err(format!("the admin socket cannot be published: {error}"));
    }
    taker.finish();
}

fn bootstrap(
    config: &Config,
    now: &Now,
    inherits: bool,
    stop: &StopFlag,
) -> Result<Bootstrap, ExitStatus> {
    let ours = |error: &dyn std::fmt::Display| fail(ExitStatus::InternalError, error);
    let host = PolicyHost::of(config)?;
    let loader = policy_loader::loader(&config.policy_file, &host, now.clone());
    let loader = loader.map_err(|e| ours(&e))?;
    let loader = loader.with_stop(stop.clone());
    let seed = random_seed().map_err(|e| ours(&e))?;
    let mut limits = StateLimits::default();
    limits.bans.never.extend(&config.ban_exempt);
    // A ban on a trusted proxy would ban all its clients.
    limits.bans.never.extend(&config.trusted_proxies.networks);
    let keeper = SnapshotStore::new(&config.state_dir, limits, now.clone());
    let keeper = if inherits { keeper.inheriting() } else { keeper };
    Bootstrap::load(loader, seed, keeper, &config.state_dir).map_err(|refusal| {
        if stop.is_stopped() {
            return ExitStatus::Success;
        }
        print_rendered(&refusal.rendered);
        refusal.errors.iter().for_each(print_err);
        fail(
            ExitStatus::Failure,
            format!("the policy {} is rejected", config.policy_file.display()),
        )
    })
}

/// Serves until it is stopped, then lets requests in flight complete; a second signal ends it at
/// once. After an upgrade it ends with its last connection.
async fn serve(
    mut signals: Signals,
    started: RunningServer,
    mut asked: mpsc::Receiver<oneshot::Sender<UpgradeOutcome>>,
) -> ExitStatus {
    let mut service = SystemdNotifier::new();
    let (mut upgrade, mut reload) = (PendingResult::default(), PendingResult::default());
    systemd::ready();
    loop {
        let waiting = tokio::select! {
            (waiting, outcome) = upgrade.done() => {
                if report_upgrade(outcome, waiting, &started.control.transferable_state()) {
                    break leave(signals, started).await;
                }
                continue;
            }
            _ = reload.done() => {
                systemd::ready();
                continue;
            }
            () = service.turn() => {
                service.look(&started.pulse(), started.control.status_line());
                continue;
            }
            wanted = signals.next() => match wanted {
                SignalAction::Stop => break stop(signals, started).await,
                SignalAction::Upgrade => None,
                SignalAction::Reload => {
                    systemd::reloading();
                    reload = PendingResult::new((), started.control.reload_trigger().on_sighup_with_result().ok());
                    continue;
                }
            },
            Some(waiting) = asked.recv() => Some(waiting),
        };
        if upgrade.is_there() {
            refuse(waiting, "an upgrade is under way already");
            continue;
        }
        print_err("starting the child process of the upgrade");
        match begin_upgrade(started.running.gate(), started.control.transferable_state()) {
            Ok(outcome) => upgrade = PendingResult::new(waiting, Some(outcome)),
            Err(error) => refuse(waiting, &error.to_string()),
        }
    }
}

/// A pending result, and what is kept until it arrives.
struct PendingResult<K, T>(Option<(K, oneshot::Receiver<T>)>);

impl<K, T> Default for PendingResult<K, T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K, T> PendingResult<K, T> {
    /// Without a receiver the result is known to be none.
    fn new(kept: K, outcome: Option<oneshot::Receiver<T>>) -> Self {
        let none = || oneshot::channel().1;
        Self(Some((kept, outcome.unwrap_or_else(none))))
    }

    const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for the result, once; forever if none is pending.
    async fn done(&mut self) -> (K, Option<T>) {
        let Some((_, outcome)) = &mut self.0 else { return std::future::pending().await };
        let outcome = outcome.await.ok();
        match self.0.take() {
            Some((kept, _)) => (kept, outcome),
            None => std::future::pending().await,
        }
    }
}

fn refuse(waiting: UpgradeWaiter, why: &str) {
    print_err(format!("the child process cannot be started: {why}"));
    // After a signal no client waits.
    let _unheard =
        waiting.map(|waiting| waiting.send(UpgradeOutcome::Rejected { reason: why.to_owned() }));
}

/// Starts an upgrade on a thread of its own.
fn begin_upgrade(
    gate: ListenerGate,
    transfer: TransferableState,
) -> std::io::Result<oneshot::Receiver<UpgradeOutcome>> {
    systemd::reloading();
    let (done, outcome) = oneshot::channel();
    std::thread::Builder::new().name("seawall-upgrade".into()).spawn(move || {
        // The receiver is gone if this process stops meanwhile.
        let _unheard = done.send(hand_over(&gate, &transfer));
    })?;
    Ok(outcome)
}

/// Reports the result of an upgrade, and returns whether the child serves.
fn report_upgrade(
    outcome: Option<UpgradeOutcome>,
    waiting: UpgradeWaiter,
    transfer: &TransferableState,
) -> bool {
    let failed =
        || UpgradeOutcome::Rejected { reason: "handing over failed inside Seawall".to_owned() };
    let upgraded = outcome.unwrap_or_else(failed);
    transfer.note(&upgraded);
    systemd::upgraded(&upgraded);
    match &upgraded {
        UpgradeOutcome::Done { pid, duration_ms, accept_paused_ms } => print_err(format!(
            "upgraded: process {pid} is serving ({duration_ms} ms, accepting paused \
             {accept_paused_ms} ms); draining old connections"
        )),
        UpgradeOutcome::Rejected { reason } => {
            print_err(format!("upgrade failed: {reason}; this process keeps serving"))
        }
    }
    let is_done = matches!(upgraded, UpgradeOutcome::Done { .. });
    let _unheard = waiting.map(|waiting| waiting.send(upgraded));
    is_done
}

fn print_shutting_down() {
    let seconds = DRAIN_MS / 1_000;
    print_err(format!("shutting down: waiting up to {seconds} s for active requests"));
}

/// Stops within the time after SIGTERM.
async fn stop(signals: Signals, started: RunningServer) -> ExitStatus {
    systemd::stopping();
    print_shutting_down();
    end(signals, started, |running| running.shutdown(Duration::from_millis(DRAIN_MS)), None).await
}

/// Drains after an upgrade and ends with the last connection; a signal ends it earlier.
async fn leave(signals: Signals, started: RunningServer) -> ExitStatus {
    let gate = started.running.gate();
    end(signals, started, |running| running.drain(Duration::from_millis(LEAVE_MS)), Some(gate))
        .await
}

/// Ends the data plane with `how`. The first signal to stop shortens a drain, and the next ends the
/// process at once.
async fn end(
    mut signals: Signals,
    started: RunningServer,
    how: impl FnOnce(ProxyHandle) -> DrainReport + Send + 'static,
    mut hurried: Option<ListenerGate>,
) -> ExitStatus {
    let RunningServer { control, running, certificates } = started;
    let (done, mut drained) = oneshot::channel();
    // Before the drain, so that the control plane ends in parallel.
    control.stopping();
    let began = Instant::now();
    let draining = move || {
        let ended = how(running);
        drop(certificates);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        control.end(STOP_TOTAL_MS.saturating_sub(took_ms).max(STOP_LEAST_MS));
        // After a second signal there is no receiver.
        let _unheard = done.send(ended);
    };
    if let Err(error) = std::thread::Builder::new().name("seawall-drain".into()).spawn(draining) {
        return fail(ExitStatus::InternalError, format!("cannot stop in order: {error}"));
    }
    loop {
        tokio::select! {
            ended = &mut drained => match ended {
                Ok(ended) => {
                    let DrainReport { completed, aborted } = ended;
                    print_err(format!("stopped: {completed} requests completed, {aborted} aborted"));
                    return ExitStatus::Success;
                }
                Err(_) => return fail(ExitStatus::InternalError, "stopping failed"),
            },
            () = signals.stop() => match hurried.take() {
                Some(gate) => {
                    print_shutting_down();
                    gate.expedite(Duration::from_millis(DRAIN_MS));
                }
                None => {
                    print_err("stopped at once");
                    return ExitStatus::Success;
                }
            },
        }
    }
}
