//! A worker: one thread with one runtime that accepts from every listening socket.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use seawall_model::Tick;
use tokio::task::JoinSet;

use crate::admission::concurrency_limit::ConcurrencyLimiter;
use crate::connection::table::ConnectionTable;
use crate::context::SharedContext;
use crate::fairness::egress::EgressScheduler;
use crate::http1::server::HttpServer;
use crate::limits::millis;
use crate::listener::acceptor::Acceptor;
use crate::metrics::count;
use crate::overload::OverloadManager;
use crate::shutdown::ShutdownSignal;
use crate::shutdown::heartbeat::BEAT_MS;
use crate::shutdown::heartbeat::Heartbeat;
use crate::tls::TlsTerminator;
use crate::upstream::pool::Pool;

/// One thread that accepts and serves.
pub(crate) struct Worker {
    pub(super) edge: Arc<SharedContext>,
    pub(super) admission: Arc<ConcurrencyLimiter>,
    pub(super) registry: Arc<ConnectionTable>,
    pub(super) registries: Arc<[Arc<ConnectionTable>]>,
    pub(super) stop: ShutdownSignal,
    pub(super) beats: Heartbeat,
}

impl Worker {
    /// Serves until the data plane stops.
    pub(crate) fn run(self, listeners: Vec<(TcpListener, Option<TlsTerminator>)>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Without a runtime (no free descriptors) the other workers continue.
        let Ok(runtime) = runtime else {
            count(&self.edge.counters.connections.accept_errors);
            return;
        };
        runtime.block_on(async move {
            let limits = &self.edge.limits;
            let processor = Arc::new(self.edge.processor());
            tokio::spawn(Arc::clone(&processor).run(Arc::clone(&self.edge)));
            // On every worker: each one may end before the others.
            tokio::spawn(EgressScheduler::run(Arc::clone(&self.edge.shares)));
            let registries = Arc::clone(&self.registries);
            tokio::spawn(OverloadManager::watch(Arc::clone(&self.edge), registries));
            let pool = Pool::new(
                limits.settings.origins.max_idle_connections_per_worker,
                millis(limits.settings.origins.keepalive_timeout),
            );
            let pool = Arc::new(pool);
            tokio::spawn(Arc::clone(&pool).run());
            let server = HttpServer { edge: self.edge, pool, stop: self.stop, processor };
            let registry = self.registry;
            let mut loops = JoinSet::new();
            let _beating = tokio::spawn(record_heartbeat(self.beats));
            // It ends with the runtime: bans end connections for as long as there are any.
            let watch = Arc::clone(&registry).watch(Arc::clone(&server.edge), server.stop.clone());
            let _watching = tokio::spawn(watch);
            for (listener, secrecy) in listeners {
                let accept = Acceptor {
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

/// Counts the rounds of a worker: a worker that hangs counts none.
async fn record_heartbeat(beats: Heartbeat) {
    loop {
        beats.fetch_add(1, Relaxed);
        tokio::time::sleep(Duration::from_millis(BEAT_MS)).await;
    }
}
