//! Pingora's hooks: a thin layer that hands each phase to the file whose idea it is.
//!
//! No decision is made here. A request that arrives without its admission is refused, whichever way
//! it came.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::connection::Conn;
use crate::connection::pingora_stream::conn_of;
use crate::context::Edge;
use crate::http1::head::normalize;
use crate::http2;
use crate::http2::forward_window::Turn;
use crate::metrics::count;
use crate::request::enforce::{Admitted, Next};
use crate::request::error_response;
use crate::request::evaluate::{Mode, Nth, judge};
use crate::upstream::headers;
use crate::upstream::pool::Pool;
use crate::upstream::retry;
use crate::upstream::retry::Again;
use crate::upstream::stream::{Link, given_up};
use crate::upstream::{Attempt, Tries};

/// What travels with one request.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    pub(crate) conn: Option<Arc<Conn>>,
    pub(crate) admitted: Option<Admitted>,
    /// Its place at the origin that it is sent to now.
    pub(crate) attempt: Option<Attempt>,
    /// What is known of the connection that it is sent on.
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) tries: Tries,
    /// In HTTP/2: its place among its connection's.
    pub(crate) turn: Option<Turn>,
}

/// One that nobody ended was broken off from our side: its client was made to leave.
impl Drop for Exchange {
    fn drop(&mut self) {
        given_up::settle(self, true);
    }
}

/// Our end of pingora.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) edge: Arc<Edge>,
    /// The worker's connections to origins that wait for a request.
    pub(crate) pool: Arc<Pool>,
}

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange::default()
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Exchange) -> Result<()> {
        // The guard keeps all deadlines of the client's side.
        session.set_read_timeout(None);
        ctx.conn = conn_of(session);
        if ctx.conn.as_ref().is_some_and(|conn| conn.is_at_last()) {
            session.set_keepalive(None);
        }
        if ctx.conn.as_ref().is_some_and(|conn| conn.is_h2()) {
            // Below, windows that nobody opens look like nothing to send.
            let stall = Duration::from_millis(self.edge.limits.write_stall_ms);
            session.set_write_timeout(Some(stall));
        }
        // HTTP/1.0 knows no answer before the answer (RFC 9110 §15.2).
        let is_old = session.req_header().version < Version::HTTP_11;
        session.set_ignore_info_resp(is_old);
        ctx.admitted = ctx.conn.as_ref().and_then(|conn| conn.take_admitted());
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Exchange) -> Result<bool> {
        if ctx.admitted.is_some() {
            return Ok(false);
        }
        if let Some(conn) = ctx.conn.clone().filter(|conn| conn.is_h2()) {
            let left_out = normalize(session.req_header_mut())?;
            let dropped = &self.edge.counters.dropped_headers_with_underscores;
            dropped.fetch_add(left_out, Relaxed);
            let next = self.judge(&conn, session);
            return http2::obey(next, &conn, (session, ctx), &self.edge).await;
        }
        count(&self.edge.counters.unadmitted);
        error_response::answer(session, 500).await;
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        retry::next_peer(ctx, &self.pool).map(Box::new)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Exchange,
    ) -> Result<()> {
        let admitted = ctx.admitted.as_ref().ok_or_else(unadmitted)?;
        if !admitted.is_normal() {
            // What is left out was counted as it was judged.
            let _left_out = normalize(request)?;
        }
        headers::dress(request, admitted.asker())?;
        if session.is_body_empty() {
            headers::say_no_body(request)
        } else {
            headers::end_after_odd_body(request)
        }
    }

    /// Of a last piece without bytes the engine makes a last chunk, and then writes the last chunk:
    /// the second would stand before the next request on the connection, which may be another
    /// client's. HTTP/2 ends a body with an empty frame.
    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        is_last: bool,
        _ctx: &mut Exchange,
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
        ctx: &mut Exchange,
    ) -> Result<()> {
        let (Some(conn), Some(admitted)) = (&ctx.conn, &ctx.admitted) else {
            return Err(unadmitted());
        };
        headers::enter_phase(conn, admitted, response.status.as_u16())?;
        headers::undress(response, admitted.route())?;
        if session.req_header().version < Version::HTTP_11 && headers::unchunk(response) {
            session.set_keepalive(None);
        }
        retry::answered(ctx, response.status.as_u16());
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Exchange,
        error: Box<Error>,
    ) -> Box<Error> {
        retry::unreached(ctx, error)
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _fd: RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Exchange,
    ) -> Result<()> {
        retry::sent(ctx);
        Ok(())
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Exchange,
        _is_reused: bool,
    ) -> Box<Error> {
        retry::broken_off(ctx, error, Again::of(session))
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Exchange,
    ) -> FailToProxy {
        let status = error_response::status_of(&self.edge.counters, ctx.conn.as_deref(), error);
        retry::failed(ctx, status);
        error_response::answer(session, status).await;
        FailToProxy { error_code: status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Exchange) {
        if let Some(turn) = ctx.turn.take() {
            http2::settle(&turn, error, &self.edge);
        }
        if let Some(admitted) = &mut ctx.admitted {
            let status = session.response_written().map_or(0, |r| r.status.as_u16());
            admitted.note(status, session.body_bytes_sent() as u64);
        }
        given_up::settle(ctx, given_up::is_left(error));
    }

    /// Our counters say it; pingora's line would name addresses.
    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Exchange,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    /// Nothing of the request goes into anybody's log line.
    fn request_summary(&self, _: &Session, _: &Exchange) -> String {
        String::new()
    }
}

impl Service {
    /// Judges a request of HTTP/2, which never passes our own loop.
    fn judge(&self, conn: &Conn, session: &Session) -> Next {
        let head = http2::as_head(session.req_header());
        let requests = conn.next_request(self.edge.limits.connection_requests_max);
        let nth = Nth { requests, mode: Mode::Serving, now: (self.edge.now)() };
        judge(&self.edge, conn, (&head, head.len()), &nth).next
    }
}

/// A request that nobody admitted: cannot happen while `request_filter` stands.
pub(crate) fn unadmitted() -> Box<Error> {
    Error::explain(ErrorType::InternalError, "not admitted")
}
