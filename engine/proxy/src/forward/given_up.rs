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
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;

use crate::context::SharedContext;
use crate::forward::exchange::{Exchange, Outcome, Terms};
use crate::forward::in_flight::InFlight;
use crate::forward::origin_connection::OriginConnection;
use crate::forward::{ByteStream, ClientStream};
use crate::metrics::count;
use crate::request::enforce::Stand;
use crate::upstream::Attempt;
use crate::upstream::slot_kind::SlotKind;

/// In place of a client: discards the response, up to a maximum.
struct Discard {
    bytes_left: usize,
}

impl ByteStream for Discard {
    fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes_left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ClientStream for Discard {
    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn send_fields(&mut self, _: u16, _: HeaderMap, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// An abandoned request that keeps its slots.
#[derive(Debug)]
struct GivenUp {
    // In this order: the connection is closed before its slot is free for the next.
    origin: OriginConnection,
    attempt: Attempt,
    exchange: Exchange,
    /// The timeout for the header section of the response.
    head_ms: u64,
    stand: Stand,
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

    /// Reads until the response or the connection has ended, or up to a limit.
    async fn discard(&mut self, edge: &SharedContext) -> Outcome {
        let mut client = Discard { bytes_left: edge.limits.max_discarded_response_bytes };
        let origins = Arc::clone(self.stand.route());
        let terms = Terms { limits: &edge.limits, origins: origins.origins.addresses() };
        poll_fn(|cx| self.exchange.poll(cx, &mut client, &mut self.origin, terms)).await
    }

    async fn end(mut self, edge: Arc<SharedContext>) {
        let now = (edge.now)();
        let within = self.within_ms(now.since_ms(self.attempt.began()));
        let is_reused = self.attempt.is_on_kept();
        let discard = self.discard(&edge);
        let ended = tokio::time::timeout(Duration::from_millis(within), discard).await;
        let now = (edge.now)();
        match ended {
            _ if self.exchange.has_answered() => {
                let _in_time = self.attempt.answered(self.exchange.status(), now);
            }
            Err(_) => {
                count(&edge.counters.requests.canceled_timeouts);
                self.attempt.late(now);
            }
            Ok(Outcome::Invalid(why)) if why.is_limit() => {
                let _in_time = self.attempt.answered(502, now);
            }
            // A kept connection may have been closed before the request came.
            Ok(_) if is_reused || self.attempt.was_cut() => {}
            Ok(_) => self.attempt.unanswered(now),
        }
    }
}

/// Releases the slots of a request whose client left, or keeps them while its origin still works on
/// it.
pub(super) fn settle(request: &mut InFlight) {
    // In this order: the last declared is dropped first. The slot at the origin must be free before
    // the site's slot is passed on, or its next holder finds the origin full.
    let (Some(admitted), Some(attempt)) = (request.admitted.take(), request.attempt.take()) else {
        return;
    };
    let (Some(origin), Some(exchange)) = (request.origin.take(), request.exchange.take()) else {
        return;
    };
    let is_at_work = attempt.awaits_head() || attempt.has_answered();
    if !is_at_work || !exchange.is_origin_at_work() {
        return;
    }
    // Without a runtime there is nothing to wait on.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let edge = Arc::clone(admitted.edge());
    request.note_canceled();
    let head_ms = admitted.timeouts().response_header_ms.into();
    let given_up = GivenUp { origin, attempt, exchange, head_ms, stand: admitted.into_stand() };
    runtime.spawn(given_up.end(edge));
}
