//! A running server: it defends the sites of a configuration until told to stop.
//!
//! Signals are taken before anything else, so that a SIGHUP during start-up reloads later instead
//! of ending us. The policy is loaded before a port is bound: what cannot judge does not listen. It is
//! loaded on a thread of its own, so that whoever tells us to stop meanwhile is heard.

mod fd_budget;
mod signals;
mod status_report;
mod systemd;
mod upgrade;
mod wiring;

use std::sync::Arc;
use std::time::Duration;

use seawall_config::Config;
use seawall_control::{
    Bootstrap, CertificateWatcher, ControlDeps, ControlPlane, HandedSocket, ProxyReportFn,
    SnapshotStore, StartUpgradeFn, StopFlag, TransferableState, UpgradeChild, UpgradeOutcome,
    check_wall_clock, clock, harden_process, raise_nofile_limit, random_seed,
};
use seawall_model::Now;
use seawall_proxy::{DataPlane, DrainReport, ListenerGate, ProxyConfig, ProxyHandle, ProxyLimits};
use seawall_state::StateLimits;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::cli::common::ConfigFile;
use crate::cli::exit::{ExitStatus, fail, print_err, tell_drawn};
use crate::logger;
use crate::policy_loader::{self, PolicyHost};
use fd_budget::fit_to_fd_limit;
use signals::{SignalAction, Signals};
use status_report::{described, edge_report};
use systemd::SystemdNotifier;
use upgrade::hand_over;
use wiring::{certificates, listening, memory};

/// Milliseconds that requests in flight have to end after SIGTERM: DESIGN's 15 s with a second
/// left to stop everything else.
const DRAIN_MS: u64 = 14_000;
/// Milliseconds from SIGTERM to the end of the process, whatever runs.
const STOP_TOTAL_MS: u64 = 14_900;
/// Milliseconds that a start which is told to stop has to end by itself. What does not end then is
/// left, and the end of the process takes it along: nothing serves yet, and what it writes is
/// written whole or not at all.
const STOP_STARTING_MS: u64 = 2_000;
/// The least of these for the control plane: where a successor serves it has nothing to write.
const STOP_LEAST_MS: u64 = 800;
/// Milliseconds that the connections of a process have to end by themselves once its successor
/// serves: an idle one ends in seconds, and what is cut after ten minutes is a download or a
/// WebSocket that would otherwise hold a second process in memory for an hour.
const LEAVE_MS: u64 = 600_000;

/// Who waits to hear what came of an upgrade; a signal's sender reads the log.
type UpgradeWaiter = Option<oneshot::Sender<UpgradeOutcome>>;

/// Serves until told to stop. With `take_over`, in the place of the server that started this one.
pub(crate) fn run(config: &ConfigFile, take_over: bool) -> ExitStatus {
    if let Err(error) = harden_process() {
        print_err(format!("what is in memory is not kept from others: {error}"));
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
        begin((config.clone(), take_over), signals, (ask, asked)).await
    })
}

/// Reads what a start needs, and starts.
fn load(
    (config, take_over): &(ConfigFile, bool),
    ask: mpsc::Sender<oneshot::Sender<UpgradeOutcome>>,
    stop: &StopFlag,
) -> Result<RunningServer, ExitStatus> {
    check_wall_clock().map_err(|error| fail(ExitStatus::Failure, error))?;
    let taken = take_over.then(UpgradeChild::begin).transpose();
    let taken = taken.map_err(|error| fail(ExitStatus::Failure, error))?;
    let config = config.load()?;
    let upgrade: StartUpgradeFn = Arc::new(move || {
        let (tell, told) = oneshot::channel();
        // Where as many have asked already, this one hears that nobody answers.
        let _full = ask.try_send(tell);
        told
    });
    start(&config, taken, upgrade, stop)
}

/// Those who ask for an upgrade, and where they are heard.
type Asking = (
    mpsc::Sender<oneshot::Sender<UpgradeOutcome>>,
    mpsc::Receiver<oneshot::Sender<UpgradeOutcome>>,
);

