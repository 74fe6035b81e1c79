//! The legitimate load. It is an open loop, so that a stall of the server shows.
//!
//! Request n is due at `n / rate` whatever the result of earlier ones, and its latency counts from
//! the time when it was due. A visitor with a busy connection opens another, as browsers do. The
//! load has a thread of its own, because an attack that delays its own visitors would blame the
//! server; `late_us` shows the delay of this program.
//!
//! A request that times out counts with the time it waited. One that failed at once counts as an
//! error and not as a fast response.

mod new_client;
mod stats;
mod visitor;

pub(crate) use visitor::Kind;

use crate::addresses::{Sources, Spread, Who};
use crate::attack::due;
use crate::caps::{LEGIT_INFLIGHT_MAX, LEGIT_TIMEOUT_S};
use crate::guard::Target;
use crate::report::LegitReport;
use crate::sample::Phase;
use anyhow::{Context as _, Result};
use stats::Stats;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use visitor::{Outcome, Visitor};

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// In the clear, for the kinds without TLS.
    pub(crate) target: Target,
    /// With TLS, for the others.
    pub(crate) target_tls: Option<Target>,
    /// The site.
    pub(crate) host: String,
    /// What is asked for.
    pub(crate) path: String,
    /// Requests per second.
    pub(crate) rate: u32,
    /// How many different visitors.
    pub(crate) visitors: usize,
    /// What they speak, in turn.
    pub(crate) kinds: Vec<Kind>,
}

impl Plan {
    fn visitors(&self) -> Result<Vec<Arc<Visitor>>> {
        let sources = Sources::new(Who::Visitor, self.visitors, Spread::Wide);
        let made = (0..self.visitors).map(|n| {
            let kind = *self.kinds.get(n % self.kinds.len()).context("no kind of visitor")?;
            let target = if kind.tls() { self.target_tls } else { Some(self.target) };
            let target = target.with_context(|| {
                format!("visitors of kind {} need --legit-tls ADDRESS:PORT", kind.name())
            })?;
            let source = sources.of(n, target.address().ip());
            Ok(Arc::new(Visitor::new(kind, target, source, self)?))
        });
        made.collect()
    }
}

/// The load, while it runs.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Arc<Stats>>,
    plan: Plan,
}

impl Running {
    /// Starts it. `phase` says which part of the run a request is due in.
    ///
    /// # Errors
    /// A kind of visitor has no target, or there can be no thread.
    pub(crate) fn start(plan: Plan, phase: Phase) -> Result<Self> {
        let visitors = plan.visitors()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let stats = Arc::new(Stats::new(phase)?);
        let rate = plan.rate;
        let thread = std::thread::Builder::new().name("legit".to_owned()).spawn(move || {
            runtime.block_on(drive(visitors, rate, stats.clone(), stopped));
            stats
        })?;
        Ok(Self { stop, thread, plan })
    }

    /// Ends it, once every request under way has been answered or given up.
    pub(crate) fn stop(self) -> Option<LegitReport> {
        drop(self.stop);
        let stats = self.thread.join().ok()?;
        Some(stats.report(&self.plan))
    }
}

async fn drive(
    visitors: Vec<Arc<Visitor>>,
    rate: u32,
    stats: Arc<Stats>,
    mut stopped: oneshot::Receiver<()>,
) {
    let start = Instant::now();
    let places = Arc::new(Semaphore::new(LEGIT_INFLIGHT_MAX));
    let mut running = JoinSet::new();
    let mut n = 0usize;
    loop {
        let at = due(start, n as u64, rate);
        tokio::select! {
            _ = &mut stopped => break,
            () = sleep_until(at) => {}
        }
        while running.try_join_next().is_some() {}
        let Some(visitor) = visitors.get(n % visitors.len().max(1)) else { break };
        let slot = stats.begins();
        match places.clone().try_acquire_owned() {
            Ok(place) => {
                let (visitor, stats) = (visitor.clone(), stats.clone());
                running.spawn(async move {
                    stats.sent(slot, at.elapsed());
                    let outcome = within(&visitor, at).await;
                    stats.ends(slot, outcome, at.elapsed());
                    drop(place);
                });
            }
            Err(_) => stats.ends(slot, Outcome::failed("not sent"), at.elapsed()),
        }
        n = n.saturating_add(1);
    }
    while running.join_next().await.is_some() {}
}

async fn within(visitor: &Visitor, at: Instant) -> Outcome {
    let end = at + Duration::from_secs(LEGIT_TIMEOUT_S);
    timeout_at(end, visitor.ask()).await.unwrap_or_else(|_| Outcome::given_up())
}

#[cfg(test)]
mod tests;
