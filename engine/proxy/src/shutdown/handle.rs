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

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainReport {
    /// Requests that were in flight and ended by themselves.
    pub completed: u64,
    /// Requests that were still in flight when the time was up.
    pub aborted: u64,
}

/// The data plane at work. Dropping it stops it at once.
#[derive(Debug)]
pub struct ProxyHandle {
    gate: ListenerGate,
    workers: Vec<JoinHandle<()>>,
    beats: Vec<Heartbeat>,
    edge: Arc<SharedContext>,
}

impl ProxyHandle {
    /// Nothing that works yet.
    pub(crate) fn new(
        stopper: ShutdownController,
        sockets: Vec<ListeningSocket>,
        edge: Arc<SharedContext>,
    ) -> Self {
        let gate = ListenerGate { stopper, sockets: Arc::new(Mutex::new(sockets)) };
        Self { gate, workers: Vec::new(), beats: Vec::new(), edge }
    }

    /// For one more worker to count in.
    pub(crate) fn beats(&mut self) -> Heartbeat {
        let beats = Heartbeat::default();
        self.beats.push(Arc::clone(&beats));
        beats
    }

    /// What each worker has counted: one whose number stands still for seconds is stuck.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }

    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("seawall-edge".to_owned());
        self.workers.push(thread.spawn(work)?);
        Ok(())
    }

    /// What new connections come in through.
    #[must_use]
    pub fn gate(&self) -> ListenerGate {
        self.gate.clone()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> ProxyStatus {
        self.edge.counters.report()
    }

    /// The live counters, for whoever reports them while this is draining.
    #[must_use]
    pub fn live_counters(&self) -> Arc<ProxyMetrics> {
        Arc::clone(&self.edge.counters)
    }

    /// Stops: no more connections, idle ones are closed, requests in flight get `within` to end,
    /// what is left is cut. Waits until all of it is done.
    #[must_use]
    pub fn shutdown(mut self, within: Duration) -> DrainReport {
        self.end(within);
        self.drained()
    }

    /// Stops without hurry, for a successor that serves already: no more connections, each that is
    /// there gets an answer to its next request, which says that it is the last. What is left after
    /// `within` is cut. Waits until all of it is done.
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
        // A socket that is held by nobody refuses, and does not let people wait for nothing.
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
