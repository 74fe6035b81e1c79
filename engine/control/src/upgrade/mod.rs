//! Handing over to a successor: what two processes say to each other while one takes the place of
//! the other.
//!
//! The older one starts the newer and keeps one end of a channel that nobody else has. Over it go
//! the listening sockets, at once; *ready*, when the newer one has loaded all that can be wrong; the
//! state, while nobody is let in; and *serving*. From there on the newer one is the server. Until
//! then whatever goes wrong there, or takes too long, ends it and changes nothing here.

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

/// The form of all this; another one's is refused.
const VERSION: u8 = 1;
/// Milliseconds that a successor has for loading. A policy whose rules must be compiled again, since
/// the program is another one, takes a minute and a half for the largest of them.
pub const HAND_OVER_LOAD_MS: u64 = 300_000;
/// Milliseconds for which nobody is let in while the state changes hands; past it the older process
/// goes on. New connections wait in the kernel meanwhile.
pub const HAND_OVER_SHUT_MS: u64 = 5_000;
/// Milliseconds that a snapshot or a ban that is being written has to end before a hand-over is given
/// up. A reload is not waited for at all.
pub const HAND_OVER_REST_MS: u64 = 30_000;
/// Bytes of any message but the state: 128 addresses.
const MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Bytes of the state, with the stamp of its moment.
const STATE_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX + 4_096;

/// Kinds of messages.
const SOCKETS: u8 = 1;
const READY: u8 = 2;
const STATE: u8 = 3;
const SERVING: u8 = 4;
const DONE: u8 = 5;

/// Why a hand-over came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The other side ended, or the channel broke.
    #[error("the other process is gone")]
    Gone,
    /// It took too long.
    #[error("the other process took too long")]
    Late,
    /// It is of a version that does this in another way.
    #[error("the other process is of a version that hands over in another way")]
    Version,
    /// It says something that is not to be said now.
    #[error("the other process says what cannot be understood")]
    Strange,
    /// Standard input is no channel.
    #[error("`--take-over` is for a process that a running server starts; send that one SIGUSR2")]
    NoChannel,
    /// What is remembered does not come to rest.
    #[error("the state is still being written to the disk; try again")]
    Busy,
    /// The state cannot be given or taken.
    #[error("the state cannot change hands: {0}")]
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

/// What came of the last attempt to hand over, for the status.
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
