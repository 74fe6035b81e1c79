//! Accepting can be paused and resumed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::listener::socket::ListeningSocket;
use crate::shutdown::ShutdownController;

/// What new connections come in through: it can be shut for a moment, and its sockets be given to
/// somebody else. Nobody is refused while it is shut; they wait in the kernel.
#[derive(Debug, Clone)]
pub struct ListenerGate {
    pub(crate) stopper: ShutdownController,
    pub(crate) sockets: Arc<Mutex<Vec<ListeningSocket>>>,
}

impl ListenerGate {
    /// Nobody is let in until [`open`](Self::open).
    pub fn pause(&self) {
        self.stopper.open.send_replace(false);
    }

    /// Whoever comes is let in again.
    pub fn resume(&self) {
        self.stopper.open.send_replace(true);
    }

    /// The sockets; none once the data plane stops.
    #[must_use]
    pub fn sockets(&self) -> Vec<ListeningSocket> {
        self.sockets.lock().clone()
    }

    /// Has those end that only wait, and gives the others this time: for whoever was
    /// [leaving](crate::Running::drain) and is told to stop.
    pub fn expedite(&self, within: Duration) {
        self.stopper.ask(within);
    }
}
