//! `seawall run`: defend the sites of a configuration until told to stop.
//!
//! Signals are taken before anything else, so that a SIGHUP during start-up reloads later instead
//! of ending us. The policy is loaded before a port is bound: what cannot judge does not listen.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use seawall_control::{
    Bell, CertificateText, CertificateWatch, Certificates, Config, ControlPlane, First, Keeper,
    clock, raise_open_files, random_seed, read_certificates,
};
use seawall_model::Now;
use seawall_proxy::{
    BadHead, ClientHeader, DataPlane, EdgeConfig, EdgeLimits, EdgeSnapshot, Identities,
    IdentityError, OriginSnapshot, PemPair, Running, Shown, Site, TrustedProxies,
};
use seawall_state::{RECORDS_MAX, Ring, StateLimits};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ConfigFile;
use super::files::fit;
use crate::exit::{Exit, fail, tell};
use crate::logger;
use crate::policy::{self, Host};

/// Milliseconds that requests in flight have to end after SIGTERM: DESIGN's 15 s with a second
/// left to stop everything else.
const DRAIN_MS: u64 = 14_000;

/// Defend the sites of a configuration.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    config: ConfigFile,
}

/// What ends or moves a running server.
struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Run {
    pub(crate) fn obey(&self) -> Exit {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return fail(Exit::Ours, format!("cannot wait for signals: {error}")),
        };
        runtime.block_on(async {
            let signals = match Signals::take() {
                Ok(signals) => signals,
                Err(error) => return fail(Exit::Ours, format!("cannot take signals: {error}")),
            };
            let config = match self.config.load() {
                Ok(config) => config,
                Err(exit) => return exit,
            };
            match start(&config) {
                Ok(started) => serve(signals, started).await,
                Err(exit) => exit,
            }
        })
    }
}

/// What runs until it is stopped.
struct Started {
    control: ControlPlane,
    running: Running,
    certificates: Option<CertificateWatch>,
}

/// Loads, binds and serves.
fn start(config: &Config) -> Result<Started, Exit> {
    let now = clock();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut limits = limits(config);
    fit(&mut limits, raise_open_files(), workers).iter().for_each(tell);
    logger::start(config.log_level, &now, limits.engine_log_lines_per_s);
    let first = first(config, &now)?;
    first.warnings.iter().for_each(tell);
    let handle = first.handle.clone();
    let generation = handle.load().generation;
    let records = Arc::new(Ring::new(RECORDS_MAX));
    let (shown, certificates) = certificates(config)?;
    let edge = EdgeConfig {
        listen: config.listen.clone(),
        listen_tls: config.listen_tls.clone(),
        shown,
        workers,
        units: config.units,
        trusted: trusted(&config.trusted_proxies),
        sites: config.sites.iter().map(site).collect(),
        limits,
    };
    let wrong = |error: &dyn std::fmt::Display| fail(Exit::Wrong, error);
    let data = DataPlane::bind(edge, handle, records, now.clone()).map_err(|e| wrong(&e))?;
    for (scheme, address) in data.addresses() {
        tell(format!("listening on {scheme}://{address}"));
    }
    let running = data.start().map_err(|e| wrong(&e))?;
    let (counters, origins) = (running.live_counters(), running.live_origins());
    let edge = Arc::new(move || edge_report(&counters.snapshot(), &origins()));
    let control = ControlPlane::start(config, first, edge, now).map_err(|e| wrong(&e))?;
    tell(format!("ready, generation {generation}"));
    Ok(Started { control, running, certificates })
}

/// What is shown to clients of TLS, and what looks whether it changes.
type ShownAndWatched = (Option<Arc<Shown>>, Option<CertificateWatch>);

fn certificates(config: &Config) -> Result<ShownAndWatched, Exit> {
    let wrong = |why: &dyn std::fmt::Display| fail(Exit::Wrong, why);
    match &config.certificates {
        Certificates::None => Ok((None, None)),
        Certificates::SelfSigned => {
            let hosts = config.sites.iter().flat_map(|site| &site.hosts).map(ToString::to_string);
            let identities = Identities::self_signed(hosts.collect()).map_err(|e| wrong(&e))?;
            tell("the certificate is self-signed: no visitor's program will believe it");
            Ok((Some(Arc::new(Shown::new(identities))), None))
        }
        Certificates::Files(files) => {
            let texts = read_certificates(files).map_err(|e| wrong(&e))?;
            let shown = Arc::new(Shown::new(identities(&texts).map_err(|e| wrong(&e))?));
            let showing = shown.clone();
            let show = move |texts: Vec<CertificateText>| {
                showing.show(identities(&texts).map_err(|error| error.to_string())?);
                Ok(())
            };
            let watch = CertificateWatch::start(files.clone(), &texts, show);
            Ok((Some(shown), Some(watch.map_err(|error| fail(Exit::Ours, error))?)))
        }
    }
}

