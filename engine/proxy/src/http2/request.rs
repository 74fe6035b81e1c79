//! One HTTP/2 request: its evaluation, the wait for its turn, and its forwarding.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::connection::Connection;
use crate::forward::in_flight::{Ended, InFlight};
use crate::forward::outgoing::OutgoingRequest;
use crate::forward::while_here::while_here;
use crate::http1::server::HttpServer;
use crate::http2::forward_window::{self, ForwardSlot};
use crate::http2::request_head::to_http1_head;
use crate::http2::request_task::Incoming;
use crate::http2::stream_client::StreamClient;
use crate::metrics::count;
use crate::request::enforce::{Action, AdmittedRequest, AllowedRequest};
use crate::request::evaluate::{
    BodySource, ConnectionMode, RequestOrdinal, evaluate, invalid_request,
};
use crate::request::local_response::LocalResponse;

/// Serves one request to its end.
pub(crate) async fn serve_request(
    server: &Arc<HttpServer>,
    conn: &Arc<Connection>,
    (request, respond): Incoming,
) {
    let edge = &server.edge;
    let (parts, body) = request.into_parts();
    let has_length = parts.headers.contains_key("content-length");
    let body_source = match has_length || body.is_end_stream() {
        true => BodySource::Header,
        false => BodySource::Stream,
    };
    let mut client = StreamClient::new(conn, &edge.limits, body, respond);
    let nth = RequestOrdinal {
        requests: conn.count_request(edge.limits.settings.connections.max_requests_per_connection),
        mode: ConnectionMode::KeepAlive,
        now: (edge.now)(),
        body: body_source,
    };
    let next = match to_http1_head(&parts, &edge.limits) {
        Ok(head) => evaluate(edge, conn, (&head, head.len()), &nth).next,
        Err(why) => invalid_request(edge, why).next,
    };
    // The origin's request has all of it.
    drop(parts);
    match next {
        Action::Forward(granted) => admit(server, conn, &mut client, granted).await,
        Action::Respond(answer) => {
            client.answer(&answer);
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
}

/// Waits for a slot of the connection, then for the body, then acquires an origin slot.
async fn admit(
    server: &HttpServer,
    conn: &Arc<Connection>,
    client: &mut StreamClient,
    granted: AllowedRequest,
) {
    let edge = Arc::clone(granted.edge());
    let within = edge.limits.settings.origins.response_header_timeout;
    let most = edge.limits.h2_forward_window_max;
    let turn = pin!(tokio::time::timeout(within, forward_window::acquire(conn, most)));
    let turn = match while_here(client, turn).await {
        Some(Ok(turn)) => turn,
        Some(Err(_)) => return client.answer(&granted.reject_forward_timeout()),
        None => return,
    };
    let most = edge.limits.settings.requests.request_buffer_bytes;
    let Ok(here) = client.buffer_body(most).await else { return };
    match while_here(client, pin!(granted.acquire_slot(here))).await {
        Some(Ok((admitted, request))) => {
            let request = request.framed(here, client.ahead().len());
            forward(server, client, (admitted, request), &turn).await;
        }
        Some(Err(answer)) => client.answer(&answer),
        None => {}
    }
}

async fn forward(
    server: &HttpServer,
    client: &mut StreamClient,
    (admitted, request): (AdmittedRequest, OutgoingRequest),
    turn: &ForwardSlot,
) {
    let limits = &server.edge.limits;
    let (retry, body) = (request.retry(), request.body_mode());
    let body_here = if request.is_in_chunks() {
        client.read_in_chunks();
        0
    } else {
        client.ahead().len()
    };
    let Some((exchange, taken)) = request.into_exchange(client.ahead(), body_here, limits) else {
        return;
    };
    client.skip(taken);
    let mut request = InFlight::new(admitted, (exchange, retry), &server.pool);
    match request.run(client, &server.stop).await {
        Ended::Forwarded { .. } => turn.earn(limits.h2_forward_window_max),
        Ended::Failed(status) => {
            request.release(status);
            // A retry in a second may find an origin.
            let retry_after_ms = (status == 503).then_some(1_000);
            client.answer(&LocalResponse { retry_after_ms, body, ..LocalResponse::last(status) });
        }
        Ended::Incomplete { .. } => client.reset(),
        Ended::ClientGone => {
            if client.is_stalled() && turn.is_stalled(limits.h2_forward_window_initial) {
                count(&server.edge.counters.connections.closed.send_timeout);
            }
        }
    }
}
