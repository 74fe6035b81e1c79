//! The child's side of an upgrade.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::channel::{HandedSocket, UpgradeChannel};
use super::{
    DONE, HAND_OVER_LOAD_MS, HAND_OVER_SHUT_MS, MESSAGE_BYTES_MAX, READY, SERVING, SOCKETS, STATE,
    STATE_BYTES_MAX, UpgradeError, VERSION,
};

/// The child's end of the channel.
#[derive(Debug)]
pub struct UpgradeChild(pub(super) UpgradeChannel);

impl UpgradeChild {
    /// Opens the channel on standard input, and receives the listening sockets.
    ///
    /// # Errors
    /// There is no channel, or the parent uses another version.
    pub fn begin() -> Result<(Self, Vec<HandedSocket>), UpgradeError> {
        let channel = seawall_sys::channel_from_stdin().map_err(|_| UpgradeError::NoChannel)?;
        let mut channel = UpgradeChannel(channel);
        channel.0.set_write_timeout(Some(Duration::from_millis(HAND_OVER_SHUT_MS)))?;
        let hello = channel.receive(SOCKETS, MESSAGE_BYTES_MAX, HAND_OVER_SHUT_MS)?;
        let Some((&VERSION, addresses)) = hello.split_first() else {
            return Err(UpgradeError::Version);
        };
        let addresses = str::from_utf8(addresses).map_err(|_| UpgradeError::Strange)?;
        let addresses: Result<Vec<SocketAddr>, _> =
            addresses.split_whitespace().map(str::parse).collect();
        let addresses = addresses.map_err(|_| UpgradeError::Strange)?;
        let files = seawall_sys::receive_files(&channel.0, addresses.len())?;
        let sockets = files.into_iter().map(|file| Arc::new(TcpListener::from(file)));
        Ok((Self(channel), addresses.into_iter().zip(sockets).collect()))
    }

    /// Reports that everything is loaded, and waits for the state.
    ///
    /// # Errors
    /// It does not come: then the parent continues to serve.
    pub fn receive_state(&mut self) -> Result<Vec<u8>, UpgradeError> {
        self.0.send(READY, &[])?;
        // The parent may wait for its disk first.
        self.0.receive(STATE, STATE_BYTES_MAX, HAND_OVER_LOAD_MS)
    }

    /// Reports that this process serves.
    ///
    /// # Errors
    /// The parent does not receive it: then the parent serves, and this process must not.
    pub fn notify_serving(&mut self) -> Result<(), UpgradeError> {
        self.0.send(SERVING, &[])
    }

    /// Reports that the admin socket of this process is published.
    pub fn finish(mut self) {
        // The parent only waits for it for a moment.
        let _unheard = self.0.send(DONE, &[]);
    }
}
