//! A connection from accept until its HTTP version is known: PROXY header, TLS, site.

use std::sync::Arc;

use seawall_model::Client;
use tokio::net::TcpStream;

use crate::admission::concurrency_limit::ConcurrencyPermit;
use crate::connection::Connection;
use crate::connection::io::DownstreamIo;
use crate::connection::open_guard::OpenConnectionGuard;
use crate::connection::table::{ConnectionTable, TableEntryGuard};
use crate::context::SharedContext;
use crate::fairness::SiteConnectionGuard;
use crate::fairness::cpu::CpuAccounted;
use crate::fairness::site_client::SiteClient;
use crate::http1::server::HttpServer;
use crate::http1::stream::Http1Stream;
use crate::http2::Http2Stream;
use crate::limits::millis;
use crate::listener::acceptor::{reset, should_accept};
use crate::listener::proxy_protocol::{ProxyHeader, read_proxy_header};
use crate::metrics::{count, reject_connection, reject_proxy_header};
use crate::tls::{HandshakeError, TlsTerminator};

/// A connection with a permit, before a byte is read.
pub(crate) struct PendingConnection {
    pub(super) server: HttpServer,
    pub(super) registry: Arc<ConnectionTable>,
    pub(super) secrecy: Option<TlsTerminator>,
    pub(super) permit: ConcurrencyPermit,
    pub(super) client: Client,
    pub(super) port: u16,
}

impl PendingConnection {
    /// Reads the client's address from a trusted proxy, then serves the client like a direct one.
    pub(crate) async fn receive(mut self, mut stream: TcpStream) {
        let mut stop = self.server.stop.clone();
        let edge = Arc::clone(&self.server.edge);
        let introduced = tokio::select! {
            biased;
            () = stop.closing() => return,
            introduced = read_proxy_header(&mut stream, &edge.limits) => introduced,
        };
        match introduced {
            Ok(ProxyHeader::Client(address)) => {
                self.client = Client::of(address.ip(), &edge.units);
                self.port = address.port();
                if !self.is_welcome() {
                    return reset(&stream);
                }
            }
            Ok(ProxyHeader::Local) => {}
            Err(why) => {
                reject_proxy_header(&edge.counters, why);
                return reset(&stream);
            }
        }
        self.serve(stream).await;
    }

    /// Applies the same limits to the client that a proxy named as to a direct client. It may be a
    /// trusted proxy as well, which forwards for others.
    fn is_welcome(&mut self) -> bool {
        let edge = &self.server.edge;
        if edge.trusted.contains(self.client.ip) {
            return true;
        }
        if !should_accept(edge, &self.client) {
            return false;
        }
        let named = self.permit.name(&self.client);
        named.inspect_err(|why| reject_connection(&edge.counters, *why)).is_ok()
    }

    /// Returns the future that serves the connection. The connection is in the table before its
    /// first poll: in a burst of new connections some may have to be evicted before any has run.
    pub(crate) fn serve(self, stream: TcpStream) -> impl Future<Output = ()> {
        let now = (self.server.edge.now)();
        let edge = &self.server.edge;
        let trusted_idle_ms = millis(edge.limits.settings.trusted_proxies.idle_timeout);
        let idle_ms = edge.trusted.contains(self.client.ip).then_some(trusted_idle_ms);
        let conn = Arc::new(Connection::new(self.client, self.port, now).idle_for(idle_ms));
        let entry = self.registry.enter(Arc::clone(&conn));
        let presence = SiteConnectionGuard::new(&self.server.edge.shares, &conn);
        let processor = Arc::clone(&self.server.processor);
        let held = (self.permit, entry, presence);
        let life = serve(self.server, (stream, self.secrecy), Arc::clone(&conn), held);
        CpuAccounted::new(Box::pin(life), conn, processor)
    }
}

/// Serves one connection until it ends or its client is banned.
async fn serve(
    server: HttpServer,
    (stream, secrecy): (TcpStream, Option<TlsTerminator>),
    conn: Arc<Connection>,
    _held: (ConcurrencyPermit, TableEntryGuard, SiteConnectionGuard),
) {
    let _open = OpenConnectionGuard::new(&server.edge);
    let serving = async {
        let Some(wire) = negotiate_tls(&server.edge, stream, secrecy, &conn).await else { return };
        let limits = Arc::clone(&server.edge.limits);
        let counters = Arc::clone(&server.edge.counters);
        if conn.is_h2() {
            let stream = Http2Stream::new(wire, Arc::clone(&conn), limits, counters);
            return Box::pin(server.serve_h2(stream, &conn)).await;
        }
        let stream = Http1Stream::new(wire, Arc::clone(&conn), limits, counters);
        // Boxed as well, so that HTTP/2 connections do not reserve the memory of HTTP/1.
        Box::pin(server.serve(Box::new(stream))).await;
    };
    tokio::select! {
        biased;
        () = conn.aborted() => {}
        () = serving => {}
    }
}

/// Returns the transport for HTTP: the connection itself, or TLS on it.
async fn negotiate_tls(
    edge: &SharedContext,
    stream: TcpStream,
    secrecy: Option<TlsTerminator>,
    conn: &Connection,
) -> Option<DownstreamIo> {
    let Some(secrecy) = secrecy else { return Some(DownstreamIo::Plain(stream)) };
    match Box::pin(secrecy.accept(stream, |sni| is_welcome(edge, conn, sni))).await {
        Ok((wire, spoken)) => {
            count(&edge.counters.tls.handshakes.success);
            conn.set_tls_info(spoken);
            Some(DownstreamIo::Tls(wire))
        }
        Err(why) => {
            count(match why {
                HandshakeError::NotTls => &edge.counters.tls.handshakes.not_tls,
                HandshakeError::Handshake => &edge.counters.tls.handshakes.failure,
                HandshakeError::Timeout => &edge.counters.tls.handshakes.timeout,
                HandshakeError::Rejected => &edge.counters.connections.rejected.site_share,
            });
            None
        }
    }
}

/// Charges a connection to the site of its server name, and returns whether it is within the
/// limits. One with an unknown name is rejected later, and a trusted proxy's is charged to no site.
fn is_welcome(edge: &SharedContext, conn: &Connection, sni: Option<&str>) -> bool {
    let Some(route) = sni.and_then(|sni| edge.sites.find(sni)) else { return true };
    if edge.trusted.contains(conn.client.ip) {
        return true;
    }
    let (live, now) = (edge.handle.load(), (edge.now)());
    let visit = SiteClient { route, client: &conn.client, state: &live.state, now };
    edge.shares.charge_connection(conn, &visit)
}
