//! A connection that was accepted, until its HTTP version is known: PROXY header, TLS, site.

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
use crate::http1::server::Http1Server;
use crate::http1::stream::Http1Stream;
use crate::http2::Http2Stream;
use crate::limits::millis;
use crate::listener::acceptor::{reset, should_accept};
use crate::listener::proxy_protocol::{ProxyHeader, read_proxy_header};
use crate::metrics::count;
use crate::tls::{HandshakeError, TlsTerminator};

/// A connection that has a place, before anybody reads from it.
pub(crate) struct PendingConnection {
    pub(super) server: Http1Server,
    pub(super) registry: Arc<ConnectionTable>,
    pub(super) secrecy: Option<TlsTerminator>,
    pub(super) permit: ConcurrencyPermit,
    pub(super) client: Client,
    pub(super) port: u16,
}

impl PendingConnection {
    /// Learns from a trusted hop who the client is, then serves it as if it had come itself.
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
                edge.counters.refuse_introduction(why);
                return reset(&stream);
            }
        }
        self.serve(stream).await;
    }

    /// Asks of the client that a hop named what is asked of one that comes itself. It may be a
    /// listed hop as well, which forwards for others.
    fn is_welcome(&mut self) -> bool {
        let edge = &self.server.edge;
        if edge.trusted.contains(self.client.ip) {
            return true;
        }
        if !should_accept(edge, &self.client) {
            return false;
        }
        let named = self.permit.name(&self.client);
        named.inspect_err(|why| edge.counters.refuse_place(*why)).is_ok()
    }

    /// Its life. It can be ended from here on, and not only once its turn has come: of a burst of
    /// newcomers some may have to make room before any of them has run.
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

/// Serves one connection under guard, until it ends or its client is banned.
async fn serve(
    server: Http1Server,
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
            return Box::pin(server.serve_h2(Box::new(stream), &conn)).await;
        }
        let stream = Http1Stream::new(wire, Arc::clone(&conn), limits, counters);
        // Boxed as well: what a connection in HTTP/1 needs is not held by all that speak HTTP/2.
        Box::pin(server.serve(Box::new(stream))).await;
    };
    tokio::select! {
        biased;
        () = conn.aborted() => {}
        () = serving => {}
    }
}

/// What HTTP is spoken over: the connection itself, or TLS on it.
async fn negotiate_tls(
    edge: &SharedContext,
    stream: TcpStream,
    secrecy: Option<TlsTerminator>,
    conn: &Connection,
) -> Option<DownstreamIo> {
    let Some(secrecy) = secrecy else { return Some(DownstreamIo::Plain(stream)) };
    match Box::pin(secrecy.accept(stream, |sni| is_welcome(edge, conn, sni))).await {
        Ok((wire, spoken)) => {
            count(&edge.counters.handshakes);
            conn.set_tls_info(spoken);
            Some(DownstreamIo::Tls(wire))
        }
        Err(why) => {
            count(match why {
                HandshakeError::NotTls => &edge.counters.tls_no_hello,
                HandshakeError::Handshake => &edge.counters.tls_failed,
                HandshakeError::Timeout => &edge.counters.tls_late,
                HandshakeError::Rejected => &edge.counters.refused_by_share,
            });
            None
        }
    }
}

/// Charges a connection to the site of its name, and says whether there is a place for it. One whose
/// name is nobody's is told so later, and a hop's is charged to none.
fn is_welcome(edge: &SharedContext, conn: &Connection, sni: Option<&str>) -> bool {
    let Some(route) = sni.and_then(|sni| edge.sites.find(sni)) else { return true };
    if edge.trusted.contains(conn.client.ip) {
        return true;
    }
    let (live, now) = (edge.handle.load(), (edge.now)());
    let visit = SiteClient { route, client: &conn.client, state: &live.state, now };
    edge.shares.charge_connection(conn, &visit)
}
