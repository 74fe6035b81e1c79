//! A current attack: its target, size and end; and its two forms.
//!
//! Almost every scenario is either *held* (so many connections, each active for as long as the
//! server permits) or *at a rate* (so many starts per second, whatever the result of earlier ones).
//! So a scenario is one function over one connection.

use crate::addresses::Sources;
use crate::connect::{Way, open};
use crate::origin::Recorder;
use crate::tally::Tally;
use crate::wire::Wire;
use anyhow::Result;
use parking_lot::Mutex;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Permits starts, at most so many per second. Unused ones are not saved, so that a thousand
/// connections that end together do not start again together.
#[derive(Debug)]
struct Pace {
    next: Mutex<Instant>,
    each: Duration,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { next: Mutex::new(Instant::now()), each: Duration::from_secs(1) / rate.max(1) }
    }

    /// Returns when the next may begin, which is thereby taken.
    fn take(&self, now: Instant) -> Instant {
        let mut next = self.next.lock();
        let at = (*next).max(now);
        *next = at + self.each;
        at
    }
}

/// What only some scenarios need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extra {
    /// A path that the server denies, for scenarios that need one.
    pub(crate) path: Option<String>,
    /// Texts that no response may contain.
    pub(crate) secrets: Vec<String>,
    /// A file to write again and again.
    pub(crate) rewrite: Option<PathBuf>,
    /// The recording origin behind the server.
    pub(crate) recorder: Option<Recorder>,
    /// The file of the head to send.
    pub(crate) request: Option<PathBuf>,
}

/// One attack.
#[derive(Debug)]
pub(crate) struct Attack {
    /// How to connect; TLS, if asked for, offers what the scenario speaks.
    pub(crate) way: Way,
    /// From which addresses.
    pub(crate) sources: Sources,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Beginnings per second.
    pub(crate) rate: u32,
    /// When it is over.
    pub(crate) until: Instant,
    /// What it noted.
    pub(crate) tally: Arc<Tally>,
    /// The rest.
    pub(crate) extra: Extra,
}

impl Attack {
    /// Returns the site attacked.
    pub(crate) fn host(&self) -> &str {
        &self.way.host
    }

    /// Returns the path attacked: the one asked for, else the scenario's own.
    pub(crate) fn path_or<'p>(&'p self, own: &'p str) -> &'p str {
        self.extra.path.as_deref().unwrap_or(own)
    }

    /// Returns where the n-th connection comes from.
    pub(crate) fn source(&self, n: usize) -> IpAddr {
        self.sources.of(n, self.way.target.address().ip())
    }

    /// Returns the n-th connection, counted. `None`: it could not be made, which is counted too.
    pub(crate) async fn open(&self, n: usize) -> Option<Wire> {
        self.open_by(&self.way, n).await
    }

    /// Returns the n-th connection, made in another way.
    pub(crate) async fn open_by(&self, way: &Way, n: usize) -> Option<Wire> {
        match open(way, self.source(n)).await {
            Ok(io) => Some(Wire::new(io, self.tally.clone())),
            Err(how) => {
                self.tally.unopened(how);
                None
            }
        }
    }

    /// Returns whether there is time left.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }
}

/// Keeps `connections` slots busy until the end: what ends begins again, all of them together at
/// most `rate` times a second.
pub(crate) async fn hold<F, Fut>(attack: Arc<Attack>, one: F) -> Result<()>
where
    F: Fn(Arc<Attack>, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let pace = Arc::new(Pace::new(attack.rate));
    let mut slots = JoinSet::new();
    for n in 0..attack.connections {
        let (attack, one, pace) = (attack.clone(), one.clone(), pace.clone());
        slots.spawn(async move {
            let until = attack.until;
            let slot = async {
                loop {
                    sleep_until(pace.take(Instant::now())).await;
                    one(attack.clone(), n).await;
                }
            };
            let _over: Result<(), _> = timeout_at(until, slot).await;
        });
    }
    while slots.join_next().await.is_some() {}
    Ok(())
}

/// Starts `rate` times per second, whatever the result of earlier starts. When `connections` are
/// open already, a start is skipped and counted.
pub(crate) async fn at_rate<F, Fut>(attack: Arc<Attack>, one: F) -> Result<()>
where
    F: Fn(Arc<Attack>, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let places = Arc::new(Semaphore::new(attack.connections));
    let mut running = JoinSet::new();
    let mut n = 0usize;
    loop {
        let at = due(start, n as u64, attack.rate);
        if at >= attack.until {
            break;
        }
        sleep_until(at).await;
        while running.try_join_next().is_some() {}
        if let Ok(place) = places.clone().try_acquire_owned() {
            let (attack, one) = (attack.clone(), one.clone());
            running.spawn(async move {
                let until = attack.until;
                let _over: Result<(), _> = timeout_at(until, one(attack, n)).await;
                drop(place);
            });
        } else {
            attack.tally.event("left out: all connections are busy");
        }
        n = n.saturating_add(1);
    }
    sleep_until(attack.until).await;
    while running.join_next().await.is_some() {}
    Ok(())
}

/// Returns when the n-th of `rate` per second is due.
pub(crate) fn due(start: Instant, n: u64, rate: u32) -> Instant {
    let rate = u64::from(rate.max(1));
    let whole = Duration::from_secs(n / rate);
    let part = Duration::from_nanos((n % rate).saturating_mul(1_000_000_000) / rate);
    start + whole + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_due_evenly_and_do_not_drift() {
        let start = Instant::now();
        let at = |n, rate| due(start, n, rate).duration_since(start);
        assert_eq!(at(0, 300), Duration::ZERO);
        assert_eq!(at(1, 300), Duration::from_nanos(3_333_333));
        assert_eq!(at(300, 300), Duration::from_secs(1));
        assert_eq!(at(3_000_000_150, 300), Duration::from_millis(10_000_000_500));
    }

    #[test]
    fn what_ends_together_does_not_begin_again_together() {
        let pace = Pace::new(100);
        let now = Instant::now() + Duration::from_secs(10);
        let took: Vec<_> = (0..3).map(|_| pace.take(now).duration_since(now)).collect();
        let ms = Duration::from_millis;
        assert_eq!(took, [ms(0), ms(10), ms(20)]);
        assert_eq!(pace.take(now + ms(500)), now + ms(500));
    }
}
