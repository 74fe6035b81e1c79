//! A stream whose first bytes were read already and are read again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose first bytes were read already and are read again.
#[derive(Debug)]
pub(crate) struct Rewind {
    heard: BytesMut,
    pub(crate) io: TcpStream,
}

impl Rewind {
    pub(crate) const fn new(heard: BytesMut, io: TcpStream) -> Self {
        Self { heard, io }
    }

    /// From here on, closing sends pending bytes. Before that, a failed handshake leaves no closed
    /// connection in the kernel's memory.
    pub(crate) fn linger_politely(&self) {
        // A socket that rejects the option is reset instead.
        let _ = socket2::SockRef::from(&self.io).set_linger(None);
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.heard.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.heard.len().min(buf.remaining());
        buf.put_slice(self.heard.get(..n).unwrap_or_default());
        self.heard.advance(n);
        if self.heard.is_empty() {
            // The bytes are not needed again, and a connection may live long.
            self.heard = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
