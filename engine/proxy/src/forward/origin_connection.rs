//! A connection to an origin.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

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
    /// Whether it had served a request before.
    pub(crate) is_reused: bool,
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
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.map_err(|_| ConnectError::Local)?;
        // A rejected option costs speed or memory, not the response.
        let receive_bytes =
            u32::try_from(limits.settings.origins.receive_buffer_bytes).unwrap_or(u32::MAX);
        let _ = socket.set_recv_buffer_size(receive_bytes);
        let _ = socket.set_nodelay(true);
        let within = limits.settings.origins.connect_timeout;
        match tokio::time::timeout(within, socket.connect(address)).await {
            Ok(Ok(io)) => Ok(Self { io, is_reused: false }),
            Ok(Err(error)) => Err(kind_of(&error)),
            Err(_) => Err(ConnectError::Timeout),
        }
    }

    pub(crate) fn fd(&self) -> i32 {
        self.io.as_raw_fd()
    }
}

fn kind_of(error: &io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::TimedOut => ConnectError::Timeout,
        io::ErrorKind::AddrNotAvailable
        | io::ErrorKind::AddrInUse
        | io::ErrorKind::PermissionDenied => ConnectError::Local,
        _ => ConnectError::Failed,
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
