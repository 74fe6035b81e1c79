//! Waiting for a request's body before its origin hears of it.
//!
//! A body that comes a byte a second would hold a place at the origin for as long as it takes, and a
//! thousand of them all places. So a small body is read first and holds nothing but our memory; a
//! larger one is begun with, and counts among the site's uploads, which have places of their own.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::connection::io::ResettableIo;
use crate::http1::chunked::ChunkedValidator;
use crate::http1::stream::BodyProgress;
use crate::http1::stream::Http1Stream;

/// How much of a request is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyBuffered {
    /// All of it.
    Complete,
    /// As much of its body as is read ahead.
    Partial,
}

/// How far the body is here.
enum BodyEnd {
    /// The request's last byte stands so far from the front.
    Length(usize),
    /// The chunks up to there have been walked along.
    Chunks { walk: ChunkedValidator, seen: usize },
}

impl<S: ResettableIo> Http1Stream<S> {
    /// Waits until the request that was begun is all here, or as much of it as is read ahead.
    ///
    /// # Errors
    /// The client has gone, or broke a limit and is reset. One whose body cannot be read is
    /// still to be answered (`ConnectionOptions::take_malformed_body`).
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

    /// Waits for a place for the request that is all here, for as long as its client is there. It is
    /// looked at only where the place is not there at once: nothing is asked of the system for most. The
    /// caller pins it, so that a connection holds room for one such future and not for three.
    pub(crate) async fn while_here<P>(
        &mut self,
        mut place: Pin<&mut impl Future<Output = P>>,
    ) -> Option<P> {
        let mut has_waited = false;
        poll_fn(|cx| {
            // Whoever left while it waited is not to have what came free just now.
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

    /// Ready when the client's end of the connection has come.
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
