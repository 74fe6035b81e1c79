//! The accept loop: limits on connections, checked before a byte is read.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use seawall_model::{Client, Tick};
use seawall_state::BanScope;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::admission::concurrency_limit::{
    ConcurrencyLimiter, ConcurrencyPermit, LimitReached, SlotSource,
};
use crate::connection::table::{ConnectionTable, EvictionPriority};
use crate::context::SharedContext;
use crate::http1::server::HttpServer;
use crate::listener::handshake::PendingConnection;
use crate::metrics::{count, reject_connection};
use crate::overload;
use crate::shutdown::ShutdownSignal;
use crate::tls::TlsTerminator;

/// Milliseconds without a new search after no connection could be evicted. A search costs more than
/// a rejection, and a flood causes thousands of rejections per second.
const EVICTION_RETRY_MS: u64 = 5;

/// The accept loop of one worker on one address.
pub(crate) struct Acceptor {
    pub(super) server: HttpServer,
    pub(super) secrecy: Option<TlsTerminator>,
    pub(super) admission: Arc<ConcurrencyLimiter>,
    pub(super) registry: Arc<ConnectionTable>,
    /// The connection tables of all workers.
    pub(super) registries: Arc<[Arc<ConnectionTable>]>,
    pub(super) open: JoinSet<()>,
    /// Until then no eviction is tried: none was possible.
    pub(super) full_until: Tick,
}

impl Acceptor {
    pub(crate) async fn run(mut self, listener: TcpListener) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            count(&self.server.edge.counters.connections.accept_errors);
            return;
        };
        let mut stop = self.server.stop.clone();
        let mut gate = stop.gate();
        let mut burst: u32 = 0;
        loop {
            let is_open = *gate.borrow_and_update();
            tokio::select! {
                biased;
                () = stop.asked() => break,
                Ok(()) = gate.changed() => {}
                Some(ended) = self.open.join_next(), if !self.open.is_empty() => self.note(ended),
                accepted = listener.accept(), if is_open => {
                    burst += 1;
                    match accepted {
                        Ok((stream, peer)) => self.admit(stream, peer),
                        Err(_) => self.pause().await,
                    }
                    if burst >= self.server.edge.limits.accept_batch {
                        burst = 0;
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        drop(listener);
        self.drain(&mut stop).await;
    }

    /// Admits a connection, or resets it.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let edge = Arc::clone(&self.server.edge);
        count(&edge.counters.connections.total);
        let client = Client::of(peer.ip(), &edge.units);
        let is_hop = edge.trusted.contains(peer.ip());
        if !is_hop && !should_accept(&edge, &client) {
            reset(&stream);
            return;
        }
        match self.enter((!is_hop).then_some(&client)) {
            Ok(permit) => {
                let guest = PendingConnection {
                    server: self.server.clone(),
                    registry: Arc::clone(&self.registry),
                    secrecy: self.secrecy.clone(),
                    permit,
                    client,
                    port: peer.port(),
                };
                if is_hop && edge.trusted.proxy_protocol {
                    self.open.spawn(guest.receive(stream));
                } else {
                    self.open.spawn(guest.serve(stream));
                }
            }
            Err(why) => {
                reject_connection(&edge.counters, why);
                reset(&stream);
            }
        }
    }

    /// Acquires a permit: a free one, or one for which an idle connection is evicted.
    fn enter(&mut self, client: Option<&Client>) -> Result<ConcurrencyPermit, LimitReached> {
        match self.admission.enter(client, SlotSource::Free) {
            Err(LimitReached::Total) if self.make_room(client) => {
                count(&self.server.edge.counters.connections.closed.evicted);
                self.admission.enter(client, SlotSource::Evicted)
            }
            entered => entered,
        }
    }

    /// Evicts a connection of this worker, or of another one. If all connections are new, this only
    /// happens for known clients and for trusted proxies: a flood of new connections without
    /// requests must not keep these out.
    fn make_room(&mut self, client: Option<&Client>) -> bool {
        let edge = &self.server.edge;
        let SharedContext { limits, shares, overload, trusted, .. } = &**edge;
        let (own, all) = (&self.registry, &self.registries);
        let make = |priority| {
            let make =
                |of: &ConnectionTable| of.evict_one(limits, priority, |conn| shares.is_over(conn));
            make(own) || all.iter().filter(|other| !Arc::ptr_eq(own, other)).any(|of| make(of))
        };
        let now = (edge.now)();
        if now >= self.full_until {
            if make(EvictionPriority::Normal) {
                return true;
            }
            self.full_until = now.plus_ms(EVICTION_RETRY_MS);
        }
        overload.note_trouble(now, limits);
        let is_known = match client {
            Some(client) => {
                overload.is_known_client((&edge.handle.load().state, client), now, limits)
            }
            // Before its PROXY header has arrived, the client of a connection is unknown.
            None => !trusted.proxy_protocol,
        };
        is_known && make(EvictionPriority::High)
    }

    async fn pause(&self) {
        count(&self.server.edge.counters.connections.accept_errors);
        tokio::time::sleep(Duration::from_millis(self.server.edge.limits.accept_error_backoff_ms))
            .await;
    }

    fn note(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            count(&self.server.edge.counters.panics);
        }
    }

    /// Lets the requests in flight end, then aborts the rest.
    async fn drain(&mut self, stop: &mut ShutdownSignal) {
        let within = tokio::time::sleep(stop.within());
        tokio::pin!(within);
        loop {
            let is_leaving = !stop.is_closing();
            tokio::select! {
                biased;
                ended = self.open.join_next() => match ended {
                    Some(ended) => self.note(ended),
                    None => return,
                },
                () = stop.closing(), if is_leaving => {
                    within.as_mut().reset(tokio::time::Instant::now() + stop.within());
                }
                () = &mut within => break,
            }
        }
        stop.cut();
        self.open.shutdown().await;
    }
}

/// Returns whether this client is neither banned nor over its connection rate limit. Its autonomous
/// system is not known here.
pub(crate) fn should_accept(edge: &SharedContext, client: &Client) -> bool {
    let (live, now) = (edge.handle.load(), (edge.now)());
    if live.state.bans().covers(client, None, BanScope::Host, now).is_some() {
        count(&edge.counters.connections.rejected.banned);
        return false;
    }
    if !overload::should_accept(edge, &live.state, client, now) {
        return false;
    }
    if edge.arrivals.is_over(&live.state, client, now) && !edge.connections.exempts(client) {
        count(&edge.counters.connections.rejected.connection_rate);
        return false;
    }
    true
}

/// Makes closing send a reset; a socket that rejects the option is closed normally instead.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}
