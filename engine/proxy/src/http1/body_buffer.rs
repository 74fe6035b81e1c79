//! Waits for a request body before the origin gets the request.
//!
//! A body that arrives at one byte per second would hold an origin slot for as long as it takes,
//! and a thousand of them all slots. So a small body is read first and only uses memory. A larger
//! body is forwarded once its first part is here, and counts among the site's uploads, which have
//! slots of their own.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::connection::io::ResettableIo;
use crate::http1::chunked::ChunkedValidator;
use crate::http1::stream::BodyProgress;
use crate::http1::stream::Http1Stream;

/// How much of a request is buffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyBuffered {
    /// All of it.
    Complete,
    /// As much of its body as may be buffered.
    Partial,
}

/// How the end of the body is found.
enum BodyEnd {
    /// The request ends after this many bytes.
    Length(usize),
    /// The chunks up to `seen` are validated.
    Chunks { walk: ChunkedValidator, seen: usize },
}

impl<S: ResettableIo> Http1Stream<S> {
    /// Waits until the current request is complete, or as much of it as may be buffered.
    ///
    /// # Errors
    /// The client has closed, or violated a limit and is reset. A malformed body still gets a
    /// response (`Connection::take_malformed_body`).
    pub(crate) async fn buffer_body(&mut self) -> io::Result<BodyBuffered> {
        let mut scout = match &self.body {
            BodyProgress::Length(bytes) => {
                let bytes = usize::try_from(*bytes).unwrap_or(usize::MAX);
                BodyEnd::Length(self.head_left.saturating_add(bytes))
            }
            BodyProgress::Chunks(_) => {
                BodyEnd::Chunks { walk: ChunkedValidator::new(&self.limits), seen: self.head_left }
            }
        };
        let most =
            self.head_left.saturating_add(self.limits.settings.requests.request_buffer_bytes);
        while !self.has_all(&mut scout)? {
            if self.ahead.len() >= most {
                return Ok(BodyBuffered::Partial);
            }
            poll_fn(|cx| self.poll_ahead(cx)).await?;
        }
        Ok(BodyBuffered::Complete)
    }

    /// Waits for `place` for as long as the client is connected. The connection is only checked if
    /// `place` is not ready at once, so most requests cost no system call. The caller pins the
    /// future, so that a connection reserves memory for one such future and not for three.
    pub(crate) async fn while_here<P>(
        &mut self,
        mut place: Pin<&mut impl Future<Output = P>>,
    ) -> Option<P> {
        let mut has_waited = false;
        poll_fn(|cx| {
            // A client that left while it waited must not get what became free now.
            if has_waited && self.poll_gone(cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(place) = place.as_mut().poll(cx) {
                return Poll::Ready(Some(place));
            }
            let is_gone = !has_waited && self.poll_gone(cx).is_ready();
            has_waited = true;
            if is_gone { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Returns ready when the client has closed its end of the connection.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let most =
            self.head_left.saturating_add(self.limits.settings.requests.request_buffer_bytes);
        let most = most.saturating_add(self.limits.max_pipelined_bytes);
        while self.ahead.len() < most {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }

    fn has_all(&mut self, scout: &mut BodyEnd) -> io::Result<bool> {
        match scout {
            BodyEnd::Length(end) => Ok(self.ahead.len() >= *end),
            BodyEnd::Chunks { walk, seen } => {
                let new = self.ahead.get(*seen..).unwrap_or_default();
                match walk.walk(new) {
                    Ok(walked) => *seen += walked,
                    Err(_) => return Err(self.malformed_body()),
                }
                Ok(walk.is_done())
            }
        }
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_fill(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(read)) => {
                self.body_pace.moved(read, Instant::now());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_body_alarm(cx),
        }
    }
}
