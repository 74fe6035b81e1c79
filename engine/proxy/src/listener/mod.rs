//! Listening: sockets, workers and the accept loop.
//!
//! Each address is bound **once and without `SO_REUSEPORT`**, and every worker accepts from a
//! duplicate of that one socket. With `SO_REUSEPORT` a second server, ours or another, could share
//! the port and silently take half of the visitors; this way a port in use is a clear error. The
//! price is that an idle worker may wake for a connection that another one takes.
//!
//! Whoever may not hold a connection is reset before a byte is read: a polite end would leave the
//! memory of a closed connection with us and not with them.

pub(crate) mod proxy_protocol;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pingora_core::server::configuration::ServerConf;
use pingora_proxy::http_proxy;
use seawall_model::{Client, Now, Prefix, Tick};
use seawall_ruleset::Handle;
use seawall_ruleset::Pulse;
use seawall_state::BanScope;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::admission::concurrency_limit::{Admission, NoRoom, Permit, Room};
use crate::admission::connection_rate::Arrivals;
use crate::connection::Conn;
use crate::connection::io::Wire;
use crate::connection::table::{Entry, Newcomer, Registry};
use crate::context::Edge;
use crate::fairness::cpu::Measured;
use crate::fairness::egress::Egress;
use crate::fairness::{Presence, Shares, Visit};
use crate::http1::server::{Open, Server};
use crate::http1::stream::GuardedStream;
use crate::http2::{self, MeteredStream, Requests};
use crate::listener::proxy_protocol::{Introduced, introduce};
use crate::metrics::count;
use crate::overload::{self, Overload};
use crate::request::policy_log::PolicyLog;
use crate::routing::{Route, Sites};
use crate::shutdown::{BEAT_MS, Beats, Listening, Running, Stop, Stopper};
use crate::tls::{Failed, Secrecy};
use crate::upstream::Sums;
use crate::upstream::Watch;
use crate::upstream::pingora_service::Service;
use crate::upstream::pool::Pool;
use crate::{BindError, EdgeConfig, EdgeCounters, EdgeLimits, OriginSnapshot, SiteViews};

/// Where is listened, and whether over TLS.
#[derive(Debug)]
struct Listener {
    at: Listening,
    is_tls: bool,
}

/// The data plane, bound and not yet accepting.
#[derive(Debug)]
pub struct DataPlane {
    listeners: Vec<Listener>,
    workers: usize,
    secrecy: Option<Secrecy>,
    pub(crate) edge: Arc<Edge>,
}

impl DataPlane {
    /// Binds every address and resolves every origin. Connections queue in the kernel from here on,
    /// and are served from [`DataPlane::start`] on.
    ///
    /// # Errors
    /// The first address or origin that cannot be had, in words for whoever configured it.
    pub fn bind(config: EdgeConfig, handle: Arc<Handle>, now: Now) -> Result<Self, BindError> {
        let sites = Sites::resolve(&config.sites, &config.limits)?;
        let listeners = listeners(&config)?;
        let overload = Arc::new(Overload::new(config.memory));
        let limits = Arc::new(config.limits);
        let shares = Arc::new(Shares::new(&sites, &overload, (&limits, &now)));
        if listeners.iter().any(|listener| listener.is_tls) && config.shown.is_none() {
            return Err(BindError::NoCertificate);
        }
        let within = Duration::from_millis(limits.tls_handshake_ms);
        let reads_max = limits.hello_reads_max;
        let secrecy = config.shown.map(|shown| Secrecy::new(shown, within, reads_max)).transpose();
        let secrecy = secrecy.map_err(BindError::Worker)?;
        let exempt: Arc<[Prefix]> = config.exempt.into();
        let edge = Arc::new(Edge {
            handle,
            now,
            units: config.units,
            trusted: config.trusted,
            sites,
            shares,
            overload,
            arrivals: Arrivals::new(&limits),
            connections: Arc::new(Admission::new(limits.connection_caps()).exempt(&exempt)),
            forwarding: Arc::new(Admission::new(limits.forward_caps()).exempt(&exempt)),
            policy_log: PolicyLog::new(limits.policy_log_lines_per_s),
            limits,
            counters: Arc::new(EdgeCounters::default()),
        });
        Ok(Self { listeners, workers: config.workers.max(1), secrecy, edge })
    }

