//! One end of the channel between parent and child process, and its message format.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::UpgradeError;

/// A listening socket with its configured address.
pub type HandedSocket = (SocketAddr, Arc<TcpListener>);

/// One end of the channel.
#[derive(Debug)]
pub(super) struct UpgradeChannel(pub(super) UnixStream);

impl UpgradeChannel {
    pub(super) fn send(&mut self, kind: u8, content: &[u8]) -> Result<(), UpgradeError> {
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.0.write_all(&[kind])?;
        self.0.write_all(&length.to_le_bytes())?;
        Ok(self.0.write_all(content)?)
    }

    /// Returns the next message, which must be of this kind. The timeout applies to each part of
    /// it: a process that sends its state steadily is in time.
    pub(super) fn receive(
        &mut self,
        kind: u8,
        most: usize,
        ms: u64,
    ) -> Result<Vec<u8>, UpgradeError> {
        self.0.set_read_timeout(Some(Duration::from_millis(ms)))?;
        let (mut said, mut length) = ([0], [0; 8]);
        self.0.read_exact(&mut said)?;
        self.0.read_exact(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if said != [kind] || length > most {
            return Err(UpgradeError::Strange);
        }
        let mut content = vec![0; length];
        self.0.read_exact(&mut content)?;
        Ok(content)
    }
}
