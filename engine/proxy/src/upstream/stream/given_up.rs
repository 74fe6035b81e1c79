//! A request whose client left while its origin worked on it.
//!
//! Most origins only notice a closed connection when they write, so closing does not free them. The
//! request keeps its slots and permit until the origin has responded or closed; the response is
//! discarded. It keeps them no longer than with a waiting client: if no header section comes within
//! its timeout, that is a failure of the origin.
//!
//! An incomplete request keeps nothing: its connection is closed, and an origin that reads it
//! notices at once.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora_error::{Error, ErrorSource};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::ProxyLimits;
use crate::context::SharedContext;
use crate::metrics::count;
use crate::request::enforce::Stand;
use crate::upstream::Attempt;
use crate::upstream::pingora_service::RequestContext;
use crate::upstream::slot_kind::SlotKind;
use crate::upstream::stream::READ_BYTES;
use crate::upstream::stream::response_head::ResponseHeadReader;

/// A connection on which an origin owes a response.
#[derive(Debug)]
pub(crate) struct AbandonedResponse {
    pub(super) io: TcpStream,
    pub(super) answer: ResponseHeadReader,
    pub(super) is_to_head: bool,
}

/// Result of an abandoned request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The origin was responding, or had responded.
    Answered(u16),
    /// The connection ended before a header section.
    Unanswered,
}

impl AbandonedResponse {
    /// Reads until the response or the connection has ended, or up to a limit.
    async fn discard(&mut self, limits: &ProxyLimits) -> Ended {
        let mut left = limits.max_discarded_response_bytes;
        while left > 0 && self.answer.is_owed() {
            match poll_fn(|cx| self.poll_discard(cx, limits)).await {
                Ok(0) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
        self.answer.status().map_or(Ended::Unanswered, Ended::Answered)
    }

    fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        limits: &ProxyLimits,
    ) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut buf = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        let noted = self.answer.came(buf.filled(), self.is_to_head, limits);
        noted.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

/// An abandoned request that keeps its slots.
#[derive(Debug)]
struct GivenUp {
    // In this order: the connection is closed before its slot is free for the next.
    rest: AbandonedResponse,
    attempt: Attempt,
    /// The timeout for the header section of the response.
    head_ms: u64,
    _stand: Stand,
}

impl GivenUp {
    /// Returns for how long a response is still waited for.
    fn within_ms(&self, age_ms: u64) -> u64 {
        match self.attempt.stay() {
            SlotKind::Request if self.attempt.awaits_head() => self.head_ms.saturating_sub(age_ms),
            // The time of the complete request is not known, or the response has begun.
            _ => self.head_ms,
        }
    }

    async fn end(mut self, edge: Arc<SharedContext>) {
        let now = (edge.now)();
        let within = self.within_ms(now.since_ms(self.attempt.began()));
        let discard = self.rest.discard(&edge.limits);
        let is_reused = self.attempt.is_on_kept();
        let ended = match tokio::time::timeout(Duration::from_millis(within), discard).await {
            Ok(ended) => ended,
            Err(_) => match self.rest.answer.status() {
                Some(status) => Ended::Answered(status),
                None => {
                    count(&edge.counters.requests.canceled_timeouts);
                    self.attempt.late((edge.now)());
                    return;
                }
            },
        };
        match ended {
            Ended::Answered(status) => {
                let _in_time = self.attempt.answered(status, (edge.now)());
            }
            // A kept connection may have been closed before the request came.
            Ended::Unanswered if is_reused || self.attempt.was_cut() => {}
            Ended::Unanswered => self.attempt.unanswered((edge.now)()),
        }
    }
}

/// Releases the slots after a request, or keeps them while its origin still works on it.
pub(crate) fn settle(ctx: &mut RequestContext, is_left: bool) {
    let rest = ctx.link.take().and_then(|link| link.take_rest());
    // In this order: the last declared is dropped first. The slot at the origin must be free before
    // the site's slot is passed on, or its next holder finds the origin full.
    let (Some(admitted), Some(attempt)) = (ctx.admitted.take(), ctx.attempt.take()) else { return };
    let is_at_work = attempt.awaits_head() || attempt.has_answered();
    let Some(rest) = rest.filter(|_| is_left && is_at_work) else { return };
    // Without a runtime there is nothing to wait on.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let edge = Arc::clone(admitted.edge());
    count(&edge.counters.requests.canceled);
    count(&admitted.route().part.counts.requests_canceled_total);
    let head_ms = admitted.timeouts().response_header_ms.into();
    let given_up = GivenUp { rest, attempt, head_ms, _stand: admitted.into_stand() };
    runtime.spawn(given_up.end(edge));
}

/// Returns whether a request ended because its client left or was removed, and not by its origin.
pub(crate) fn is_left(error: Option<&Error>) -> bool {
    error.is_some_and(|error| *error.esource() != ErrorSource::Upstream)
}
