//! Retries of an admitted request at other origins.
//!
//! A request is only retried if it cannot have had an effect: no connection was made; a kept
//! connection ended before a response, and the method is idempotent (RFC 9110 §9.2.2); or a health
//! check found the origin down, and the method is safe. A retry always goes to an origin that has
//! not failed the request, and only within the retry budget ([`crate::upstream`]).

use std::sync::Arc;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::Session;

use crate::metrics::count;
use crate::request::error_response;
use crate::upstream::RetryDecision;
use crate::upstream::headers;
use crate::upstream::pingora_service::{RequestContext, missing_decision_error};
use crate::upstream::pool::Pool;
use crate::upstream::stream::Link;

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RetrySafety {
    /// It must not.
    Never,
    /// The method is idempotent.
    Idempotent,
    /// The method is safe: it only reads.
    Safe,
}

impl RetrySafety {
    pub(crate) fn of(session: &Session) -> Self {
        let method = &session.req_header().method;
        if session.as_ref().retry_buffer_truncated() || !method.is_idempotent() {
            Self::Never
        } else if method.is_safe() {
            Self::Safe
        } else {
            Self::Idempotent
        }
    }
}

/// Returns the next origin of the request.
///
/// # Errors
/// 503: all origins are down, or none has a free slot.
pub(crate) fn next_peer(ctx: &mut RequestContext, pool: &Arc<Pool>) -> Result<HttpPeer> {
    let admitted = ctx.admitted.as_ref().ok_or_else(missing_decision_error)?;
    let (edge, origins) = (admitted.edge(), &admitted.route().origins);
    // The slot of the last attempt is free for this one.
    (ctx.attempt, ctx.link) = (None, None);
    let now = (edge.now)();
    let attempt = origins.choose(admitted.stay(), &ctx.tries, now);
    ctx.tries.note_begun();
    let Some(attempt) = attempt else {
        count(match origins.is_down(now) {
            true => &edge.counters.requests.rejected.no_healthy_origin,
            false => &edge.counters.requests.rejected.origin_busy,
        });
        return Err(unavailable());
    };
    let mut peer = headers::peer(admitted, attempt.address(), ctx.turn.is_some());
    let line = (admitted.route().id, attempt.address());
    let conn = ctx.turn.as_ref().map(|turn| turn.conn());
    let link = Link::new(pool, line, &edge.limits, conn);
    peer.options.custom_l4 = Some(Arc::<Link>::clone(&link));
    (ctx.attempt, ctx.link) = (Some(attempt), Some(link));
    Ok(peer)
}

/// Handles a failed connect.
pub(crate) fn on_connect_error(ctx: &mut RequestContext, mut error: Box<Error>) -> Box<Error> {
    let (Some(admitted), Some(mut attempt)) = (&ctx.admitted, ctx.attempt.take()) else {
        return error;
    };
    if is_the_origins(error.etype()) {
        attempt.unreached((admitted.edge().now)());
    }
    ctx.tries.note_failed(attempt.at());
    drop(attempt);
    let again = may_retry(ctx);
    error.set_retry(again);
    error
}

/// Handles an error before the response was complete.
pub(crate) fn on_upstream_error(
    ctx: &mut RequestContext,
    mut error: Box<Error>,
    again: RetrySafety,
) -> Box<Error> {
    let (Some(admitted), Some(attempt)) = (&ctx.admitted, &mut ctx.attempt) else { return error };
    let edge = admitted.edge().clone();
    if let Some(why) = ctx.link.as_ref().and_then(|link| link.refused()) {
        edge.counters.requests.origin_response_errors.count(why as usize);
        // It did respond: a client that causes too large a response must not make it look down.
        let _in_time = attempt.answered(502, (edge.now)());
    }
    if !attempt.awaits_head() {
        error.set_retry(false);
        return error;
    }
    let is_reused = attempt.is_on_kept();
    if attempt.was_cut() {
        ctx.tries.note_failed(attempt.at());
        ctx.attempt = None;
        if again == RetrySafety::Safe && may_retry(ctx) {
            error.set_retry(true);
            return error;
        }
        count(&edge.counters.requests.rejected.health_check_failed);
        return unavailable();
    }
    let is_upstream = *error.esource() == ErrorSource::Upstream;
    if is_upstream && error_response::is_timeout(error.etype()) {
        attempt.late((edge.now)());
    } else if is_upstream && !is_reused {
        attempt.unanswered((edge.now)());
    }
    if again == RetrySafety::Never {
        error.set_retry(false);
    } else {
        error.retry.decide_reuse(is_reused);
    }
    if error.retry() {
        ctx.attempt = None;
        let again = may_retry(ctx);
        error.set_retry(again);
    }
    error
}

/// Withdraws a retry of the request from the budget.
fn may_retry(ctx: &RequestContext) -> bool {
    let Some(admitted) = &ctx.admitted else { return false };
    let (edge, stay) = (admitted.edge(), admitted.stay());
    let origins = &admitted.route().origins;
    match origins.may_retry(stay, &ctx.tries, &edge.limits, (edge.now)()) {
        RetryDecision::Allowed => {
            count(&edge.counters.retries.total);
            true
        }
        RetryDecision::BudgetExhausted => {
            count(&edge.counters.retries.denied);
            false
        }
        RetryDecision::NoCandidate => false,
    }
}

/// Records the header section of the response.
pub(crate) fn on_response_header(ctx: &mut RequestContext, status: u16) {
    let (Some(admitted), Some(attempt)) = (&ctx.admitted, &mut ctx.attempt) else { return };
    if (status == 101 || status >= 200)
        && let Some(took_ms) = attempt.answered(status, (admitted.edge().now)())
    {
        admitted.route().part.counts.origin_response.observe_ms(took_ms);
    }
}

/// Records that the request failed and its client got `status`.
pub(crate) fn on_request_failed(ctx: &mut RequestContext, status: u16) {
    let (Some(admitted), Some(attempt)) = (&ctx.admitted, &mut ctx.attempt) else { return };
    if status == 504 {
        attempt.late((admitted.edge().now)());
    }
}

/// Records that the request is sent on its connection.
pub(crate) fn sent(ctx: &mut RequestContext) {
    let (Some(attempt), Some(link)) = (&mut ctx.attempt, &ctx.link) else { return };
    if let Some(fd) = link.fd() {
        attempt.sent_on(fd, link.is_reused());
    }
}

/// Returns whether a failed connect is the origin's and not ours (no descriptor, no port).
fn is_the_origins(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
    )
}

fn unavailable() -> Box<Error> {
    Error::explain(ErrorType::HTTPStatus(503), "no origin")
}
