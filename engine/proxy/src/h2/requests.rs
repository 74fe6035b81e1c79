//! The requests of HTTP/2, each stepped by the library as a task of its own.
//!
//! What such a task does (judging, waiting for the origin, passing on the answer) is measured and
//! waits for its site's turn as a connection's own steps do. Otherwise whoever speaks HTTP/2 would
//! have the processor for the price of frames.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use crate::service::{Service, conn_of};
use crate::shares::processor::{Measured, Processor};

/// Pingora's proxy for connections in HTTP/2.
pub(crate) struct Requests {
    pub(crate) proxy: Arc<HttpProxy<Service>>,
    pub(crate) processor: Arc<Processor>,
}

#[async_trait]
impl HttpServerApp for Requests {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let conn = conn_of(&session);
        let life = self.proxy.process_new_http(session, shutdown);
        match conn {
            Some(conn) => Measured::new(life, conn, Arc::clone(&self.processor)).await,
            // The hooks refuse what comes over no connection of ours.
            None => life.await,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }
}
