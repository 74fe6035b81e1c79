//! Pauses and resumes accepting.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::listener::socket::ListeningSocket;
use crate::shutdown::ShutdownController;

/// Control of accepting: it can be paused for a moment, and its sockets can be passed to a child
/// process. While it is paused, connections wait in the kernel and none is rejected.
#[derive(Debug, Clone)]
pub struct ListenerGate {
    pub(crate) stopper: ShutdownController,
    pub(crate) sockets: Arc<Mutex<Vec<ListeningSocket>>>,
}

impl ListenerGate {
    /// Accepts no connections until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.stopper.open.send_replace(false);
    }

    /// Accepts connections again.
    pub fn resume(&self) {
        self.stopper.open.send_replace(true);
    }

    /// Returns the sockets; none once the data plane stops.
    #[must_use]
    pub fn sockets(&self) -> Vec<ListeningSocket> {
        self.sockets.lock().clone()
    }

    /// Closes idle connections and gives the others this time, to end a
    /// [drain](crate::ProxyHandle::drain) earlier.
    pub fn expedite(&self, within: Duration) {
        self.stopper.ask(within);
    }
}
