//! HTTP/2: monitored frames, and requests that are evaluated like all others.
//!
//! Pingora's library implements the protocol. A request is evaluated as the HTTP/1 header section
//! that its origin will get, by the same parser and the same code. So a request cannot pass in one
//! version that is rejected in the other.

pub(crate) mod forward_window;
pub(crate) mod frame_monitor;
pub(crate) mod frames;
pub(crate) mod request_task;
pub(crate) mod stream;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use pingora_core::apps::{HttpServerOptions, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::sync::watch;

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::context::SharedContext;
use crate::http1::server::Http1Server;
use crate::http1::stream::BodyBuffered;
use crate::metrics::count;
use crate::request::enforce::{Action, AllowedRequest};
use crate::request::local_response::{BodyMode, LocalResponse};
use crate::upstream::pingora_service::RequestContext;
use forward_window::ForwardSlot;
pub(crate) use request_task::Http2App;
pub(crate) use stream::Http2Stream;

/// What the library counts for a `Cookie` header beside its value.
const COOKIE_FIELD_BYTES: usize = 32 + "cookie".len();

/// Returns the options of the library.
pub(crate) fn options(limits: &ProxyLimits) -> H2Options {
    // From the defaults: a new value would have no limits.
    let mut options = default_h2_options();
    options.max_concurrent_streams(limits.h2_max_concurrent_streams);
    options.initial_window_size(limits.h2_initial_stream_window_bytes);
    options.initial_connection_window_size(limits.h2_initial_connection_window_bytes);
    options.max_send_buffer_size(limits.h2_send_buffer_bytes);
    // The library counts 32 bytes for each header (RFC 9113 §6.5.2). Without this, cookies in many
    // headers would be rejected that are accepted in one. The limit on the normalized header
    // section applies later.
    let cookie_fields = limits.h2_max_cookie_fields.saturating_mul(COOKIE_FIELD_BYTES);
    let list_bytes =
        limits.settings.requests.max_request_header_bytes.saturating_add(cookie_fields);
    options.max_header_list_size(u32::try_from(list_bytes).unwrap_or(u32::MAX));
    options.max_local_error_reset_streams(Some(limits.h2_max_server_resets as usize));
    options
}

/// Returns pingora's options for connections.
pub(crate) fn server_options(limits: &ProxyLimits) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(limits.h2_idle_timeout);
    options
}

impl Http1Server {
    /// Serves one connection to its end. After a maximum of requests, at a maximum age, or when the
    /// data plane stops, it announces the last stream, and the current requests end.
    pub(crate) async fn serve_h2(mut self, stream: Box<Http2Stream>, conn: &Connection) {
        let limits = &self.edge.limits;
        conn.turns.open(limits.h2_forward_window_initial);
        let aged = tokio::time::sleep(limits.settings.connections.max_connection_duration);
        tokio::pin!(aged);
        let (last, watched) = watch::channel(false);
        let serving = self.requests.process_new(stream, &watched);
        tokio::pin!(serving);
        let mut announced = self.stop.is_asked();
        if announced {
            last.send_replace(true);
        }
        loop {
            tokio::select! {
                biased;
                _ = &mut serving => return,
                () = conn.retire_requested(), if !announced => {}
                () = &mut aged, if !announced => count(&self.edge.counters.connections.closed.max_requests_or_duration),
                () = self.stop.asked(), if !announced => {}
            }
            announced = true;
            last.send_replace(true);
        }
    }
}

