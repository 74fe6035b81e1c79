//! HTTP/2 requests, each of which is a task of its own.
//!
//! The task (evaluation, waiting for the origin, forwarding the response) is measured and throttled
//! for its site, as a connection is. Otherwise HTTP/2 clients would use CPU time that is charged as
//! frames only.
//!
//! Limitation: an unroutable request on a connection without a site belongs to no site. Such a
//! connection is retired with the first of them (`Connection::count_unroutable_request`).

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use crate::connection::Connection;
use crate::fairness::cpu::CpuAccounted;
use crate::http1::server::HttpServer;
use crate::http2::OpenRequest;
use crate::http2::request::serve_request;

/// A request, and the handle for its response.
pub(crate) type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// Serves a request on a task of its own.
pub(crate) fn spawn(
    server: &Arc<HttpServer>,
    conn: &Arc<Connection>,
    incoming: Incoming,
    open: OpenRequest,
) {
    conn.handed_on.fetch_add(1, Relaxed);
    // Held before the first poll: a graceful shutdown lets the request end.
    let busy = server.stop.busy();
    let site = site(server, conn, &incoming.0);
    let (server, conn) = (Arc::clone(server), Arc::clone(conn));
    tokio::spawn(async move {
        let _held = (busy, open);
        let processor = Arc::clone(&server.processor);
        let life = pin!(serve_request(&server, &conn, incoming));
        let mut life = CpuAccounted::new(life, Arc::clone(&conn), processor).for_site(site);
        let mut left = pin!(conn.accounting_ended());
        std::future::poll_fn(|cx| {
            // If the connection ended before the first poll, nothing can be sent. A waiting task
            // would keep its header section beyond every limit.
            if !life.has_begun() && left.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            Pin::new(&mut life).poll(cx)
        })
        .await;
    });
}

/// Returns the site of a request if its connection belongs to none: it has no site yet, or it is a
/// trusted proxy's and carries requests for many.
fn site(server: &HttpServer, conn: &Connection, request: &Request<RecvStream>) -> Option<usize> {
    if conn.stake.is_settled() {
        return None;
    }
    let named = request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(named)?;
    let route = server.edge.sites.find(&host.to_ascii_lowercase())?;
    Some(route.id.0 as usize)
}
