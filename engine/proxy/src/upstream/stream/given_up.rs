//! A request whose client left while its origin was at work for it.
//!
//! Most origins only find out that nobody waits when they write, so giving up does not make them
//! free. The request keeps its places, at its origin, among its site's and its client's, until the
//! origin has answered or closed; what it says is thrown away. It keeps them no longer than a
//! waiting client would have: past the time for an answer's head, a head that has not come is a
//! failure of the origin.
//!
//! A request that was not sent whole keeps nothing: its connection is closed, and an origin that
//! reads it finds that out at once.

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

/// A connection on which an origin owes an answer.
#[derive(Debug)]
pub(crate) struct AbandonedResponse {
    pub(super) io: TcpStream,
    pub(super) answer: ResponseHeadReader,
    pub(super) is_to_head: bool,
}

/// What the end of such a request says of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It was answering, or had answered.
    Answered(u16),
    /// The connection ended before an answer's head.
    Unanswered,
}

impl AbandonedResponse {
    /// Reads until the answer or the connection has ended, or enough of it came.
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

/// A given-up request that keeps its places.
#[derive(Debug)]
struct GivenUp {
    // In this order: the connection is closed before its place is free for the next.
    rest: AbandonedResponse,
    attempt: Attempt,
    /// For how long a client would have waited for the head.
    head_ms: u64,
    _stand: Stand,
}

impl GivenUp {
    /// For how long an answer is still waited for.
    fn within_ms(&self, age_ms: u64) -> u64 {
        match self.attempt.stay() {
            SlotKind::Request if self.attempt.awaits_head() => self.head_ms.saturating_sub(age_ms),
            // When it was sent whole is not known, or the answer has begun.
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
                    count(&edge.counters.given_up_late);
                    self.attempt.late((edge.now)(), &edge.counters);
                    return;
                }
            },
        };
        match ended {
            Ended::Answered(status) => {
                self.attempt.answered(status, (edge.now)(), &edge.counters);
            }
            // A kept connection may have been closed before the request came.
            Ended::Unanswered if is_reused || self.attempt.was_cut() => {}
            Ended::Unanswered => self.attempt.unanswered((edge.now)(), &edge.counters),
        }
    }
}

/// Called when an exchange has ended, with what ended it: gives its places back, or leaves them to
/// what its origin is still at work for.
pub(crate) fn settle(ctx: &mut RequestContext, is_left: bool) {
    let rest = ctx.link.take().and_then(|link| link.take_rest());
    // In this order: what is declared last is dropped first, and the place at the origin has to be
    // free before the site's place is handed on, or whoever gets that finds the origin full.
    let (Some(admitted), Some(attempt)) = (ctx.admitted.take(), ctx.attempt.take()) else { return };
    let is_at_work = attempt.awaits_head() || attempt.has_answered();
    let Some(rest) = rest.filter(|_| is_left && is_at_work) else { return };
    // Where nothing runs any more there is nobody to wait for.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let edge = Arc::clone(admitted.edge());
    count(&edge.counters.given_up);
    count(&admitted.route().part.counts.given_up);
    let head_ms = admitted.timeouts().response_header_ms.into();
    let given_up = GivenUp { rest, attempt, head_ms, _stand: admitted.into_stand() };
    runtime.spawn(given_up.end(edge));
}

/// Whether an exchange ended because its client left, or was made to, and not by its origin.
pub(crate) fn is_left(error: Option<&Error>) -> bool {
    error.is_some_and(|error| *error.esource() != ErrorSource::Upstream)
}
