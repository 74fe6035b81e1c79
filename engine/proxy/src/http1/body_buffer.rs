//! Waits for a request body before the origin gets the request.
//!
//! A body that arrives at one byte per second would hold an origin slot for as long as it takes,
//! and a thousand of them all slots. So a small body is read first and only uses memory. A larger
//! body is forwarded once its first part is here, and counts among the site's uploads, which have
//! slots of their own.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::connection::io::ResettableIo;
use crate::http1::chunked::ChunkedValidator;
use crate::http1::head::Framing;
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

/// Why a body cannot be waited for.
#[derive(Debug)]
pub(crate) enum BodyFailure {
    /// It is malformed; its client can still get a response.
    Malformed,
    /// The client has closed, or violated a limit and is reset.
    Closed,
}

impl<S: ResettableIo> Http1Stream<S> {
    /// Waits until the request of `head_bytes` at the front is complete, or as much of it as may be
    /// buffered. Returns the number of bytes of its body that are here, too.
    ///
    /// # Errors
    /// The body does not come, or is malformed.
    pub(crate) async fn buffer_body(
        &mut self,
        head_bytes: usize,
        framing: Framing,
    ) -> Result<(BodyBuffered, usize), BodyFailure> {
        let mut end = match framing {
            Framing::Length(bytes) => {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                BodyEnd::Length(head_bytes.saturating_add(bytes))
            }
            Framing::Chunked => {
                BodyEnd::Chunks { walk: ChunkedValidator::new(&self.limits), seen: head_bytes }
            }
        };
        let most = head_bytes.saturating_add(self.limits.settings.requests.request_buffer_bytes);
        loop {
            if let Some(bytes) = self.has_all(&mut end)? {
                return Ok((BodyBuffered::Complete, bytes.saturating_sub(head_bytes)));
            }
            if self.ahead.len() >= most {
                let here = self.ahead.len().saturating_sub(head_bytes);
                return Ok((BodyBuffered::Partial, here));
            }
            poll_fn(|cx| self.poll_ahead(cx)).await.map_err(|_| BodyFailure::Closed)?;
        }
    }

    /// Returns the length of the request once all of it is here.
    fn has_all(&mut self, end: &mut BodyEnd) -> Result<Option<usize>, BodyFailure> {
        match end {
            BodyEnd::Length(end) => Ok((self.ahead.len() >= *end).then_some(*end)),
            BodyEnd::Chunks { walk, seen } => {
                let new = self.ahead.get(*seen..).unwrap_or_default();
                *seen += walk.walk(new).map_err(|_| BodyFailure::Malformed)?;
                Ok(walk.is_done().then_some(*seen))
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
