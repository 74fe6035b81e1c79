//! Stopping: requests in flight end, idle connections are closed, what is left is cut.
//!
//! One flag that every connection watches, and one count of those that are busy with a request. A
//! busy connection that ends by itself while we stop is *finished*; one that is still busy when the
//! time is up is *cut*.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use crate::edge::Edge;
use crate::sites::Route;
use crate::{EdgeCounters, EdgeSnapshot, OriginSnapshot};

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Requests that were in flight and ended by themselves.
    pub finished: u64,
    /// Requests that were still in flight when the time was up.
    pub cut: u64,
}

/// What the stop knows.
#[derive(Debug, Default)]
struct Tally {
    within_ms: AtomicU64,
    is_cutting: AtomicBool,
    is_stopping: AtomicBool,
    finished: AtomicU64,
    cut: AtomicU64,
}

/// The end of the flag that a connection, or an accept loop, holds.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    asked: watch::Receiver<bool>,
    tally: Arc<Tally>,
}

/// A connection that is busy with a request, while this lives.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Tally>);

impl Stop {
    /// Waits until the data plane is asked to stop.
    pub(crate) async fn asked(&mut self) {
        // A sender that is gone asks too.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        // A sender that is gone asks too.
        self.tally.is_stopping.load(Relaxed) || self.asked.has_changed().is_err()
    }

    /// The flag in pingora's form.
    pub(crate) const fn watch(&self) -> &watch::Receiver<bool> {
        &self.asked
    }

    pub(crate) fn busy(&self) -> Busy {
        Busy(Arc::clone(&self.tally))
    }

    /// How long those in flight may take.
    pub(crate) fn within(&self) -> Duration {
        Duration::from_millis(self.tally.within_ms.load(Relaxed))
    }

    /// From here on, who is still busy is cut.
    pub(crate) fn cut(&self) {
        self.tally.is_cutting.store(true, Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.is_cutting.load(Relaxed) {
            self.0.cut.fetch_add(1, Relaxed);
        } else if self.0.is_stopping.load(Relaxed) {
            self.0.finished.fetch_add(1, Relaxed);
        }
    }
}

/// The other end of the flag.
#[derive(Debug)]
pub(crate) struct Stopper {
    ask: watch::Sender<bool>,
    tally: Arc<Tally>,
}

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (ask, asked) = watch::channel(false);
        let tally = Arc::new(Tally::default());
        (Self { ask, tally: Arc::clone(&tally) }, Stop { asked, tally })
    }

    fn ask(&self, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.tally.within_ms.store(within_ms, Relaxed);
        self.tally.is_stopping.store(true, Relaxed);
        self.ask.send_replace(true);
    }
}

/// The data plane at work. Dropping it stops it at once.
#[derive(Debug)]
pub struct Running {
    stopper: Stopper,
    workers: Vec<JoinHandle<()>>,
    edge: Arc<Edge>,
}

impl Running {
    pub(crate) const fn new(
        stopper: Stopper,
        workers: Vec<JoinHandle<()>>,
        edge: Arc<Edge>,
    ) -> Self {
        Self { stopper, workers, edge }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> EdgeSnapshot {
        self.edge.counters.snapshot()
    }

    /// What says of each origin how it is, for whoever reports that while this is draining.
    pub fn live_origins(&self) -> impl Fn() -> Vec<OriginSnapshot> + Send + Sync + 'static {
        let edge = Arc::clone(&self.edge);
        move || {
            let now = (edge.now)();
            let of = |route: &Arc<Route>| route.origins.snapshot(&route.name, now);
            edge.sites.all().iter().flat_map(of).collect()
        }
    }

    /// The live counters, for whoever reports them while this is draining.
    #[must_use]
    pub fn live_counters(&self) -> Arc<EdgeCounters> {
        Arc::clone(&self.edge.counters)
    }

    /// Stops: no more connections, idle ones are closed, requests in flight get `within` to end,
    /// what is left is cut. Waits until all of it is done.
    #[must_use]
    pub fn drain(mut self, within: Duration) -> Drained {
        self.end(within);
        let tally = &self.stopper.tally;
        Drained { finished: tally.finished.load(Relaxed), cut: tally.cut.load(Relaxed) }
    }

    fn end(&mut self, within: Duration) {
        self.stopper.ask(within);
        for worker in self.workers.drain(..) {
            // A worker that panicked has nothing in flight any more.
            let _ = worker.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_in_time_is_finished_and_who_does_not_is_cut() {
        let (stopper, stop) = Stopper::new();
        drop(stop.busy());
        let (in_time, too_late) = (stop.busy(), stop.busy());
        stopper.ask(Duration::from_secs(1));
        assert!(stop.is_asked());
        assert_eq!(stop.within(), Duration::from_secs(1));
        drop(in_time);
        stop.cut();
        drop(too_late);
        let tally = &stopper.tally;
        assert_eq!((tally.finished.load(Relaxed), tally.cut.load(Relaxed)), (1, 1));
    }
}
