//! The older process's end.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::channel::{HandedSocket, UpgradeChannel};
use super::{
    DONE, HAND_OVER_LOAD_MS, HAND_OVER_SHUT_MS, READY, SERVING, SOCKETS, STATE, UpgradeError,
    VERSION,
};

/// The older process's end.
#[derive(Debug)]
pub struct UpgradeParent(pub(super) UpgradeChannel);

impl UpgradeParent {
    /// Over this channel, whose other end the successor has as its standard input.
    #[must_use]
    pub const fn new(channel: UnixStream) -> Self {
        Self(UpgradeChannel(channel))
    }

    /// Shares the sockets, and waits until the successor has loaded everything.
    ///
    /// # Errors
    /// It has not.
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

    /// Gives the state away, and waits until the successor serves.
    ///
    /// # Errors
    /// It does not.
    pub fn send_sockets(&mut self, state: &[u8]) -> Result<(), UpgradeError> {
        self.0.send(STATE, state)?;
        self.0.receive(SERVING, 0, HAND_OVER_SHUT_MS).map(drop)
    }

    /// Waits until the successor can be asked in our place; for a while.
    pub fn wait_done(mut self) {
        // It serves, whether it says this or not.
        let _unheard = self.0.receive(DONE, 0, HAND_OVER_SHUT_MS);
    }
}
