//! The parent's side of an upgrade.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::channel::{HandedSocket, UpgradeChannel};
use super::{
    DONE, HAND_OVER_LOAD_MS, HAND_OVER_SHUT_MS, READY, SERVING, SOCKETS, STATE, UpgradeError,
    VERSION,
};

/// The parent's end of the channel.
#[derive(Debug)]
pub struct UpgradeParent(pub(super) UpgradeChannel);

impl UpgradeParent {
    /// Uses this channel, whose other end is the child's standard input.
    #[must_use]
    pub const fn new(channel: UnixStream) -> Self {
        Self(UpgradeChannel(channel))
    }

    /// Sends the sockets, and waits until the child has loaded everything.
    ///
    /// # Errors
    /// The child has not.
    pub fn prepare(&mut self, sockets: &[HandedSocket]) -> Result<(), UpgradeError> {
        let shut = Some(Duration::from_millis(HAND_OVER_SHUT_MS));
        self.0.0.set_write_timeout(shut)?;
        let addresses: Vec<String> =
            sockets.iter().map(|(address, _)| address.to_string()).collect();
        let mut hello = vec![VERSION];
        hello.extend_from_slice(addresses.join(" ").as_bytes());
        self.0.send(SOCKETS, &hello)?;
        let files: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
        seawall_sys::send_files(&self.0.0, &files)?;
        self.0.receive(READY, 0, HAND_OVER_LOAD_MS).map(drop)
    }

    /// Sends the state, and waits until the child serves.
    ///
    /// # Errors
    /// The child does not.
    pub fn send_sockets(&mut self, state: &[u8]) -> Result<(), UpgradeError> {
        self.0.send(STATE, state)?;
        self.0.receive(SERVING, 0, HAND_OVER_SHUT_MS).map(drop)
    }

    /// Waits, for a limited time, until the admin socket of the child is published.
    pub fn wait_done(mut self) {
        // The child serves, whether it reports this or not.
        let _unheard = self.0.receive(DONE, 0, HAND_OVER_SHUT_MS);
    }
}
