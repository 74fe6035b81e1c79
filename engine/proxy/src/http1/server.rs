//! Serves one client connection in HTTP/1: request after request.
//!
//! It reads each header section, and sends local responses. An admitted request is forwarded by
//! [`InFlight`].

use std::pin::{Pin, pin};
use std::sync::Arc;

use seawall_model::Tick;

use crate::connection::Connection;
use crate::context::SharedContext;
use crate::fairness::cpu::CpuScheduler;
use crate::forward::in_flight::{Ended, InFlight};
use crate::forward::outgoing::OutgoingRequest;
use crate::forward::while_here::while_here;
use crate::http1::body_buffer::BodyFailure;
use crate::http1::head::{Framing, HeadError};
use crate::http1::stream::{Http1Stream, NextRequest};
use crate::limits::millis;
use crate::metrics::count;
use crate::request::enforce::{Action, AdmittedRequest, TarpitGuard};
use crate::request::evaluate::{
    BodySource, ConnectionMode, RequestOrdinal, RequestPlan, evaluate, invalid_request,
};
use crate::request::local_response::LocalResponse;
use crate::shutdown::ShutdownSignal;
use crate::upstream::pool::Pool;

/// Serves the connections of a worker.
#[derive(Clone)]
pub(crate) struct HttpServer {
    pub(crate) edge: Arc<SharedContext>,
    /// The worker's idle connections to origins.
    pub(crate) pool: Arc<Pool>,
    pub(crate) stop: ShutdownSignal,
    pub(crate) processor: Arc<CpuScheduler>,
}

impl HttpServer {
    /// Serves one connection to its end.
    pub(crate) async fn serve(mut self, mut stream: Box<Http1Stream>) {
        let mut requests: u32 = 0;
        // One for all requests: creating one costs more than reading a header section.
        let mut stop = self.stop.clone();
        let mut closing = pin!(stop.closing());
        loop {
            let Some(found) = self.next_head(&mut stream, closing.as_mut()).await else {
                // The last response may not be sent yet.
                let _ = stream.flush().await;
                return;
            };
            let _busy = self.stop.busy();
            requests = requests.saturating_add(1);
            let (head_bytes, step) = self.judge(&stream, found, requests);
            let end = request_bytes(head_bytes, step.framing);
            // No data of the client is in flight that would cause a reset.
            let is_gone = step.client_closes
                && matches!(step.framing, Framing::Length(_))
                && stream.ahead().len() == end;
            match step.next {
                Action::Forward(mut granted) => {
                    stream.start_request();
                    if step.expects_continue {
                        stream.send_100_continue(head_bytes);
                    }
                    let (here, body_bytes) =
                        match stream.buffer_body(head_bytes, step.framing).await {
                            Ok(here) => here,
                            Err(BodyFailure::Malformed) => {
                                count(&self.edge.counters.connections.closed.invalid_chunked_body);
                                granted.note_response(400);
                                let _closed = stream.answer(&LocalResponse::last(400), end).await;
                                return;
                            }
                            Err(BodyFailure::Closed) => return,
                        };
                    let placed = while_here(&mut *stream, pin!(granted.acquire_slot(here))).await;
                    match placed {
                        Some(Ok(admitted)) => {
                            stream.skip(head_bytes);
                            let last = step.client_closes;
                            if !self.forward(&mut stream, admitted, (body_bytes, last)).await {
                                return;
                            }
                        }
                        Some(Err(answer)) if stream.answer(&answer, end).await => {}
                        Some(Err(_)) | None => return,
                    }
                }
                Action::Respond(answer) if is_gone => {
                    stream.conn.stake.note_astray();
                    return stream.close_lingering(&answer).await;
                }
                Action::Respond(answer) => {
                    stream.conn.stake.note_astray();
                    if !stream.answer(&answer, end).await {
                        return;
                    }
                }
                Action::Reset => {
                    stream.abort();
                    return;
                }
                Action::Tarpit(held) => {
                    self.hold(held).await;
                    stream.abort();
                    return;
                }
            }
        }
    }