/// Starts on a thread of its own, and serves once that is done; told to stop before, ends.
async fn begin(run: (ConfigFile, bool), mut signals: Signals, (ask, asked): Asking) -> ExitStatus {
    let stop_flag = StopFlag::default();
    let (done, mut outcome) = oneshot::channel();
    let begun = std::thread::Builder::new().name("seawall-start".into()).spawn({
        let stop_flag = stop_flag.clone();
        // Where nobody waits any more, the process ends.
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
                // It was done at that very moment.
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

/// Those who asked for an upgrade and have not been heard yet.
const UPGRADES_ASKED_MAX: usize = 8;

/// What runs until it is stopped.
struct RunningServer {
    control: ControlPlane,
    running: ProxyHandle,
    certificates: Option<CertificateWatcher>,
}

impl RunningServer {
    /// What the threads count that visitors and operators depend on.
    fn pulse(&self) -> Vec<u64> {
        [self.running.heartbeats(), self.control.heartbeats()].concat()
    }
}

/// Loads, binds and serves; with what was taken over, in the place of whoever gave it.
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
        // All that can be wrong is right: from here on it takes milliseconds.
        let state = taker.receive_state().map_err(|e| wrong(&e))?;
        first.inherit(&state).map_err(|e| wrong(&e))?;
    }
    let generation = handle.load().generation;
    let counters = data.live_counters();
    let (sites, origins) = (data.sites(), data.origins());
    let edge: ProxyReportFn =
        Arc::new(move || edge_report(&counters.snapshot(), &sites.snapshot(), &origins()));
    let level_inputs = Arc::new(data.level_inputs());
    let outside = ControlDeps { edge, described: described(), level_inputs, upgrade };
    let control = ControlPlane::start(config, first, outside, now);
    let mut control = control.map_err(|e| wrong(&e))?;
    let running = data.start().map_err(|e| wrong(&e))?;
    if let Some(taker) = taker {
        finish_upgrade(taker, &mut control);
    }
    print_err(format!("ready, generation {generation}"));
    Ok(RunningServer { control, running, certificates })
}

/// Says that this process serves, and has whoever asks find it.
fn finish_upgrade(mut taker: UpgradeChild, control: &mut ControlPlane) {
    // Unheard where the older process gave up, which ends this one; or where it is gone, and then
    // somebody must serve.
    let _unheard = taker.notify_serving();
    if let Err(error) = control.publish_socket() {
        print_err(format!("nobody finds the admin socket: {error}"));
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
    // A ban on a hop would be one on everybody behind it.
    limits.bans.never.extend(&config.trusted_proxies.networks);
    let keeper = SnapshotStore::new(&config.state_dir, limits, now.clone());
    let keeper = if inherits { keeper.inheriting() } else { keeper };
    Bootstrap::load(loader, seed, keeper, &config.state_dir).map_err(|refusal| {
        if stop.is_stopped() {
            return ExitStatus::Success;
        }
        tell_drawn(&refusal.rendered);
        refusal.errors.iter().for_each(print_err);
        fail(ExitStatus::Failure, format!("the policy {} is refused", config.policy_file.display()))
    })
}

/// Serves until told to stop, then lets requests in flight end; told again, stops at once. Where a
/// successor took over, ends when the last of its connections does.
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
        print_err("starting a successor");
        match begin_upgrade(started.running.gate(), started.control.transferable_state()) {
            Ok(outcome) => upgrade = PendingResult::new(waiting, Some(outcome)),
            Err(error) => refuse(waiting, &error.to_string()),
        }
    }
}

/// Something whose outcome will come, and what is kept until it does.
struct PendingResult<K, T>(Option<(K, oneshot::Receiver<T>)>);

impl<K, T> Default for PendingResult<K, T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<K, T> PendingResult<K, T> {
    /// Without a receiver its outcome is known: there is none to come.
    fn new(kept: K, outcome: Option<oneshot::Receiver<T>>) -> Self {
        let none = || oneshot::channel().1;
        Self(Some((kept, outcome.unwrap_or_else(none))))
    }