    /// The addresses that are bound, each with its scheme, and with the ports that the kernel chose
    /// where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let scheme = |is_tls| if is_tls { "https" } else { "http" };
        let bound = |at: &Listening| at.socket.local_addr().unwrap_or(at.address);
        self.listeners.iter().map(|l| (scheme(l.is_tls), bound(&l.at))).collect()
    }

    /// The counters, which count from [`DataPlane::start`] on.
    #[must_use]
    pub fn live_counters(&self) -> Arc<EdgeCounters> {
        Arc::clone(&self.edge.counters)
    }

    /// What each site has of what all share, for whoever reports it.
    #[must_use]
    pub fn sites(&self) -> SiteViews {
        SiteViews::new(Arc::clone(&self.edge))
    }

    /// What says of each origin how it is.
    pub fn origins(&self) -> impl Fn() -> Vec<OriginSnapshot> + Send + Sync + use<> {
        let edge = Arc::clone(&self.edge);
        move || {
            let now = (edge.now)();
            let of = |route: &Arc<Route>| route.origins.snapshot(&route.name, now);
            edge.sites.all().iter().flat_map(of).collect()
        }
    }

    /// What levels look at, of the site of this name, or of the whole server without one.
    pub fn level_inputs(&self) -> impl Fn(Option<&str>) -> Pulse + Send + Sync + use<> {
        let edge = Arc::clone(&self.edge);
        move |site| {
            let cpu_percent = Some(edge.overload.cpu_percent());
            if let Some(site) = site {
                let route = edge.sites.all().iter().find(|route| *route.name == *site);
                let origin = route.map(|route| route.origins.health(route.in_flight()));
                return Pulse { origin: origin.unwrap_or_default(), cpu_percent };
            }
            let (mut sums, mut in_flight) = (Sums::default(), 0_u32);
            for route in edge.sites.all() {
                sums.add(&route.origins.sums());
                in_flight = in_flight.saturating_add(route.in_flight());
            }
            Pulse { origin: sums.health(in_flight), cpu_percent }
        }
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// The system gives no thread, or no second handle of a socket.
    pub fn start(self) -> Result<Running, BindError> {
        let (stopper, stop) = Stopper::new();
        self.edge.handle.load().state.regulars().prepare();
        let admission = &self.edge.connections;
        let sockets = self.listeners.iter().map(|listener| listener.at.clone()).collect();
        let mut running = Running::new(stopper, sockets, Arc::clone(&self.edge));
        let registries: Arc<[_]> = (0..self.workers).map(|_| Arc::default()).collect();
        for own in registries.iter() {
            let mut listeners = Vec::new();
            for Listener { at, is_tls } in &self.listeners {
                let secrecy = self.secrecy.clone().filter(|_| *is_tls);
                listeners.push((at.socket.try_clone().map_err(BindError::Worker)?, secrecy));
            }
            let edge = Arc::clone(&self.edge);
            let worker = Worker {
                edge,
                admission: Arc::clone(admission),
                registry: Arc::clone(own),
                registries: Arc::clone(&registries),
                stop: stop.clone(),
                beats: running.beats(),
            };
            running.spawn(|| worker.run(listeners)).map_err(BindError::Worker)?;
        }
        let watch = Watch::new(&self.edge, &stop);
        running.spawn(|| watch.work()).map_err(BindError::Worker)?;
        Ok(running)
    }
}