fn identities(texts: &[CertificateText]) -> Result<Identities, IdentityError> {
    let pair = |of: &CertificateText| PemPair {
        name: of.name.clone(),
        cert: of.cert.clone(),
        key: of.key.clone(),
    };
    Identities::read(&texts.iter().map(pair).collect::<Vec<_>>())
}

/// The data plane's counters and its origins, for the status.
fn edge_report(counters: &EdgeSnapshot, origins: &[OriginSnapshot]) -> Value {
    let refused = BadHead::ALL.iter().zip(counters.heads_refused);
    let refused: Value = refused.map(|(why, count)| (why.word(), count)).collect();
    let named = counters.named().into_iter().map(|(name, count)| (name, Value::from(count)));
    let origins: Value = origins.iter().map(origin).collect();
    named.chain([("heads_refused", refused), ("origins", origins)]).collect()
}

fn origin(of: &OriginSnapshot) -> Value {
    json!({
        "site": of.site,
        "address": of.address.to_string(),
        "state": of.state.word(),
        "since_ms": of.since_ms,
        "in_flight": of.in_flight,
        "sent": of.sent,
        "failed": of.failed,
        "falls": of.falls,
    })
}

fn first(config: &Config, now: &Now) -> Result<First, Exit> {
    let ours = |error: &dyn std::fmt::Display| fail(Exit::Ours, error);
    let loader =
        policy::loader(&config.root, &Host::of(config), now.clone()).map_err(|e| ours(&e))?;
    let seed = random_seed().map_err(|e| ours(&e))?;
    let mut limits = StateLimits::default();
    limits.bans.never.extend(&config.never_ban);
    // A ban on a hop would be one on everybody behind it.
    limits.bans.never.extend(&config.trusted_proxies.nets);
    let keeper = Keeper::new(&config.state_dir, limits, now.clone());
    First::load(loader, seed, keeper, &config.state_dir).map_err(|refusal| {
        let _unwritten = write!(std::io::stderr(), "{}", refusal.rendered);
        refusal.complaints.iter().for_each(tell);
        fail(Exit::Wrong, format!("the policy {} is refused", config.root.display()))
    })
}

fn trusted(of: &seawall_control::TrustedProxies) -> TrustedProxies {
    use seawall_control::ClientHeader as Written;
    let header = of.header.map(|header| match header {
        Written::XForwardedFor => ClientHeader::XForwardedFor,
        Written::Forwarded => ClientHeader::Forwarded,
        Written::XRealIp => ClientHeader::XRealIp,
    });
    TrustedProxies { nets: of.nets.clone(), proxy_protocol: of.proxy_protocol, header }
}

fn site(of: &seawall_control::SiteConfig) -> Site {
    Site {
        name: of.name.clone(),
        hosts: of.hosts.clone(),
        origins: of.origins.iter().map(|origin| origin.to_string().into()).collect(),
        health: of.health.clone(),
    }
}

