//! The transport of a client connection: plain TCP, or TLS over it.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::connection::rewind::Rewind;

/// A TLS connection whose first bytes were read already.
pub(crate) type DownstreamTls = TlsStream<Rewind>;

/// Plain TCP or TLS.
#[derive(Debug)]
pub(crate) enum DownstreamIo {
    Plain(TcpStream),
    Tls(Box<DownstreamTls>),
}

impl ResettableIo for DownstreamIo {
    fn reset_on_drop(&self) {
        match self {
            Self::Plain(io) => io.reset_on_drop(),
            Self::Tls(io) => io.get_ref().0.io.reset_on_drop(),
        }
    }
}

impl AsyncRead for DownstreamIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for DownstreamIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// The transport of a guarded stream.
pub(crate) trait ResettableIo:
    AsyncRead + AsyncWrite + Unpin + Debug + Send + Sync + 'static
{
    /// Makes closing send a reset and discard unsent bytes.
    fn reset_on_drop(&self);
}

impl ResettableIo for TcpStream {
    fn reset_on_drop(&self) {
        // A socket that rejects the option is closed normally instead.
        let _ = self.set_zero_linger();
    }
}
