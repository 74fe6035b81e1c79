//! A connection that was accepted, until its HTTP version is known: PROXY header, TLS, site.

use std::sync::Arc;

use seawall_model::Client;
use tokio::net::TcpStream;

use crate::admission::concurrency_limit::Permit;
use crate::connection::Conn;
use crate::connection::io::Wire;
use crate::connection::open_guard::Open;
use crate::connection::table::{Entry, Registry};
use crate::context::Edge;
use crate::fairness::Presence;
use crate::fairness::cpu::Measured;
use crate::fairness::site_client::Visit;
use crate::http1::server::Server;
use crate::http1::stream::GuardedStream;
use crate::http2::MeteredStream;
use crate::listener::acceptor::{may_come, reset};
use crate::listener::proxy_protocol::{Introduced, introduce};
use crate::metrics::count;
use crate::tls::{Failed, Secrecy};

/// A connection that has a place, before anybody reads from it.
pub(crate) struct Guest {
    pub(super) server: Server,
    pub(super) registry: Arc<Registry>,
    pub(super) secrecy: Option<Secrecy>,
    pub(super) permit: Permit,
    pub(super) client: Client,
    pub(super) port: u16,
}

impl Guest {
    /// Learns from a trusted hop who the client is, then serves it as if it had come itself.
    pub(crate) async fn receive(mut self, mut stream: TcpStream) {
        let mut stop = self.server.stop.clone();
        let edge = Arc::clone(&self.server.edge);
        let introduced = tokio::select! {
            biased;
            () = stop.closing() => return,
            introduced = introduce(&mut stream, &edge.limits) => introduced,
        };
        match introduced {
            Ok(Introduced::Client(address)) => {
                self.client = Client::of(address.ip(), &edge.units);
                self.port = address.port();
                if !self.is_welcome() {
                    return reset(&stream);
                }
            }
            Ok(Introduced::Hop) => {}
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
        if edge.trusted.lists(self.client.ip) {
            return true;
        }
        if !may_come(edge, &self.client) {
            return false;
        }
        let named = self.permit.name(&self.client);
        named.inspect_err(|why| edge.counters.refuse_place(*why)).is_ok()
    }

    /// Its life. It can be ended from here on, and not only once its turn has come: of a burst of
    /// newcomers some may have to make room before any of them has run.
    pub(crate) fn serve(self, stream: TcpStream) -> impl Future<Output = ()> {
        let now = (self.server.edge.now)();
        let trusted = &self.server.edge.trusted;
        let idle_ms = trusted.lists(self.client.ip).then_some(trusted.idle_ms);
        let conn = Arc::new(Conn::new(self.client, self.port, now).idle_for(idle_ms));
        let entry = self.registry.enter(Arc::clone(&conn));
        let presence = Presence::new(&self.server.edge.shares, &conn);
        let processor = Arc::clone(&self.server.processor);
        let held = (self.permit, entry, presence);
        let life = serve(self.server, (stream, self.secrecy), Arc::clone(&conn), held);
        Measured::new(Box::pin(life), conn, processor)
    }
}

/// Serves one connection under guard, until it ends or its client is banned.
async fn serve(
    server: Server,
    (stream, secrecy): (TcpStream, Option<Secrecy>),
    conn: Arc<Conn>,
    _held: (Permit, Entry, Presence),
) {
    let _open = Open::new(&server.edge);
    let serving = async {
        let Some(wire) = agree(&server.edge, stream, secrecy, &conn).await else { return };
        let limits = Arc::clone(&server.edge.limits);
        let counters = Arc::clone(&server.edge.counters);
        if conn.is_h2() {
            let stream = MeteredStream::new(wire, Arc::clone(&conn), limits, counters);
            return Box::pin(server.serve_h2(Box::new(stream), &conn)).await;
        }
        let stream = GuardedStream::new(wire, Arc::clone(&conn), limits, counters);
        // Boxed as well: what a connection in HTTP/1 needs is not held by all that speak HTTP/2.
        Box::pin(server.serve(Box::new(stream))).await;
    };
    tokio::select! {
        biased;
        () = conn.ending() => {}
        () = serving => {}
    }
}

/// What HTTP is spoken over: the connection itself, or TLS on it.
async fn agree(
    edge: &Edge,
    stream: TcpStream,
    secrecy: Option<Secrecy>,
    conn: &Conn,
) -> Option<Wire> {
    let Some(secrecy) = secrecy else { return Some(Wire::Plain(stream)) };
    match Box::pin(secrecy.agree(stream, |sni| is_welcome(edge, conn, sni))).await {
        Ok((wire, spoken)) => {
            count(&edge.counters.handshakes);
            conn.note_spoken(spoken);
            Some(Wire::Tls(wire))
        }
        Err(why) => {
            count(match why {
                Failed::NoHello => &edge.counters.tls_no_hello,
                Failed::Handshake => &edge.counters.tls_failed,
                Failed::Late => &edge.counters.tls_late,
                Failed::Unwelcome => &edge.counters.refused_by_share,
            });
            None
        }
    }
}

/// Charges a connection to the site of its name, and says whether there is a place for it. One whose
/// name is nobody's is told so later, and a hop's is charged to none.
fn is_welcome(edge: &Edge, conn: &Conn, sni: Option<&str>) -> bool {
    let Some(route) = sni.and_then(|sni| edge.sites.find(sni)) else { return true };
    if edge.trusted.lists(conn.client.ip) {
        return true;
    }
    let (live, now) = (edge.handle.load(), (edge.now)());
    let visit = Visit { route, client: &conn.client, state: &live.state, now };
    edge.shares.settle_in(conn, &visit)
}
