//! Signals, and their effect on a running server.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::print_err;

/// The handled signals.
pub(super) struct Signals {
    hang_up: Signal,
    terminate: Signal,
    interrupt: Signal,
    upgrade: Signal,
}

/// What a signal requests.
pub(super) enum SignalAction {
    Stop,
    Reload,
    Upgrade,
}

impl Signals {
    pub(super) fn take() -> std::io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    pub(super) async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.hang_up.recv() => SignalAction::Reload,
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.upgrade.recv() => SignalAction::Upgrade,
        }
    }

    /// Waits for a signal to stop, and leaves the others for later.
    pub(super) async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for a signal to stop; a server that stops ignores the others.
    pub(super) async fn stop(&mut self) {
        while !matches!(self.next().await, SignalAction::Stop) {
            print_err("stopping: this signal is ignored");
        }
    }
}