    /// Waits for the tarpit's duration, but not beyond the end of the data plane.
    async fn hold(&mut self, held: TarpitGuard) {
        let until = tokio::time::sleep(std::time::Duration::from_millis(held.hold_ms));
        tokio::select! {
            () = until => {}
            () = self.stop.closing() => {}
        }
    }

    /// Returns whether the connection may be kept after its request number `requests`.
    fn mode(&self, conn: &Connection, requests: u32, now: Tick) -> ConnectionMode {
        let limits = &self.edge.limits;
        let age_ms = now.since_ms(conn.accepted);
        if requests >= limits.settings.connections.max_requests_per_connection
            || age_ms >= millis(limits.settings.connections.max_connection_duration)
        {
            count(&self.edge.counters.connections.closed.max_requests_or_duration);
            return ConnectionMode::LastResponse;
        }
        if self.stop.is_asked() { ConnectionMode::LastResponse } else { ConnectionMode::KeepAlive }
    }

    /// Evaluates what was found in place of a header section.
    fn judge(
        &self,
        stream: &Http1Stream,
        found: Result<usize, HeadError>,
        requests: u32,
    ) -> (usize, RequestPlan) {
        let now = (self.edge.now)();
        let mode = self.mode(&stream.conn, requests, now);
        match found {
            Ok(len) => {
                let front = (stream.ahead(), len);
                (
                    len,
                    evaluate(
                        &self.edge,
                        &stream.conn,
                        front,
                        &RequestOrdinal { requests, mode, now, body: BodySource::Header },
                    ),
                )
            }
            Err(why) => (0, invalid_request(&self.edge, why)),
        }
    }

    /// Returns the next header section, if one comes. A connection on which none has begun ends
    /// when the data plane stops, unless it drains.
    async fn next_head(
        &self,
        stream: &mut Http1Stream,
        mut closing: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<Result<usize, HeadError>> {
        loop {
            let is_closing = self.stop.is_closing();
            if is_closing && !stream.has_begun() {
                return None;
            }
            tokio::select! {
                biased;
                found = stream.next_head() => return match found {
                    NextRequest::Complete(len) => Some(Ok(len)),
                    NextRequest::Invalid(why) => Some(Err(why)),
                    NextRequest::Closed => None,
                },
                () = closing.as_mut(), if !is_closing => {}
            }
        }
    }

    /// Forwards a request of which `body_bytes` are at the front of the stream. Returns whether the
    /// connection is kept.
    async fn forward(
        &self,
        stream: &mut Http1Stream,
        (admitted, request): (AdmittedRequest, OutgoingRequest),
        (body_bytes, client_closes): (usize, bool),
    ) -> bool {
        let (retry, body) = (request.retry(), request.body_mode());
        let begun = request.into_exchange(stream.ahead(), body_bytes, &self.edge.limits);
        let Some((exchange, taken)) = begun else { return false };
        stream.skip(taken);
        let mut request = InFlight::new(admitted, (exchange, retry), &self.pool);
        match request.run(stream, &self.stop).await {
            Ended::Forwarded { keeps_client: true } => {
                stream.put_back(request.pipelined());
                return true;
            }
            Ended::Forwarded { keeps_client: false } => {
                // No data of the client is in flight that would cause a reset.
                if client_closes && stream.ahead().is_empty() && request.pipelined().is_empty() {
                    stream.finish().await;
                } else {
                    stream.close().await;
                }
            }
            Ended::Failed(status) => {
                stream.queue(request.unsent());
                request.release(status);
                // Its buffers are not needed while the client reads.
                drop(request);
                // A retry in a second may find an origin.
                let retry_after_ms = (status == 503).then_some(1_000);
                let answer = LocalResponse { retry_after_ms, body, ..LocalResponse::last(status) };
                let _closed = stream.answer(&answer, 0).await;
            }
            Ended::Incomplete { is_visible: true } => stream.close().await,
            Ended::Incomplete { is_visible: false } => stream.abort(),
            Ended::ClientGone => {}
        }
        false
    }
}

/// Returns the length of a request that is buffered whole.
fn request_bytes(head_bytes: usize, framing: Framing) -> usize {
    match framing {
        Framing::Length(body) => {
            head_bytes.saturating_add(usize::try_from(body).unwrap_or(usize::MAX))
        }
        Framing::Chunked => head_bytes,
    }
}
