//! A connection to an origin.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora_core::protocols::l4::ext::connect;
use pingora_error::ErrorType;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::ProxyLimits;
use crate::forward::ByteStream;

/// Why no connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// The origin refused it, or is not reachable.
    Failed,
    /// The origin did not answer in time.
    Timeout,
    /// This host has no descriptor or port for it: no failure of the origin.
    Local,
}

/// Receive buffer of a connection that serves further requests: the next client may read slowly.
const KEPT_RECEIVE_BYTES_MAX: usize = 64 * 1_024;

/// A connection to an origin, for one request.
#[derive(Debug)]
pub(crate) struct OriginConnection {
    pub(crate) io: TcpStream,
    /// The next growth of the receive buffer is due when the client has taken so many bytes.
    grow_at: u64,
    /// The receive buffer is too large for a connection that is kept.
    is_grown: bool,
}

impl OriginConnection {
    /// Opens a new connection.
    ///
    /// # Errors
    /// There is none within `connect_timeout`.
    pub(crate) async fn open(
        address: SocketAddr,
        limits: &ProxyLimits,
    ) -> Result<Self, ConnectError> {
        let within = limits.settings.origins.connect_timeout;
        let io = match tokio::time::timeout(within, connect(&address, None)).await {
            Ok(connected) => connected.map_err(|error| kind_of(error.etype()))?,
            Err(_) => return Err(ConnectError::Timeout),
        };
        // A rejected option costs speed or memory, not the response.
        let _ = io.set_nodelay(true);
        let receive_bytes = limits.settings.origins.receive_buffer_bytes;
        let _ = SockRef::from(&io).set_recv_buffer_size(receive_bytes);
        Ok(Self::of(io, limits))
    }

    /// Returns a connection that was kept, for one request.
    pub(crate) fn of(io: TcpStream, limits: &ProxyLimits) -> Self {
        let first = limits.settings.origins.receive_buffer_bytes as u64;
        Self { io, grow_at: first.saturating_mul(2), is_grown: false }
    }

    /// Lets the receive buffer follow the client, which has taken `bytes` of the response: it
    /// doubles whenever the client has taken twice its size. A client that reads slowly keeps it
    /// small, and one that reads fast gets a distant origin's full speed.
    pub(crate) fn grow(&mut self, bytes: u64, limits: &ProxyLimits) {
        if bytes < self.grow_at {
            return;
        }
        let socket = SockRef::from(&self.io);
        // Linux reports twice what was set.
        let Ok(now) = socket.recv_buffer_size().map(|doubled| doubled / 2) else { return };
        let most = limits.settings.origins.max_receive_buffer_bytes;
        let mut size = now;
        if bytes >= (now as u64).saturating_mul(2) && now < most {
            let _ = socket.set_recv_buffer_size(now.saturating_mul(2).min(most));
            size = socket.recv_buffer_size().map_or(now, |doubled| doubled / 2);
        }
        // At the kernel's own maximum it grows no more.
        let is_at_most = size >= most || (size == now && bytes >= (now as u64).saturating_mul(2));
        self.grow_at = if is_at_most { u64::MAX } else { (size as u64).saturating_mul(2) };
        self.is_grown = size > KEPT_RECEIVE_BYTES_MAX;
    }

    /// Returns the socket for the next request, unless its receive buffer has grown too large.
    pub(crate) fn into_kept(self) -> Option<TcpStream> {
        (!self.is_grown).then_some(self.io)
    }

    pub(crate) fn fd(&self) -> i32 {
        self.io.as_raw_fd()
    }
}

const fn kind_of(error: &ErrorType) -> ConnectError {
    match error {
        ErrorType::ConnectTimedout => ConnectError::Timeout,
        ErrorType::ConnectRefused | ErrorType::ConnectNoRoute | ErrorType::ConnectError => {
            ConnectError::Failed
        }
        _ => ConnectError::Local,
    }
}

impl ByteStream for OriginConnection {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_receive_buffer_follows_what_the_client_takes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut limits = ProxyLimits::default();
        limits.settings.origins.max_receive_buffer_bytes = 96 * 1_024;
        let address = listener.local_addr().unwrap();
        let size = |of: &OriginConnection| SockRef::from(&of.io).recv_buffer_size().unwrap() / 2;
        let mut origin = OriginConnection::open(address, &limits).await.unwrap();
        let first = size(&origin);
        assert_eq!(first, limits.settings.origins.receive_buffer_bytes);
        origin.grow(2 * first as u64 - 1, &limits);
        assert_eq!(size(&origin), first, "the client has taken too little");
        origin.grow(2 * first as u64, &limits);
        assert_eq!(size(&origin), 2 * first);
        for taken in [4 * first, 8 * first, 100 * first] {
            origin.grow(taken as u64, &limits);
        }
        assert_eq!(size(&origin), 96 * 1_024, "up to the maximum");
        assert!(origin.into_kept().is_none(), "the next client begins with a small one");
        let mut origin = OriginConnection::open(address, &limits).await.unwrap();
        origin.grow(2 * first as u64, &limits);
        let mut kept = OriginConnection::of(origin.into_kept().unwrap(), &limits);
        kept.grow(2 * first as u64, &limits);
        assert_eq!(size(&kept), 2 * first, "a kept one continues from its size");
    }
}