/// A socket for each address: what was handed over under it, and a new one where nothing was.
fn listeners(config: &EdgeConfig) -> Result<Vec<Listener>, BindError> {
    let mut handed: Vec<&Listening> = config.handed.iter().collect();
    let plain = config.listen.iter().map(|address| (*address, false));
    let tls = config.listen_tls.iter().map(|address| (*address, true));
    let mut listeners = Vec::new();
    for (address, is_tls) in plain.chain(tls) {
        // Whether it is for TLS is our affair and not the socket's; where two have one address
        // (their ports are the kernel's to choose), the order of the configuration tells them apart.
        let at = match handed.iter().position(|listening| listening.address == address) {
            Some(place) => take_on(handed.remove(place), &config.limits),
            None => listen(address, &config.limits)
                .map(|socket| Listening { address, socket: Arc::new(socket) }),
        };
        let at = at.map_err(|error| BindError::listen(address, &error))?;
        listeners.push(Listener { at, is_tls });
    }
    Ok(listeners)
}

/// A socket that listens already, under our limits.
fn take_on(handed: &Listening, limits: &EdgeLimits) -> io::Result<Listening> {
    let socket = socket2::SockRef::from(&*handed.socket);
    socket.set_nonblocking(true)?;
    tune(&socket, limits);
    socket.listen(i32::try_from(limits.accept_backlog).unwrap_or(i32::MAX))?;
    Ok(handed.clone())
}

