//! Limits on connections to the admin socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::{ADMIN_BYTES_MAX, ADMIN_HEAD_MS, ADMIN_TOTAL_MS};

/// The peer of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its user id, if the system reports it.
    pub(super) uid: Option<u32>,
}

impl Connected<IncomingStream<'_, LimitedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, LimitedListener>) -> Self {
        *stream.remote_addr()
    }
}

/// A listener with few, short and small connections.
pub(super) struct LimitedListener {
    pub(super) listener: UnixListener,
    pub(super) slots: Arc<Semaphore>,
}

impl axum::serve::Listener for LimitedListener {
    type Io = DeadlineStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (DeadlineStream, Peer) {
        loop {
            let place = self.slots.clone().acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                    return (DeadlineStream::new(stream, place), Peer { uid });
                }
                // Most likely there are no free descriptors: without a pause this loop would spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(Peer { uid: None })
    }
}

/// One connection with its deadline.
pub(super) struct DeadlineStream {
    stream: UnixStream,
    deadline: Pin<Box<Sleep>>,
    left_bytes: usize,
    /// How many bytes of the empty line after a header section came last.
    ending: usize,
    _place: Option<OwnedSemaphorePermit>,
}

impl DeadlineStream {
    fn new(stream: UnixStream, place: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(Duration::from_millis(ADMIN_HEAD_MS)));
        Self { stream, deadline, left_bytes: ADMIN_BYTES_MAX, ending: 0, _place: place }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Finds the end of the header section, once: all that follows shares one deadline.
    fn heard(&mut self, bytes: &[u8]) {
        const END: &[u8] = b"\r\n\r\n";
        for byte in bytes {
            if self.ending == END.len() {
                return;
            }
            let expected = END.get(self.ending) == Some(byte);
            self.ending = if expected { self.ending + 1 } else { usize::from(*byte == b'\r') };
            if self.ending == END.len() {
                let total = Duration::from_millis(ADMIN_TOTAL_MS);
                self.deadline = Box::pin(tokio::time::sleep(total));
            }
        }
    }
}

impl AsyncRead for DeadlineStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.poll_deadline(context)?;
        let before = into.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        let bytes = into.filled().get(before..).unwrap_or_default();
        let Some(left_bytes) = this.left_bytes.checked_sub(bytes.len()) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        this.left_bytes = left_bytes;
        this.heard(bytes);
        // The deadline may be a new one, whose timer must be registered.
        this.poll_deadline(context)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DeadlineStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.poll_deadline(context)?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
