//! HTTP/2: monitored frames, and requests that are evaluated and forwarded like all others.
//!
//! The `h2` library implements the protocol, over a stream that monitors the frames. A request is
//! evaluated as the HTTP/1 header section that its origin will get, by the same parser and the same
//! code. So a request cannot pass in one version that is rejected in the other.

pub(crate) mod forward_window;
pub(crate) mod frame_monitor;
pub(crate) mod frames;
pub(crate) mod request;
pub(crate) mod request_head;
pub(crate) mod request_task;
pub(crate) mod stream;
pub(crate) mod stream_client;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use h2::server::Builder;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::http1::server::HttpServer;
use crate::metrics::count;
pub(crate) use stream::Http2Stream;

/// What the library counts for a `Cookie` header beside its value.
const COOKIE_FIELD_BYTES: usize = 32 + "cookie".len();

/// Returns the options of the library.
fn options(limits: &ProxyLimits) -> Builder {
    let mut options = Builder::new();
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

/// The requests of one connection that are not over.
#[derive(Debug, Default)]
pub(crate) struct OpenRequests {
    count: AtomicU32,
    /// Told when the last of them is over.
    none_left: Notify,
}

/// Counts a request of a connection while it lives.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<OpenRequests>);

impl OpenRequest {
    fn new(of: &Arc<OpenRequests>) -> Self {
        of.count.fetch_add(1, Relaxed);
        Self(Arc::clone(of))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Relaxed) == 1 {
            self.0.none_left.notify_one();
        }
    }
}

impl HttpServer {
    /// Serves one connection to its end. After a maximum of requests, at a maximum age, or when the
    /// data plane stops, it announces the last stream, and the current requests end.
    pub(crate) async fn serve_h2(self, stream: Http2Stream, conn: &Arc<Connection>) {
        let server = Arc::new(self);
        let (limits, counters) = (&server.edge.limits, &server.edge.counters);
        conn.turns.open(limits.h2_forward_window_initial);
        let Ok(mut requests) = options(limits).handshake::<_, Bytes>(stream).await else { return };
        let open = Arc::new(OpenRequests::default());
        let mut stop = server.stop.clone();
        let aged = tokio::time::sleep(limits.settings.connections.max_connection_duration);
        let idle = tokio::time::sleep(limits.h2_idle_timeout);
        tokio::pin!(aged, idle);
        let mut is_announced = false;
        loop {
            tokio::select! {
                biased;
                accepted = requests.accept() => {
                    let Some(Ok((request, respond))) = accepted else { return };
                    let open = OpenRequest::new(&open);
                    request_task::spawn(&server, conn, (request, respond), open);
                    continue;
                }
                () = open.none_left.notified() => {
                    idle.as_mut().reset(Instant::now() + limits.h2_idle_timeout);
                    continue;
                }
                () = &mut idle, if open.count.load(Relaxed) == 0 => return,
                () = conn.retire_requested(), if !is_announced => {}
                () = &mut aged, if !is_announced => {
                    count(&counters.connections.closed.max_requests_or_duration);
                }
                () = stop.asked(), if !is_announced => {}
            }
            is_announced = true;
            requests.graceful_shutdown();
        }
    }
}
