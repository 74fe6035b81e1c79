//! Pingora's hooks: a thin layer that calls the file for each phase.
//!
//! No decision is made here. A request that arrives without its admission is rejected.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::connection::Connection;
use crate::connection::pingora_stream::conn_of;
use crate::context::SharedContext;
use crate::http1::head::normalize;
use crate::http2;
use crate::http2::forward_window::ForwardSlot;
use crate::metrics::count;
use crate::request::enforce::{Action, AdmittedRequest};
use crate::request::error_response;
use crate::request::evaluate::{ConnectionMode, RequestOrdinal, evaluate};
use crate::upstream::headers;
use crate::upstream::pool::Pool;
use crate::upstream::retry;
use crate::upstream::retry::RetrySafety;
use crate::upstream::stream::{Link, given_up};
use crate::upstream::{Attempt, AttemptHistory};

/// State of one request.
#[derive(Debug, Default)]
pub(crate) struct RequestContext {
    pub(crate) conn: Option<Arc<Connection>>,
    pub(crate) admitted: Option<AdmittedRequest>,
    /// Its slot at the current origin.
    pub(crate) attempt: Option<Attempt>,
    /// What is known of the connection to that origin.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) tries: AttemptHistory,
    /// In HTTP/2: its slot in the forward window of its connection.
    pub(crate) turn: Option<ForwardSlot>,
}

/// A request without an end was aborted by the proxy, with its client.
impl Drop for RequestContext {
    fn drop(&mut self) {
        given_up::settle(self, true);
    }
}

/// Implements pingora's proxy.
#[derive(Debug)]
pub(crate) struct PingoraService {
    pub(crate) edge: Arc<SharedContext>,
    /// The worker's idle connections to origins.
    pub(crate) pool: Arc<Pool>,
}

#[async_trait]
impl ProxyHttp for PingoraService {
    type CTX = RequestContext;

    fn new_ctx(&self) -> RequestContext {
        RequestContext::default()
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        // The stream enforces all deadlines of the client's side.
        session.set_read_timeout(None);
        ctx.conn = conn_of(session);
        if ctx.conn.as_ref().is_some_and(|conn| conn.is_last_response()) {
            session.set_keepalive(None);
        }
        if ctx.conn.as_ref().is_some_and(|conn| conn.is_h2()) {
            // The stream below cannot tell a closed window from an empty buffer.
            let stall = self.edge.limits.settings.timeouts.send_timeout;
            session.set_write_timeout(Some(stall));
        }
        // HTTP/1.0 has no interim responses (RFC 9110 §15.2).
        let is_old = session.req_header().version < Version::HTTP_11;
        session.set_ignore_info_resp(is_old);
        ctx.admitted = ctx.conn.as_ref().and_then(|conn| conn.take_admitted());
        Ok(())
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<bool> {
        if ctx.admitted.is_some() {
            return Ok(false);
        }
        if let Some(conn) = ctx.conn.clone().filter(|conn| conn.is_h2()) {
            let left_out = normalize(session.req_header_mut(), &self.edge.limits)?;
            let dropped = &self.edge.counters.requests.headers_removed;
            dropped.fetch_add(left_out, Relaxed);
            let next = self.judge(&conn, session);
            return http2::carry_out(next, &conn, (session, ctx), &self.edge).await;
        }
        count(&self.edge.counters.internal_errors.request_without_decision);
        error_response::write_error_response(session, 500).await;
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut RequestContext,
    ) -> Result<Box<HttpPeer>> {
        retry::next_peer(ctx, &self.pool).map(Box::new)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let admitted = ctx.admitted.as_ref().ok_or_else(missing_decision_error)?;
        if !admitted.is_normal() {
            // Removed headers were counted in the evaluation.
            let _left_out = normalize(request, &self.edge.limits)?;
        }
        headers::rewrite_request_headers(request, admitted.asker())?;
        if session.is_body_empty() {
            headers::say_no_body(request)
        } else {
            headers::close_after_body_mismatch(request)
        }
    }

    /// For an empty last piece the engine writes an empty chunk, and then the last chunk. The
    /// second would be read as part of the next request on the connection, which may be another
    /// client's. HTTP/2 ends a body with an empty frame.
    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        is_last: bool,
        _ctx: &mut RequestContext,
    ) -> Result<()> {
        if is_last && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        let (Some(conn), Some(admitted)) = (&ctx.conn, &ctx.admitted) else {
            return Err(missing_decision_error());
        };
        headers::set_phase_from_status(conn, admitted, response.status.as_u16())?;
        headers::rewrite_response_headers(response, admitted.route())?;
        if session.req_header().version < Version::HTTP_11 && headers::unchunk(response) {
            session.set_keepalive(None);
        }
        retry::on_response_header(ctx, response.status.as_u16());
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut RequestContext,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::on_connect_error(ctx, error)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: RawFd,
        _digest: Option<&Digest>,
        ctx: &mut RequestContext,
    ) -> Result<()> {
        retry::sent(ctx);
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut RequestContext,
        _is_reused: bool,
    ) -> Box<Error> {
        retry::on_upstream_error(ctx, error, RetrySafety::of(session))
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut RequestContext,
    ) -> FailToProxy {
        let status = error_response::status_of(&self.edge.counters, ctx.conn.as_deref(), error);
        retry::on_request_failed(ctx, status);
        error_response::write_error_response(session, status).await;
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(
        &self,
        session: &mut Session,
        error: Option<&Error>,
        ctx: &mut RequestContext,
    ) {
        if let Some(turn) = ctx.turn.take() {
            http2::adjust_forward_window(&turn, error, &self.edge);
        }
        if let Some(admitted) = &mut ctx.admitted {
            let status = session.response_written().map_or(0, |r| r.status.as_u16());
            admitted.record_response(status, session.body_bytes_sent() as u64);
        }
        given_up::settle(ctx, given_up::is_left(error));
    }

    /// Our counters cover errors; pingora's line would contain addresses.
    fn suppress_error_log(&self, _: &Session, _: &RequestContext, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &RequestContext,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    /// No part of the request is logged.
    fn request_summary(&self, _: &Session, _: &RequestContext) -> String {
        String::new()
    }
}

impl PingoraService {
    /// Evaluates an HTTP/2 request, which does not pass our own loop.
    fn judge(&self, conn: &Connection, session: &Session) -> Action {
        let head = http2::to_http1_head(session.req_header());
        let requests =
            conn.count_request(self.edge.limits.settings.connections.max_requests_per_connection);
        let nth =
            RequestOrdinal { requests, mode: ConnectionMode::KeepAlive, now: (self.edge.now)() };
        evaluate(&self.edge, conn, (&head, head.len()), &nth).next
    }
}

/// Returns the error for a request without an admission: impossible while `request_filter` runs.
pub(crate) fn missing_decision_error() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "not admitted")
}
