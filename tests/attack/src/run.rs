//! One run: quiet, attack, recovery, with the legitimate load beside all three.

use crate::addresses::{Sources, Spread, Who};
use crate::attack::{Attack, Extra};
use crate::connect::Way;
use crate::fds;
use crate::legit::{Plan, Running};
use crate::origin::{Record, Recorder};
use crate::report::{Bounds, NewClientReport, OriginReport, Report, SCHEMA};
use crate::sample::{Phase, Sampler};
use crate::scenario::{Needs, Scenario};
use crate::tally::Tally;
use crate::tls::{Alpn, client};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

/// Timeout of an attack that does not end by itself at its time.
const GRACE: Duration = Duration::from_secs(10);

/// Between two looks at what the origin has recorded of an attack that is over.
const SETTLING: Duration = Duration::from_millis(50);
/// Most such looks.
const SETTLING_LOOKS_MAX: usize = 40;

/// What a run is made of. Everything in it has been held against the caps.
#[derive(Debug)]
pub(crate) struct Run {
    /// What to do; `None` measures only the legitimate load.
    pub(crate) scenario: Option<&'static Scenario>,
    /// Against whom.
    pub(crate) target: crate::guard::Target,
    /// The site.
    pub(crate) host: String,
    /// Whether over TLS.
    pub(crate) tls: bool,
    /// How much.
    pub(crate) bounds: Bounds,
    /// The load beside it.
    pub(crate) legit: Option<Plan>,
    /// The process to look at.
    pub(crate) pid: Option<u32>,
    /// The file or folder whose size is watched.
    pub(crate) watch: Option<PathBuf>,
    /// What only some scenarios need.
    pub(crate) extra: Extra,
}

/// Result of the three phases.
struct Done {
    interrupted: bool,
    attacked: Duration,
    origin: Option<OriginReport>,
    new_client: Option<NewClientReport>,
}

impl Run {
    /// Does it.
    ///
    /// # Errors
    /// It cannot be begun, or the scenario lacks something that it needs.
    pub(crate) fn go(&self) -> Result<Report> {
        let attacking = if self.scenario.is_some() { self.bounds.connections } else { 0 };
        // A visitor may have several connections under way.
        let visiting = self.legit.as_ref().map_or(0, |plan| plan.visitors.saturating_mul(2));
        let open_files = fds::raise(attacking.saturating_add(visiting) as u64)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime")?;
        let phase = Phase::default();
        let sampler = self.pid.map(|pid| Sampler::start(pid, self.watch.clone(), phase.clone()));
        let sampler = sampler.transpose()?;
        let legit = self.legit.clone().map(|plan| Running::start(plan, phase.clone()));
        let legit = legit.transpose()?;
        let tally = Arc::new(Tally::default());
        let done = runtime.block_on(self.phases(&phase, &tally));
        runtime.shutdown_timeout(GRACE);
        let legit = legit.and_then(Running::stop);
        let server = sampler.and_then(Sampler::stop);
        let done = done?;
        Ok(Report {
            schema: SCHEMA,
            scenario: self.scenario.map_or("baseline", |scenario| scenario.name).to_owned(),
            vector: self.scenario.map_or("none", |scenario| scenario.vector).to_owned(),
            target: self.target.address().to_string(),
            tls: self.tls,
            bounds: self.bounds.clone(),
            attacked_ms: u64::try_from(done.attacked.as_millis()).unwrap_or(u64::MAX),
            interrupted: done.interrupted,
            open_files_max: open_files,
            attack: self.scenario.map(|_| tally.report()),
            legit,
            new_client: done.new_client,
            server,
            origin: done.origin,
        })
    }

    async fn phases(&self, phase: &Phase, tally: &Arc<Tally>) -> Result<Done> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut done =
            Done { interrupted: false, attacked: Duration::ZERO, origin: None, new_client: None };
        tokio::select! {
            ended = self.all_three(phase, tally, &mut done) => ended?,
            _ = interrupt.recv() => done.interrupted = true,
            _ = terminate.recv() => done.interrupted = true,
        }
        Ok(done)
    }

    async fn all_three(&self, phase: &Phase, tally: &Arc<Tally>, done: &mut Done) -> Result<()> {
        sleep(Duration::from_secs(self.bounds.quiet_s)).await;
        phase.set(1);
        let mut new_clients = None;
        if let Some(scenario) = self.scenario {
            let before = recorded(self.extra.recorder).await?;
            let began = Instant::now();
            self.attack(scenario, tally).await?;
            let left = Instant::now();
            done.attacked = left.duration_since(began);
            // Until now the origin has seen the attack and its visitors.
            let after = self.recorded_of_all().await?;
            let plan = self.legit.clone();
            new_clients = plan.map(|plan| tokio::spawn(Running::new_clients(plan, left)));
            done.origin = before.zip(after).map(|(before, after)| difference(&before, &after));
        }
        phase.set(2);
        sleep(Duration::from_secs(self.bounds.recovery_s)).await;
        if let Some(new_clients) = new_clients {
            done.new_client = Some(new_clients.await??);
        }
        Ok(())
    }

    async fn attack(&self, scenario: &Scenario, tally: &Arc<Tally>) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(self.bounds.attack_s);
        let tls = self.tls || scenario.needs == Needs::Tls;
        let alpn = if scenario.needs == Needs::H2 { Alpn::H2 } else { Alpn::H1 };
        let tls = tls.then(|| client(alpn, false)).transpose()?;
        let attack = Arc::new(Attack {
            way: Way { target: self.target, host: self.host.clone(), tls, receive_buffer: None },
            sources: self.sources(scenario.spread),
            connections: self.bounds.connections,
            rate: self.bounds.rate,
            until,
            tally: tally.clone(),
            extra: self.extra.clone(),
        });
        tokio::select! {
            ended = (scenario.run)(attack) => ended,
            () = sleep_until(until + GRACE) => {
                tally.event("did not end by itself in time");
                Ok(())
            }
        }
    }

    /// Returns the record once the last requests have arrived at the origin: when two reads agree.
    /// With visitors there is no such moment.
    async fn recorded_of_all(&self) -> Result<Option<Record>> {
        let mut record = recorded(self.extra.recorder).await?;
        if record.is_none() || self.legit.is_some() {
            return Ok(record);
        }
        for _ in 0..SETTLING_LOOKS_MAX {
            sleep(SETTLING).await;
            let later = recorded(self.extra.recorder).await?;
            let requests = |of: &Option<Record>| of.as_ref().map(|record| record.requests);
            let is_settled = requests(&later) == requests(&record);
            record = later;
            if is_settled {
                break;
            }
        }
        Ok(record)
    }

    fn sources(&self, spread: Spread) -> Sources {
        Sources::new(Who::Attacker, self.bounds.addresses, spread)
    }
}

async fn recorded(recorder: Option<Recorder>) -> Result<Option<Record>> {
    match recorder {
        Some(recorder) => recorder.record().await.map(Some),
        None => Ok(None),
    }
}

fn difference(before: &Record, after: &Record) -> OriginReport {
    OriginReport {
        connections: after.connections.saturating_sub(before.connections),
        requests: after.requests.saturating_sub(before.requests),
        visits: after.visits.saturating_sub(before.visits),
        requests_at_once_max: after.at_once_max,
        malformed: after.malformed.saturating_sub(before.malformed),
        named_once: after.named.once.saturating_sub(before.named.once),
        named_otherwise: after.named.otherwise.saturating_sub(before.named.otherwise),
        clients: after.named.clients.len() as u64,
    }
}
