//! The running data plane: how it is drained and stopped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use seawall_admin_api::{Live, ProxyStatus};

use crate::ProxyMetrics;
use crate::context::SharedContext;
use crate::listener::socket::ListeningSocket;
use crate::shutdown::ShutdownController;
use crate::shutdown::gate::ListenerGate;
use crate::shutdown::heartbeat::Heartbeat;

/// Result of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainReport {
    /// Requests in flight that completed.
    pub completed: u64,
    /// Requests that were still in flight at the deadline.
    pub aborted: u64,
}

/// The running data plane. Dropping it stops it at once.
#[derive(Debug)]
pub struct ProxyHandle {
    gate: ListenerGate,
    workers: Vec<JoinHandle<()>>,
    beats: Vec<Heartbeat>,
    edge: Arc<SharedContext>,
}

impl ProxyHandle {
    /// Returns a handle without workers.
    pub(crate) fn new(
        stopper: ShutdownController,
        sockets: Vec<ListeningSocket>,
        edge: Arc<SharedContext>,
    ) -> Self {
        let gate = ListenerGate { stopper, sockets: Arc::new(Mutex::new(sockets)) };
        Self { gate, workers: Vec::new(), beats: Vec::new(), edge }
    }

    /// Returns the heartbeat for one more worker.
    pub(crate) fn beats(&mut self) -> Heartbeat {
        let beats = Heartbeat::default();
        self.beats.push(Arc::clone(&beats));
        beats
    }

    /// Returns the count of each worker: a worker whose count does not change for seconds hangs.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }

    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("seawall-edge".to_owned());
        self.workers.push(thread.spawn(work)?);
        Ok(())
    }

    /// Returns the control of accepting.
    #[must_use]
    pub fn gate(&self) -> ListenerGate {
        self.gate.clone()
    }

    /// Returns the counters at this moment.
    #[must_use]
    pub fn counters(&self) -> ProxyStatus {
        self.edge.counters.report()
    }

    /// Returns the live counters, which can be reported during a drain.
    #[must_use]
    pub fn live_counters(&self) -> Arc<ProxyMetrics> {
        Arc::clone(&self.edge.counters)
    }

    /// Shuts down: no new connections, idle ones are closed, requests in flight get `within` to
    /// complete, the rest is aborted. Waits for the end.
    #[must_use]
    pub fn shutdown(mut self, within: Duration) -> DrainReport {
        self.end(within);
        self.drained()
    }

    /// Drains, for a child process that accepts already: no new connections, and each open
    /// connection serves one more request, whose response announces the end. After `within` the
    /// rest is aborted. Waits for the end.
    #[must_use]
    pub fn drain(mut self, within: Duration) -> DrainReport {
        self.gate.stopper.leave(within);
        self.wait();
        self.drained()
    }

    fn drained(&self) -> DrainReport {
        let tally = &self.gate.stopper.tally;
        DrainReport { completed: tally.finished.load(Relaxed), aborted: tally.cut.load(Relaxed) }
    }

    fn end(&mut self, within: Duration) {
        self.gate.stopper.ask(within);
        self.wait();
    }

    fn wait(&mut self) {
        // A socket without a holder rejects connections; otherwise they would wait in vain.
        self.gate.sockets.lock().clear();
        for worker in self.workers.drain(..) {
            // A worker that panicked has nothing in flight any more.
            let _ = worker.join();
        }
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}
