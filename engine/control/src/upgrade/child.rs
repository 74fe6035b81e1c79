//! The successor's end.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use super::channel::{HandedSocket, UpgradeChannel};
use super::{
    DONE, HAND_OVER_LOAD_MS, HAND_OVER_SHUT_MS, MESSAGE_BYTES_MAX, READY, SERVING, SOCKETS, STATE,
    STATE_BYTES_MAX, UpgradeError, VERSION,
};

/// The successor's end.
#[derive(Debug)]
pub struct UpgradeChild(pub(super) UpgradeChannel);

impl UpgradeChild {
    /// Over the channel that this process was given as its standard input, and what listens already.
    ///
    /// # Errors
    /// There is none, or nobody hands over in a way that is known here.
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

    /// Says that all is loaded, and waits for the state.
    ///
    /// # Errors
    /// It does not come: then the older process serves on.
    pub fn receive_state(&mut self) -> Result<Vec<u8>, UpgradeError> {
        self.0.send(READY, &[])?;
        // The older one may wait for its disk first.
        self.0.receive(STATE, STATE_BYTES_MAX, HAND_OVER_LOAD_MS)
    }

    /// Says that this process serves.
    ///
    /// # Errors
    /// Nobody hears it: then the older process serves, and this one must not.
    pub fn notify_serving(&mut self) -> Result<(), UpgradeError> {
        self.0.send(SERVING, &[])
    }

    /// Says that this process can be asked.
    pub fn finish(mut self) {
        // The older one waits for it a moment and no more.
        let _unheard = self.0.send(DONE, &[]);
    }
}
