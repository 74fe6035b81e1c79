//! Stopping: requests in flight end, idle connections are closed, what is left is cut.
//!
//! Flags that every connection watches, and one count of those that are busy with a request. A
//! busy connection that ends by itself while we stop is *finished*; one that is still busy when the
//! time is up is *cut*.
//!
//! Where a successor serves already, nobody is in a hurry: closing an idle connection could meet
//! its client's next request on the way, which the client would see as a reset. So then we *leave*:
//! an idle connection stays until its next request, whose answer says that it is the last, or until
//! it has been silent for as long as any may be.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::context::Edge;
use crate::{EdgeCounters, EdgeSnapshot};

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
    /// No connection serves more than one request from here on.
    asked: watch::Receiver<bool>,
    /// And those that wait for one end.
    closing: watch::Receiver<bool>,
    open: watch::Receiver<bool>,
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

    /// Waits until connections that wait for a request are to end.
    pub(crate) async fn closing(&mut self) {
        let _ = self.closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow() || self.closing.has_changed().is_err()
    }

    /// Whether new connections are taken; whoever is to hear of a change waits for it.
    pub(crate) fn door(&self) -> watch::Receiver<bool> {
        self.open.clone()
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

/// The other end of the flags. While one of them lives, connections may.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    ask: watch::Sender<bool>,
    close: watch::Sender<bool>,
    open: watch::Sender<bool>,
    tally: Arc<Tally>,
}

impl Stopper {
    pub(crate) fn new() -> (Self, Stop) {
        let (ask, asked) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let (door, open) = watch::channel(true);
        let tally = Arc::new(Tally::default());
        let stop = Stop { asked, closing, open, tally: Arc::clone(&tally) };
        (Self { ask, close, open: door, tally }, stop)
    }

    /// No more connections, and each that is there serves one more request at most.
    fn leave(&self, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.tally.within_ms.store(within_ms, Relaxed);
        self.tally.is_stopping.store(true, Relaxed);
        self.ask.send_replace(true);
    }

    /// The same, and those that wait for a request end.
    fn ask(&self, within: Duration) {
        self.leave(within);
        self.close.send_replace(true);
    }
}

/// A listening socket, and the address that it was configured as: its port may have been left to
/// the kernel.
#[derive(Debug, Clone)]
pub struct Listening {
    /// As configured.
    pub address: SocketAddr,
    /// The socket.
    pub socket: Arc<TcpListener>,
}

/// What new connections come in through: it can be shut for a moment, and its sockets be given to
/// somebody else. Nobody is refused while it is shut; they wait in the kernel.
#[derive(Debug, Clone)]
pub struct Door {
    stopper: Stopper,
    sockets: Arc<Mutex<Vec<Listening>>>,
}

impl Door {
    /// Nobody is let in until [`open`](Self::open).
    pub fn shut(&self) {
        self.stopper.open.send_replace(false);
    }

    /// Whoever comes is let in again.
    pub fn open(&self) {
        self.stopper.open.send_replace(true);
    }

    /// The sockets; none once the data plane stops.
    #[must_use]
    pub fn sockets(&self) -> Vec<Listening> {
        self.sockets.lock().clone()
    }

    /// Has those end that only wait, and gives the others this time: for whoever was
    /// [leaving](Running::leave) and is told to stop.
    pub fn hurry(&self, within: Duration) {
        self.stopper.ask(within);
    }
}

/// Milliseconds between two beats of a worker.
pub(crate) const BEAT_MS: u64 = 250;
/// What one worker counts while it makes progress.
pub(crate) type Beats = Arc<AtomicU64>;

/// The data plane at work. Dropping it stops it at once.
#[derive(Debug)]
pub struct Running {
    door: Door,
    workers: Vec<JoinHandle<()>>,
    beats: Vec<Beats>,
    edge: Arc<Edge>,
}

impl Running {
    /// Nothing that works yet.
    pub(crate) fn new(stopper: Stopper, sockets: Vec<Listening>, edge: Arc<Edge>) -> Self {
        let door = Door { stopper, sockets: Arc::new(Mutex::new(sockets)) };
        Self { door, workers: Vec::new(), beats: Vec::new(), edge }
    }

    /// For one more worker to count in.
    pub(crate) fn beats(&mut self) -> Beats {
        let beats = Beats::default();
        self.beats.push(Arc::clone(&beats));
        beats
    }

    /// What each worker has counted: one whose number stands still for seconds is stuck.
    #[must_use]
    pub fn pulse(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }

    pub(crate) fn spawn(&mut self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("seawall-edge".to_owned());
        self.workers.push(thread.spawn(work)?);
        Ok(())
    }

    /// What new connections come in through.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> EdgeSnapshot {
        self.edge.counters.snapshot()
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
        self.drained()
    }

    /// Stops without hurry, for a successor that serves already: no more connections, each that is
    /// there gets an answer to its next request, which says that it is the last. What is left after
    /// `within` is cut. Waits until all of it is done.
    #[must_use]
    pub fn leave(mut self, within: Duration) -> Drained {
        self.door.stopper.leave(within);
        self.wait();
        self.drained()
    }

    fn drained(&self) -> Drained {
        let tally = &self.door.stopper.tally;
        Drained { finished: tally.finished.load(Relaxed), cut: tally.cut.load(Relaxed) }
    }

    fn end(&mut self, within: Duration) {
        self.door.stopper.ask(within);
        self.wait();
    }

    fn wait(&mut self) {
        // A socket that is held by nobody refuses, and does not let people wait for nothing.
        self.door.sockets.lock().clear();
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

    #[test]
    fn who_leaves_closes_nobody_until_it_is_told_to_hurry() {
        let (stopper, stop) = Stopper::new();
        stopper.leave(Duration::from_secs(600));
        assert!(stop.is_asked() && !stop.is_closing());
        stopper.ask(Duration::from_secs(14));
        assert!(stop.is_closing());
        assert_eq!(stop.within(), Duration::from_secs(14));
        let (stopper, stop) = Stopper::new();
        drop(stopper);
        assert!(stop.is_asked() && stop.is_closing(), "a sender that is gone asks for all");
    }
}
