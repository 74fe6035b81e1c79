//! An attacker's connection, which counts what passes and notes how it ends.

use crate::connect::Io;
use crate::tally::Tally;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// One counted connection. If it is dropped before the server ended it, the attacker has left.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    tally: Arc<Tally>,
    opened: Instant,
    over: bool,
}

impl Wire {
    /// Counts `io` from now on.
    pub(crate) fn new(io: Box<dyn Io>, tally: Arc<Tally>) -> Self {
        tally.opens();
        Self { io, tally, opened: Instant::now(), over: false }
    }

    /// Reads and drops until the server ends it; how many bytes came.
    pub(crate) async fn until_closed(&mut self) -> usize {
        let mut buffer = vec![0; CHUNK];
        let mut total = 0usize;
        loop {
            match self.read(&mut buffer).await {
                Ok(0) | Err(_) => return total,
                Ok(n) => total = total.saturating_add(n),
            }
        }
    }

    /// Writes all of `out` while reading whatever arrives, so that neither side waits for the
    /// other; a flood that does not read is stopped by its own kernel.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) async fn exchange(
        &mut self,
        out: &[u8],
        arrived: &mut (dyn FnMut(&[u8]) + Send),
    ) -> io::Result<()> {
        let mut done = 0;
        let mut buffer = [0; CHUNK];
        poll_fn(|cx| {
            self.take_in(cx, &mut buffer, arrived)?;
            while let Some(rest) = out.get(done..).filter(|rest| !rest.is_empty()) {
                match Pin::new(&mut *self).poll_write(cx, rest)? {
                    Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(n) => done = done.saturating_add(n),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Pin::new(&mut *self).poll_flush(cx)
        })
        .await
    }

    /// Everything that is there to be read, without waiting.
    fn take_in(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        arrived: &mut (dyn FnMut(&[u8]) + Send),
    ) -> io::Result<()> {
        loop {
            let mut into = ReadBuf::new(buffer);
            match Pin::new(&mut *self).poll_read(cx, &mut into)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) if into.filled().is_empty() => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Poll::Ready(()) => arrived(into.filled()),
            }
        }
    }

    /// The server has ended all streams on it, which counts as its end.
    pub(crate) fn emptied(&mut self) {
        self.tally.event("connections whose streams were all ended by the server");
        self.note_end(false);
    }

    fn note_end(&mut self, reset: bool) {
        if self.over {
            return;
        }
        self.over = true;
        if reset { &self.tally.reset } else { &self.tally.closed }.one();
        self.tally.held(self.opened.elapsed());
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        match &polled {
            Poll::Ready(Ok(())) if buf.filled().len() == before => self.note_end(false),
            Poll::Ready(Ok(())) => {
                self.tally.received.add(buf.filled().len().saturating_sub(before));
            }
            Poll::Ready(Err(error)) => {
                let closed = error.kind() == io::ErrorKind::UnexpectedEof;
                self.note_end(!closed);
            }
            Poll::Pending => {}
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        match &polled {
            Poll::Ready(Ok(n)) => self.tally.sent.add(*n),
            Poll::Ready(Err(_)) => self.note_end(true),
            Poll::Pending => {}
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.over {
            self.tally.leaves(self.opened.elapsed());
        }
        self.tally.ends();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn it_counts_and_says_who_left() {
        let tally = Arc::new(Tally::default());
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(Box::new(ours), tally.clone());
        wire.write_all(b"hello").await.unwrap();
        theirs.write_all(b"bye").await.unwrap();
        drop(theirs);
        assert_eq!(wire.until_closed().await, 3);
        drop(wire);
        let (ours, _theirs) = tokio::io::duplex(64);
        drop(Wire::new(Box::new(ours), tally.clone()));
        let report = tally.report();
        assert_eq!((report.opened, report.bytes_sent, report.bytes_received), (2, 5, 3));
        assert_eq!((report.closed_by_server, report.left_by_us), (1, 1));
        assert_eq!((report.held_ms.unwrap().count, report.left_ms.unwrap().count), (1, 1));
    }

    /// Both sides write more than the pipe holds before either is done.
    #[tokio::test]
    async fn an_exchange_reads_while_it_writes() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(Box::new(ours), Arc::new(Tally::default()));
        let (mut from, mut to) = tokio::io::split(theirs);
        let echo = tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
        let mut back = Vec::new();
        let out: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        wire.exchange(&out, &mut |bytes| back.extend_from_slice(bytes)).await.unwrap();
        assert!(back.len() > out.len() - 1_000, "{}", back.len());
        assert_eq!(back, out[..back.len()]);
        drop(wire);
        let _gone = echo.await.unwrap();
    }
}