/// The data plane's limits with what the configuration changes of them. The ranges that `[limits]`
/// was held against fit into every type here.
fn limits(config: &Config) -> EdgeLimits {
    fn set<T: TryFrom<u64>>(to: &mut T, from: Option<u64>) {
        if let Some(value) = from.and_then(|value| T::try_from(value).ok()) {
            *to = value;
        }
    }
    let (mut to, from) = (EdgeLimits::default(), &config.limits);
    set(&mut to.connections_max, from.connections_max);
    set(&mut to.connections_per_client_max, from.connections_per_client_max);
    set(&mut to.connections_per_net_max, from.connections_per_net_max);
    set(&mut to.proxy_header_ms, from.proxy_header_ms);
    set(&mut to.proxy_header_bytes_max, from.proxy_header_bytes_max);
    set(&mut to.head_total_ms, from.head_total_ms);
    set(&mut to.head_bytes_max, from.head_bytes_max);
    set(&mut to.head_fields_max, from.head_fields_max);
    set(&mut to.head_reads_max, from.head_reads_max);
    set(&mut to.tls_handshake_ms, from.tls_handshake_ms);
    set(&mut to.idle_ms, from.idle_ms);
    set(&mut to.connection_requests_max, from.connection_requests_max);
    set(&mut to.connection_age_ms, from.connection_age_ms);
    set(&mut to.body_bytes_per_s_min, from.body_bytes_per_s_min);
    set(&mut to.body_grace_ms, from.body_grace_ms);
    set(&mut to.write_stall_ms, from.write_stall_ms);
    set(&mut to.request_total_ms, from.request_total_ms);
    set(&mut to.tunnel_idle_ms, from.tunnel_idle_ms);
    set(&mut to.origin_connect_ms, from.origin_connect_ms);
    set(&mut to.origin_head_ms, from.origin_head_ms);
    set(&mut to.origin_read_ms, from.origin_read_ms);
    set(&mut to.origin_write_ms, from.origin_write_ms);
    set(&mut to.origin_idle_ms, from.origin_idle_ms);
    set(&mut to.origin_idle_connections_max, from.origin_idle_connections_max);
    set(&mut to.origin_attempts_max, from.origin_attempts_max);
    set(&mut to.origin_inflight_max, from.origin_inflight_max);
    set(&mut to.origin_failures_max, from.origin_failures_max);
    set(&mut to.origin_failures_percent, from.origin_failures_percent);
    set(&mut to.origin_results_min, from.origin_results_min);
    set(&mut to.origin_failures_ms, from.origin_failures_ms);
    set(&mut to.origin_open_ms, from.origin_open_ms);
    set(&mut to.origin_open_ms_max, from.origin_open_ms_max);
    set(&mut to.origin_trials_max, from.origin_trials_max);
    set(&mut to.origin_retry_percent, from.origin_retry_percent);
    set(&mut to.origin_retries_per_s, from.origin_retries_per_s);
    set(&mut to.origin_retries_saved_max, from.origin_retries_saved_max);
    set(&mut to.health_interval_ms, from.health_interval_ms);
    set(&mut to.health_timeout_ms, from.health_timeout_ms);
    set(&mut to.health_fall, from.health_fall);
    set(&mut to.health_rise, from.health_rise);
    set(&mut to.health_answer_bytes_max, from.health_answer_bytes_max);
    set(&mut to.health_checks_max, from.health_checks_max);
    set(&mut to.connections_per_client_per_s_max, from.connections_per_client_per_s_max);
    set(&mut to.origin_receive_bytes, from.origin_receive_bytes);
    set(&mut to.forwards_max, from.forwards_max);
    set(&mut to.forwards_per_client_max, from.forwards_per_client_max);
    set(&mut to.forwards_per_net_max, from.forwards_per_net_max);
    set(&mut to.origin_uploads_max, from.origin_uploads_max);
    set(&mut to.origin_tunnels_max, from.origin_tunnels_max);
    set(&mut to.body_ahead_bytes_max, from.body_ahead_bytes_max);
    to
}

impl Signals {
    fn take() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal to stop, and reloads at each SIGHUP until then.
    async fn stop(&mut self, bell: &Bell) {
        loop {
            tokio::select! {
                _ = self.hang_up.recv() => bell.hang_up(),
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

/// Serves until told to stop, then lets requests in flight end; told again, stops at once.
async fn serve(mut signals: Signals, started: Started) -> Exit {
    let Started { control, running, certificates } = started;
    let bell = control.bell();
    signals.stop(&bell).await;
    tell("stopping; requests in flight may end");
    let (done, drained) = tokio::sync::oneshot::channel();
    let draining = move || {
        let ended = running.drain(Duration::from_millis(DRAIN_MS));
        drop((control, certificates));
        // Told twice, nobody waits any more.
        let _unheard = done.send(ended);
    };
    if let Err(error) = std::thread::Builder::new().name("seawall-drain".into()).spawn(draining) {
        return fail(Exit::Ours, format!("cannot stop in order: {error}"));
    }
    tokio::select! {
        ended = drained => match ended {
            Ok(ended) => tell(format!("stopped; {} ended, {} cut", ended.finished, ended.cut)),
            Err(_) => return fail(Exit::Ours, "stopping failed"),
        },
        () = signals.stop(&bell) => tell("stopped at once"),
    }
    Exit::Fine
}