    const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Waits for it, once; for ever where there is nothing.
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
    print_err(format!("no successor is started: {why}"));
    // A signal's sender has nobody waiting.
    let _unheard =
        waiting.map(|waiting| waiting.send(UpgradeOutcome::Rejected { why: why.to_owned() }));
}

/// Hands over on a thread of its own.
fn begin_upgrade(
    gate: ListenerGate,
    transfer: TransferableState,
) -> std::io::Result<oneshot::Receiver<UpgradeOutcome>> {
    systemd::reloading();
    let (done, outcome) = oneshot::channel();
    std::thread::Builder::new().name("seawall-upgrade".into()).spawn(move || {
        // Nobody hears it where this process stops meanwhile.
        let _unheard = done.send(hand_over(&gate, &transfer));
    })?;
    Ok(outcome)
}

/// Tells what came of an upgrade, and says whether a successor serves.
fn report_upgrade(
    outcome: Option<UpgradeOutcome>,
    waiting: UpgradeWaiter,
    transfer: &TransferableState,
) -> bool {
    let failed =
        || UpgradeOutcome::Rejected { why: "handing over failed inside Seawall".to_owned() };
    let upgraded = outcome.unwrap_or_else(failed);
    transfer.note(&upgraded);
    systemd::upgraded(&upgraded);
    match &upgraded {
        UpgradeOutcome::Done { pid, took_ms, accept_paused_ms: shut_ms } => print_err(format!(
            "process {pid} serves now ({took_ms} ms; newcomers waited {shut_ms} ms); \
             this one ends with its connections"
        )),
        UpgradeOutcome::Rejected { why } => {
            print_err(format!("the upgrade is refused, this one goes on: {why}"))
        }
    }
    let is_done = matches!(upgraded, UpgradeOutcome::Done { .. });
    let _unheard = waiting.map(|waiting| waiting.send(upgraded));
    is_done
}

/// Stops within the time that SIGTERM gives.
async fn stop(signals: Signals, started: RunningServer) -> ExitStatus {
    systemd::stopping();
    print_err("stopping; requests in flight may end");
    end(signals, started, |running| running.shutdown(Duration::from_millis(DRAIN_MS)), None).await
}

/// Ends when the last connection does, since a successor serves; told to stop, as ever.
async fn leave(signals: Signals, started: RunningServer) -> ExitStatus {
    let gate = started.running.gate();
    end(signals, started, |running| running.drain(Duration::from_millis(LEAVE_MS)), Some(gate))
        .await
}

/// Has the data plane end in one way or the other. The first signal to stop hurries what may be
/// hurried, and the next ends at once.
async fn end(
    mut signals: Signals,
    started: RunningServer,
    how: impl FnOnce(ProxyHandle) -> DrainReport + Send + 'static,
    mut hurried: Option<ListenerGate>,
) -> ExitStatus {
    let RunningServer { control, running, certificates } = started;
    let (done, mut drained) = oneshot::channel();
    // Before anybody is waited for: what ends us may not wait for us.
    control.stopping();
    let began = Instant::now();
    let draining = move || {
        let ended = how(running);
        drop(certificates);
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        control.end(STOP_TOTAL_MS.saturating_sub(took_ms).max(STOP_LEAST_MS));
        // Told twice, nobody waits any more.
        let _unheard = done.send(ended);
    };
    if let Err(error) = std::thread::Builder::new().name("seawall-drain".into()).spawn(draining) {
        return fail(ExitStatus::InternalError, format!("cannot stop in order: {error}"));
    }
    loop {
        tokio::select! {
            ended = &mut drained => match ended {
                Ok(ended) => {
                    print_err(format!("stopped; {} ended, {} cut", ended.completed, ended.aborted));
                    return ExitStatus::Success;
                }
                Err(_) => return fail(ExitStatus::InternalError, "stopping failed"),
            },
            () = signals.stop() => match hurried.take() {
                Some(gate) => {
                    print_err("stopping; requests in flight may end");
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
