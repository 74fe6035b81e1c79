//! Shutdown: requests in flight complete, idle connections are closed, the rest is aborted.
//!
//! Every connection watches the flags, and one count covers those with a request in flight. A
//! request that ends by itself during the shutdown is *completed*; one that is in flight at the
//! deadline is *aborted*.
//!
//! A parent process *drains* while its child accepts: closing an idle connection could meet its
//! client's next request, which the client would see as a reset. So an idle connection stays until
//! its next request, whose response announces the end, or until its idle timeout.

pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod heartbeat;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;

/// State of the shutdown.
#[derive(Debug, Default)]
struct InFlight {
    within_ms: AtomicU64,
    is_cutting: AtomicBool,
    is_stopping: AtomicBool,
    finished: AtomicU64,
    cut: AtomicU64,
}

/// The receiver of the flags, held by a connection or an accept loop.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownSignal {
    /// No connection serves more than one request from here on.
    asked: watch::Receiver<bool>,
    /// Idle connections are to close too.
    closing: watch::Receiver<bool>,
    open: watch::Receiver<bool>,
    tally: Arc<InFlight>,
}

/// Counts a request in flight while it lives.
#[derive(Debug)]
pub(crate) struct InFlightGuard(Arc<InFlight>);

impl ShutdownSignal {
    /// Waits until the data plane is to stop.
    pub(crate) async fn asked(&mut self) {
        // A closed sender counts as a stop.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        // A closed sender counts as a stop.
        self.tally.is_stopping.load(Relaxed) || self.asked.has_changed().is_err()
    }

    /// Waits until idle connections are to close.
    pub(crate) async fn closing(&mut self) {
        let _ = self.closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow() || self.closing.has_changed().is_err()
    }

    /// Returns the flag whether new connections are accepted.
    pub(crate) fn gate(&self) -> watch::Receiver<bool> {
        self.open.clone()
    }

    pub(crate) fn busy(&self) -> InFlightGuard {
        InFlightGuard(Arc::clone(&self.tally))
    }

    /// Returns the time that requests in flight have.
    pub(crate) fn within(&self) -> Duration {
        Duration::from_millis(self.tally.within_ms.load(Relaxed))
    }

    /// From here on, requests in flight count as aborted.
    pub(crate) fn cut(&self) {
        self.tally.is_cutting.store(true, Relaxed);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.0.is_cutting.load(Relaxed) {
            self.0.cut.fetch_add(1, Relaxed);
        } else if self.0.is_stopping.load(Relaxed) {
            self.0.finished.fetch_add(1, Relaxed);
        }
    }
}

/// The sender of the flags. Connections may live while one sender lives.
#[derive(Debug, Clone)]
pub(crate) struct ShutdownController {
    ask: watch::Sender<bool>,
    close: watch::Sender<bool>,
    open: watch::Sender<bool>,
    tally: Arc<InFlight>,
}

impl ShutdownController {
    pub(crate) fn new() -> (Self, ShutdownSignal) {
        let (ask, asked) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let (gate, open) = watch::channel(true);
        let tally = Arc::new(InFlight::default());
        let stop = ShutdownSignal { asked, closing, open, tally: Arc::clone(&tally) };
        (Self { ask, close, open: gate, tally }, stop)
    }

    /// Stops accepting; each open connection serves one more request at most.
    fn leave(&self, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.tally.within_ms.store(within_ms, Relaxed);
        self.tally.is_stopping.store(true, Relaxed);
        self.ask.send_replace(true);
    }

    /// The same, and closes idle connections.
    fn ask(&self, within: Duration) {
        self.leave(within);
        self.close.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_in_time_is_finished_and_who_does_not_is_cut() {
        let (stopper, stop) = ShutdownController::new();
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
        let (stopper, stop) = ShutdownController::new();
        stopper.leave(Duration::from_secs(600));
        assert!(stop.is_asked() && !stop.is_closing());
        stopper.ask(Duration::from_secs(14));
        assert!(stop.is_closing());
        assert_eq!(stop.within(), Duration::from_secs(14));
        let (stopper, stop) = ShutdownController::new();
        drop(stopper);
        assert!(stop.is_asked() && stop.is_closing(), "a sender that is gone asks for all");
    }
}
