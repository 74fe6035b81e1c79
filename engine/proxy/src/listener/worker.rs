//! A worker: one thread, one runtime, and its share of every listening socket.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::http_proxy;
use seawall_model::Tick;
use tokio::task::JoinSet;

use crate::admission::concurrency_limit::Admission;
use crate::connection::table::Registry;
use crate::context::Edge;
use crate::fairness::egress::Egress;
use crate::http1::server::Server;
use crate::http2::{self, Requests};
use crate::listener::acceptor::Accept;
use crate::metrics::count;
use crate::overload::Overload;
use crate::shutdown::Stop;
use crate::shutdown::heartbeat::BEAT_MS;
use crate::shutdown::heartbeat::Beats;
use crate::tls::Secrecy;
use crate::upstream::pingora_service::Service;
use crate::upstream::pool::Pool;

/// One thread that accepts and serves.
pub(crate) struct Worker {
    pub(super) edge: Arc<Edge>,
    pub(super) admission: Arc<Admission>,
    pub(super) registry: Arc<Registry>,
    pub(super) registries: Arc<[Arc<Registry>]>,
    pub(super) stop: Stop,
    pub(super) beats: Beats,
}

impl Worker {
    /// Serves until the data plane stops.
    pub(crate) fn run(self, listeners: Vec<(TcpListener, Option<Secrecy>)>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Without a runtime (no descriptors left) the other workers go on.
        let Ok(runtime) = runtime else {
            count(&self.edge.counters.accept_errors);
            return;
        };
        runtime.block_on(async move {
            let limits = &self.edge.limits;
            let conf = ServerConf {
                threads: 1,
                // Ours is below it (`link::pool`).
                upstream_keepalive_pool_size: 1,
                max_retries: limits.origin_attempts_max,
                ..ServerConf::default()
            };
            let processor = Arc::new(self.edge.processor());
            tokio::spawn(Arc::clone(&processor).run(Arc::clone(&self.edge)));
            // On every worker: each must be able to go before the others.
            tokio::spawn(Egress::run(Arc::clone(&self.edge.shares)));
            let registries = Arc::clone(&self.registries);
            tokio::spawn(Overload::watch(Arc::clone(&self.edge), registries));
            let pool = Pool::new(limits.origin_idle_connections_max, limits.origin_idle_ms);
            let pool = Arc::new(pool);
            tokio::spawn(Arc::clone(&pool).run());
            let service = Service { edge: Arc::clone(&self.edge), pool };
            let mut proxy = http_proxy(&Arc::new(conf), service);
            proxy.h2_options = Some(http2::options(limits));
            proxy.server_options = Some(http2::server_options(limits));
            let proxy = Arc::new(proxy);
            let requests = Arc::new(Requests {
                edge: Arc::clone(&self.edge),
                proxy: Arc::clone(&proxy),
                processor: Arc::clone(&processor),
                stop: self.stop.clone(),
            });
            let server = Server { edge: self.edge, proxy, requests, stop: self.stop, processor };
            let registry = self.registry;
            let mut loops = JoinSet::new();
            let _beating = tokio::spawn(beat(self.beats));
            // It ends with the runtime: bans end connections for as long as there are any.
            let watch = Arc::clone(&registry).watch(Arc::clone(&server.edge), server.stop.clone());
            let _watching = tokio::spawn(watch);
            for (listener, secrecy) in listeners {
                let accept = Accept {
                    secrecy,
                    server: server.clone(),
                    registry: Arc::clone(&registry),
                    registries: Arc::clone(&self.registries),
                    admission: Arc::clone(&self.admission),
                    open: JoinSet::new(),
                    full_until: Tick(0),
                };
                loops.spawn(accept.run(listener));
            }
            while loops.join_next().await.is_some() {}
        });
    }
}

/// Counts the rounds of a worker: one that is stuck counts none.
async fn beat(beats: Beats) {
    loop {
        beats.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
    }
}