fn listen(address: SocketAddr, limits: &EdgeLimits) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections' last minute; on Linux this never shares a port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Each configured address means itself, so that `0.0.0.0` and `[::]` can stand together.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    tune(&(&socket).into(), limits);
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(limits.accept_backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// One thread that accepts and serves.
struct Worker {
    edge: Arc<Edge>,
    admission: Arc<Admission>,
    registry: Arc<Registry>,
    registries: Arc<[Arc<Registry>]>,
    stop: Stop,
    beats: Beats,
}

impl Worker {
    /// Serves until the data plane stops.
    fn run(self, listeners: Vec<(TcpListener, Option<Secrecy>)>) {
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

/// After nobody could make room, the milliseconds in which nobody is asked to again: looking for one
/// costs more than refusing, and a flood refuses thousands a second.
const FULL_MS: u64 = 5;

/// The accept loop of one worker on one address.
struct Accept {
    server: Server,
    secrecy: Option<Secrecy>,
    admission: Arc<Admission>,
    registry: Arc<Registry>,
    /// Those of all workers.
    registries: Arc<[Arc<Registry>]>,
    open: JoinSet<()>,
    /// Until then nobody is asked to make room for anybody: nobody could.
    full_until: Tick,
}

impl Accept {
    async fn run(mut self, listener: TcpListener) {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            count(&self.server.edge.counters.accept_errors);
            return;
        };
        let mut stop = self.server.stop.clone();
        let mut door = stop.door();
        let mut burst: u32 = 0;
        loop {
            let is_open = *door.borrow_and_update();
            tokio::select! {
                biased;
                () = stop.asked() => break,
                Ok(()) = door.changed() => {}
                Some(ended) = self.open.join_next(), if !self.open.is_empty() => self.note(ended),
                accepted = listener.accept(), if is_open => {
                    burst += 1;
                    match accepted {
                        Ok((stream, peer)) => self.admit(stream, peer),
                        Err(_) => self.pause().await,
                    }
                    if burst >= self.server.edge.limits.accept_burst {
                        burst = 0;
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        drop(listener);
        self.drain(&mut stop).await;
    }

    /// Gives a connection its place, or resets it.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let edge = Arc::clone(&self.server.edge);
        count(&edge.counters.accepted);
        let client = Client::of(peer.ip(), &edge.units);
        let is_hop = edge.trusted.lists(peer.ip());
        if !is_hop && !may_come(&edge, &client) {
            reset(&stream);
            return;
        }
        match self.enter((!is_hop).then_some(&client)) {
            Ok(permit) => {
                let guest = Guest {
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
                edge.counters.refuse_place(why);
                reset(&stream);
            }
        }
    }

    /// A free place, or one for which somebody who only waits has to go.
    fn enter(&mut self, client: Option<&Client>) -> Result<Permit, NoRoom> {
        match self.admission.enter(client, Room::Free) {
            Err(NoRoom::Total) if self.make_room(client) => {
                count(&self.server.edge.counters.made_room);
                self.admission.enter(client, Room::Made)
            }
            entered => entered,
        }
    }

    /// Has one of our own connections go, or of another worker's where ours are few. Where all of them
    /// came just now, only for clients that a site knows and for hops that bring requests of many: a
    /// flood of newcomers that say nothing must not keep these out.
    fn make_room(&mut self, client: Option<&Client>) -> bool {
        let edge = &self.server.edge;
        let Edge { limits, shares, overload, trusted, .. } = &**edge;
        let (own, all) = (&self.registry, &self.registries);
        let make = |newcomer| {
            let make = |of: &Registry| of.make_room(limits, newcomer, |conn| shares.is_over(conn));
            make(own) || all.iter().filter(|other| !Arc::ptr_eq(own, other)).any(|of| make(of))
        };
        let now = (edge.now)();
        if now >= self.full_until {
            if make(Newcomer::Anybody) {
                return true;
            }
            self.full_until = now.plus_ms(FULL_MS);
        }
        overload.note_trouble(now, limits);
        let is_known = match client {
            Some(client) => overload.knows((&edge.handle.load().state, client), now, limits),
            // Before its header has come nobody knows for whom it is.
            None => !trusted.proxy_protocol,
        };
        is_known && make(Newcomer::Known)
    }

    async fn pause(&self) {
        count(&self.server.edge.counters.accept_errors);
        tokio::time::sleep(Duration::from_millis(self.server.edge.limits.accept_pause_ms)).await;
    }

    fn note(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            count(&self.server.edge.counters.panics);
        }
    }

    /// Lets those in flight end, then cuts the rest.
    async fn drain(&mut self, stop: &mut Stop) {
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

/// Whether this client is neither banned nor too fast. Its autonomous system is not known here.
fn may_come(edge: &Edge, client: &Client) -> bool {
    let (live, now) = (edge.handle.load(), (edge.now)());
    if live.state.bans().covers(client, None, BanScope::Host, now).is_some() {
        count(&edge.counters.banned_at_accept);
        return false;
    }
    if !overload::may_come(edge, &live.state, client, now) {
        return false;
    }
    if edge.arrivals.is_over(&live.state, client, now) && !edge.connections.exempts(client) {
        count(&edge.counters.refused_by_rate);
        return false;
    }
    true
}

/// Makes closing send a reset; a socket that refuses the option is closed politely instead.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// A connection that has a place, before anybody reads from it.
struct Guest {
    server: Server,
    registry: Arc<Registry>,
    secrecy: Option<Secrecy>,
    permit: Permit,
    client: Client,
    port: u16,
}

impl Guest {
    /// Learns from a trusted hop who the client is, then serves it as if it had come itself.
    async fn receive(mut self, mut stream: TcpStream) {
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
    fn serve(self, stream: TcpStream) -> impl Future<Output = ()> {
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

/// Socket options that every accepted connection takes on from its listener (Linux copies them); one
/// that the system refuses is done without.
fn tune(listener: &socket2::SockRef<'_>, limits: &EdgeLimits) {
    // Head and body leave in one write of ours, so waiting to fill a packet only costs time.
    let _ = listener.set_tcp_nodelay(true);
    let _ = listener.set_tcp_notsent_lowat(limits.unsent_bytes_max);
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[test]
    fn what_is_accepted_takes_on_the_options_of_its_listener() {
        let limits = EdgeLimits::default();
        let listener = listen("127.0.0.1:0".parse().unwrap(), &limits).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), limits.unsent_bytes_max);
    }
}
