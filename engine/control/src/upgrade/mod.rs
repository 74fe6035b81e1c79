//! The upgrade: the protocol with which a child process replaces its parent.
//!
//! The parent starts the child and keeps one end of a channel that no other process has. It sends
//! the listening sockets at once. The child reports *ready* when it has loaded everything that can
//! fail. Then the parent pauses accepting and sends the state, and the child reports *serving*:
//! from there on the child is the server. Before that, an error or a timeout ends the child and
//! changes nothing in the parent.

mod channel;
mod child;
mod parent;
mod state;

use std::io;
use std::sync::{Mutex, PoisonError};

pub use channel::HandedSocket;
pub use child::UpgradeChild;
pub use parent::UpgradeParent;
use seawall_admin_api::UpgradeOutcome;
use seawall_state::SNAPSHOT_BYTES_MAX;
pub use state::{FrozenState, TransferableState};

use crate::storage::write_gate::Unfrozen;

/// Version of the protocol; another one is rejected.
const VERSION: u8 = 1;
/// Milliseconds that a child has for loading. Another program must compile the rules of a policy
/// again, which takes a minute and a half for the largest of them.
pub const HAND_OVER_LOAD_MS: u64 = 300_000;
/// Milliseconds for which accepting is paused while the state is transferred; after that the parent
/// continues. New connections wait in the kernel meanwhile.
pub const HAND_OVER_SHUT_MS: u64 = 5_000;
/// Milliseconds that a snapshot or a ban in progress has to end before an upgrade is aborted. A
/// reload is not waited for.
pub const HAND_OVER_REST_MS: u64 = 30_000;
/// Maximum bytes of any message but the state: 128 addresses.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Maximum bytes of the state, with its timestamp.
const STATE_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX + 4_096;

/// Kinds of messages.
const SOCKETS: u8 = 1;
const READY: u8 = 2;
const STATE: u8 = 3;
const SERVING: u8 = 4;
const DONE: u8 = 5;

/// Why an upgrade failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The other process ended, or the channel broke.
    #[error("the other process ended")]
    Gone,
    /// The timeout expired.
    #[error("the other process took too long")]
    Late,
    /// The other process uses another version of the protocol.
    #[error("the other process uses another version of the upgrade protocol")]
    Version,
    /// The message is invalid at this point.
    #[error("invalid message from the other process during the upgrade")]
    Strange,
    /// Standard input is not a channel.
    #[error(
        "`--upgrade-child` is for a process that a running server starts: send SIGUSR2 to the server"
    )]
    NoChannel,
    /// Changes of the state did not end in time.
    #[error("the state is still being written to the disk; try again")]
    Busy,
    /// The state cannot be sent or used.
    #[error("the state cannot be transferred: {0}")]
    State(String),
}

impl From<io::Error> for UpgradeError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            io::ErrorKind::InvalidData => Self::Strange,
            _ => Self::Gone,
        }
    }
}

impl From<Unfrozen> for UpgradeError {
    fn from(why: Unfrozen) -> Self {
        match why {
            Unfrozen::Gone => Self::Gone,
            Unfrozen::Busy => Self::Busy,
        }
    }
}

/// Result of the last upgrade, for the status.
#[derive(Debug, Default)]
pub(crate) struct LastUpgrade(Mutex<Option<UpgradeOutcome>>);

impl LastUpgrade {
    pub(crate) fn read(&self) -> Option<UpgradeOutcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::channel::UpgradeChannel;
    use super::*;

    fn pair() -> (UpgradeParent, UpgradeChild) {
        let (here, there) = UnixStream::pair().unwrap();
        (UpgradeParent::new(here), UpgradeChild(UpgradeChannel(there)))
    }

    #[test]
    fn each_hears_what_the_other_says_in_order() {
        let (mut giver, mut taker) = pair();
        let taking = thread::spawn(move || {
            let state = taker.receive_state().unwrap();
            taker.notify_serving().unwrap();
            taker.finish();
            state
        });
        giver.0.receive(READY, 0, HAND_OVER_LOAD_MS).unwrap();
        giver.send_sockets(b"all that was counted").unwrap();
        giver.wait_done();
        assert_eq!(taking.join().unwrap(), b"all that was counted");
    }

    #[test]
    fn who_ends_who_is_late_and_who_talks_nonsense_is_told_apart() {
        let (mut giver, taker) = pair();
        assert!(matches!(giver.0.receive(READY, 0, 10), Err(UpgradeError::Late)));
        drop(taker);
        assert!(matches!(giver.0.receive(READY, 0, 10_000), Err(UpgradeError::Gone)));
        assert!(matches!(giver.send_sockets(b"x"), Err(UpgradeError::Gone)));
        let (mut giver, mut taker) = pair();
        taker.0.send(STATE, b"").unwrap();
        assert!(matches!(giver.0.receive(READY, 0, 10_000), Err(UpgradeError::Strange)));
        taker.0.send(READY, b"too much").unwrap();
        assert!(matches!(giver.0.receive(READY, 0, 10_000), Err(UpgradeError::Strange)));
    }
}
