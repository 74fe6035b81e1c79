//! HTTP/2 requests, each of which the library runs as a task of its own.
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

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use pingora_http::RequestHeader;
use pingora_proxy::HttpProxy;

use crate::connection::Connection;
use crate::connection::pingora_stream::conn_of;
use crate::context::SharedContext;
use crate::fairness::cpu::{CpuAccounted, CpuScheduler};
use crate::shutdown::ShutdownSignal;
use crate::upstream::pingora_service::PingoraService;

/// Pingora's proxy for HTTP/2 connections.
pub(crate) struct Http2App {
    pub(crate) edge: Arc<SharedContext>,
    pub(crate) proxy: Arc<HttpProxy<PingoraService>>,
    pub(crate) processor: Arc<CpuScheduler>,
    pub(crate) stop: ShutdownSignal,
}

impl Http2App {
    /// Returns the site of a request if its connection belongs to none: it has no site yet, or it
    /// is a trusted proxy's and carries requests for many.
    fn site(&self, conn: &Connection, request: &RequestHeader) -> Option<usize> {
        if conn.stake.is_settled() {
            return None;
        }
        let named = request.headers.get("host").and_then(|host| host.to_str().ok());
        let host = request.uri.host().or(named)?;
        let route = self.edge.sites.find(&host.to_ascii_lowercase())?;
        Some(route.id.0 as usize)
    }
}

#[async_trait]
impl HttpServerApp for Http2App {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let Some(conn) = conn_of(&session) else {
            // The hooks reject requests that did not come over one of our connections.
            return self.proxy.process_new_http(session, shutdown).await;
        };
        conn.handed_on.fetch_add(1, Relaxed);
        // Held before the first poll: a graceful shutdown lets the request end.
        let _busy = self.stop.busy();
        let site = self.site(&conn, session.req_header());
        let life = self.proxy.process_new_http(session, shutdown);
        let life = CpuAccounted::new(life, Arc::clone(&conn), Arc::clone(&self.processor));
        let mut life = life.for_site(site);
        let mut left = pin!(conn.accounting_ended());
        std::future::poll_fn(|cx| {
            // If the connection ended before the first poll, nothing can be sent. A waiting task
            // would keep its header section beyond every limit.
            if !life.has_begun() && left.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            Pin::new(&mut life).poll(cx)
        })
        .await
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }
}
