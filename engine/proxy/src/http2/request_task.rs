//! The requests of HTTP/2, each stepped by the library as a task of its own.
//!
//! What such a task does (judging, waiting for the origin, passing on the answer) is measured and
//! waits for its site's turn as a connection's own steps do. Otherwise whoever speaks HTTP/2 would
//! have the processor for the price of frames.
//!
//! Where this does not protect you: a request for nobody, on a connection whose name is nobody's, is
//! no site's. Such a connection is told to end with the first of them (`ConnectionOptions::count_unroutable_request`).

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

/// Pingora's proxy for connections in HTTP/2.
pub(crate) struct Http2App {
    pub(crate) edge: Arc<SharedContext>,
    pub(crate) proxy: Arc<HttpProxy<PingoraService>>,
    pub(crate) processor: Arc<CpuScheduler>,
    pub(crate) stop: ShutdownSignal,
}

impl Http2App {
    /// The number of the site that a request is for, where its connection belongs to none: it serves
    /// none yet, or it is a hop's and brings requests for many.
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
            // The hooks refuse what comes over no connection of ours.
            return self.proxy.process_new_http(session, shutdown).await;
        };
        conn.handed_on.fetch_add(1, Relaxed);
        // From before its first turn on: a stop lets it end.
        let _busy = self.stop.busy();
        let site = self.site(&conn, session.req_header());
        let life = self.proxy.process_new_http(session, shutdown);
        let life = CpuAccounted::new(life, Arc::clone(&conn), Arc::clone(&self.processor));
        let mut life = life.for_site(site);
        let mut left = pin!(conn.accounting_ended());
        std::future::poll_fn(|cx| {
            // Who waits for a first turn when its connection has gone has nobody to answer, and would
            // hold its head beyond every limit.
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