/// Returns a request as the HTTP/1 header section that its origin would get.
pub(crate) fn to_http1_head(request: &RequestHeader) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
    for part in [request.method.as_str(), " ", path, " HTTP/1.1\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut field = |name: &str, value: &[u8]| {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    };
    if let Some(authority) = authority {
        field("host", authority);
    }
    for (name, value) in &request.headers {
        // The library has checked that the two agree.
        if authority.is_none() || name != "host" {
            field(name.as_str(), value.as_bytes());
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Carries out the action for an HTTP/2 request. Returns whether it got a response.
pub(crate) async fn carry_out(
    next: Action,
    conn: &Arc<Connection>,
    (session, ctx): (&mut Session, &mut RequestContext),
    edge: &SharedContext,
) -> Result<bool> {
    match next {
        Action::Forward(granted) => return admit(granted, conn, session, ctx).await,
        Action::Respond(answer) => {
            send_local_response(session, &answer).await;
            // Other clients of a trusted proxy must not be affected by one of them.
            if conn.stake.site().is_none() && !edge.trusted.contains(conn.client.ip) {
                conn.stake.note_astray();
                conn.count_unroutable_request(edge.limits.h2_max_concurrent_streams);
            }
        }
        // All requests of the connection end with it, as in HTTP/1.
        Action::Reset => conn.abort(),
        Action::Tarpit(held) => {
            tokio::time::sleep(Duration::from_millis(held.hold_ms)).await;
            conn.abort();
        }
    }
    Ok(true)
}

/// Waits for a slot of the connection, then for the body, then acquires an origin slot.
async fn admit(
    granted: AllowedRequest,
    conn: &Arc<Connection>,
    session: &mut Session,
    ctx: &mut RequestContext,
) -> Result<bool> {
    let edge = Arc::clone(granted.edge());
    let within = edge.limits.settings.origins.response_header_timeout;
    let turn = pin!(tokio::time::timeout(
        within,
        forward_window::acquire(conn, edge.limits.h2_forward_window_max)
    ));
    let placed = match while_here(session, turn).await? {
        Ok(turn) => {
            ctx.turn = Some(turn);
            let here =
                read_ahead(session, edge.limits.settings.requests.request_buffer_bytes).await?;
            while_here(session, pin!(granted.acquire_slot(here))).await?
        }
        Err(_) => Err(granted.reject_forward_timeout()),
    };
    match placed {
        Ok((admitted, _)) => {
            ctx.admitted = Some(admitted);
            Ok(false)
        }
        Err(answer) => {
            send_local_response(session, &answer).await;
            Ok(true)
        }
    }
}

/// Waits for `place` for as long as the client wants its response, as `Http1Stream` does.
async fn while_here<P>(
    session: &mut Session,
    mut place: Pin<&mut impl Future<Output = P>>,
) -> Result<P> {
    let first = std::future::poll_fn(|cx| Poll::Ready(place.as_mut().poll(cx))).await;
    if let Poll::Ready(place) = first {
        return Ok(place);
    }
    let ServerSession::H2(stream) = session.as_downstream_mut() else { return Ok(place.await) };
    tokio::select! {
        biased;
        // A client that left while it waited must not get what became free now.
        _ = stream.idle() => {
            Error::e_explain(ErrorType::ConnectionClosed, "taken back").map_err(Error::into_down)
        }
        place = place => Ok(place),
    }
}

/// Reads a body of up to `most` bytes before the origin gets the request, or that much of a larger
/// one, as `Http1Stream` does. The bytes stay in the buffer that pingora keeps for a retry and
/// sends first. That buffer holds 64 KiB, so one frame more than `most` fits.
async fn read_ahead(session: &mut Session, most: usize) -> Result<BodyBuffered> {
    let session = session.as_downstream_mut();
    if session.is_body_done() {
        return Ok(BodyBuffered::Complete);
    }
    session.enable_retry_buffering();
    let mut read: usize = 0;
    while read < most {
        match session.read_request_body().await? {
            Some(bytes) => read = read.saturating_add(bytes.len()),
            None => return Ok(BodyBuffered::Complete),
        }
    }
    Ok(if session.is_body_done() { BodyBuffered::Complete } else { BodyBuffered::Partial })
}

/// Adjusts the forward window of a connection after a request has ended.
pub(crate) fn adjust_forward_window(
    turn: &ForwardSlot,
    error: Option<&Error>,
    edge: &SharedContext,
) {
    match error.map(|error| (error.esource(), error.etype())) {
        None => turn.earn(edge.limits.h2_forward_window_max),
        Some((ErrorSource::Downstream, ErrorType::WriteTimedout))
            if turn.is_stalled(edge.limits.h2_forward_window_initial) =>
        {
            count(&edge.counters.connections.closed.send_timeout);
        }
        Some(_) => {}
    }
}

async fn send_local_response(session: &mut Session, answer: &LocalResponse) {
    let Some(header) = answer.header() else { return };
    let text = answer.text();
    let without_body = answer.body == BodyMode::HeadersOnly;
    // A client that has left gets no response.
    if session.write_response_header(Box::new(header), without_body).await.is_ok() && !without_body
    {
        let _ = session.write_response_body(Some(Bytes::from(text)), true).await;
    }
}
