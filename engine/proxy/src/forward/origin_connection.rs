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

/// A connection to an origin, for one request.
#[derive(Debug)]
pub(crate) struct OriginConnection {
    pub(crate) io: TcpStream,
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
        Ok(Self { io })
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
