//! Listening: sockets, workers and the accept loop.
//!
//! Each address is bound **once and without `SO_REUSEPORT`**, and every worker accepts from a
//! duplicate of that one socket. With `SO_REUSEPORT` a second process could share the port and
//! silently get half of the visitors. This way a port in use is a clear error. The cost: an idle
//! worker may wake for a connection that another one accepts.
//!
//! A connection over a limit is reset before a byte is read. A normal close would keep the memory
//! of a closed connection on the server.

pub(crate) mod acceptor;
pub(crate) mod handshake;
pub(crate) mod proxy_protocol;
pub(crate) mod socket;
pub(crate) mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use seawall_admin_api::OriginStatus;
use seawall_model::{Now, Prefix};
use seawall_ruleset::LevelInputs;
use seawall_ruleset::RuleSetHandle;

use crate::admission::concurrency_limit::ConcurrencyLimiter;
use crate::admission::connection_rate::ConnectionRateLimiter;
use crate::context::SharedContext;
use crate::fairness::FairSharing;
use crate::listener::socket::ListeningSocket;
use crate::listener::socket::{inherit_socket_options, listen};
use crate::listener::worker::Worker;
use crate::metrics::proxy_metrics;
use crate::overload::OverloadManager;
use crate::request::policy_log::PolicyLog;
use crate::routing::{Site, SiteTable};
use crate::shutdown::ShutdownController;
use crate::shutdown::handle::ProxyHandle;
use crate::tls::TlsTerminator;
use crate::upstream::HealthChecker;
use crate::upstream::Sums;
use crate::{BindError, ProxyConfig, ProxyMetrics, SiteReporter};

/// A listening socket, and the TLS state for it.
#[derive(Debug)]
struct Listener {
    at: ListeningSocket,
    is_tls: bool,
}

/// The data plane, bound and not yet accepting.
#[derive(Debug)]
pub struct DataPlane {
    listeners: Vec<Listener>,
    workers: usize,
    secrecy: Option<TlsTerminator>,
    pub(crate) edge: Arc<SharedContext>,
}

impl DataPlane {
    /// Binds every address and resolves every origin. From here on connections queue in the kernel;
    /// from [`DataPlane::start`] on they are served.
    ///
    /// # Errors
    /// Returns the first address that cannot be bound or origin that cannot be resolved, as a
    /// message for the operator.
    pub fn bind(
        config: ProxyConfig,
        handle: Arc<RuleSetHandle>,
        now: Now,
    ) -> Result<Self, BindError> {
        let sites = SiteTable::resolve(&config.sites, &config.limits)?;
        let listeners = listeners(&config)?;
        let overload = Arc::new(OverloadManager::new(config.memory));
        let limits = Arc::new(config.limits);
        let shares = Arc::new(FairSharing::new(&sites, &overload, (&limits, &now)));
        if listeners.iter().any(|listener| listener.is_tls) && config.shown.is_none() {
            return Err(BindError::NoCertificate);
        }
        let within = limits.settings.timeouts.tls_handshake_timeout;
        let reads_max = limits.max_client_hello_reads;
        let secrecy =
            config.shown.map(|shown| TlsTerminator::new(shown, within, reads_max)).transpose();
        let secrecy = secrecy.map_err(BindError::Worker)?;
        let exempt: Arc<[Prefix]> = config.exempt.into();
        let edge = Arc::new(SharedContext {
            handle,
            now,
            units: limits.settings.client_prefixes(),
            trusted: config.trusted,
            sites,
            shares,
            overload,
            arrivals: ConnectionRateLimiter::new(&limits),
            connections: Arc::new(
                ConcurrencyLimiter::new(limits.connection_caps()).exempt(&exempt),
            ),
            forwarding: Arc::new(ConcurrencyLimiter::new(limits.forward_caps()).exempt(&exempt)),
            policy_log: PolicyLog::new(limits.policy_log_lines_per_second),
            limits,
            counters: Arc::new(proxy_metrics()),
        });
        Ok(Self { listeners, workers: config.workers.max(1), secrecy, edge })
    }

    /// Returns the bound addresses, each with its scheme, and with the ports that the kernel chose
    /// for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let scheme = |is_tls| if is_tls { "https" } else { "http" };
        let bound = |at: &ListeningSocket| at.socket.local_addr().unwrap_or(at.address);
        self.listeners.iter().map(|l| (scheme(l.is_tls), bound(&l.at))).collect()
    }

    /// Returns the counters, which count from [`DataPlane::start`] on.
    #[must_use]
    pub fn live_counters(&self) -> Arc<ProxyMetrics> {
        Arc::clone(&self.edge.counters)
    }

    /// Returns the reporter for each site's use of the shared resources.
    #[must_use]
    pub fn sites(&self) -> SiteReporter {
        SiteReporter::new(Arc::clone(&self.edge))
    }

    /// Returns a function that reports the state of each origin.
    pub fn origins(&self) -> impl Fn() -> Vec<OriginStatus> + Send + Sync + use<> {
        let edge = Arc::clone(&self.edge);
        move || {
            let now = (edge.now)();
            let of = |route: &Arc<Site>| route.origins.snapshot(&route.name, now);
            edge.sites.all().iter().flat_map(of).collect()
        }
    }

    /// Returns a function that reports the inputs of levels, for the site of this name, or for the
    /// whole server.
    pub fn level_inputs(&self) -> impl Fn(Option<&str>) -> LevelInputs + Send + Sync + use<> {
        let edge = Arc::clone(&self.edge);
        move |site| {
            let cpu_percent = Some(edge.overload.cpu_percent());
            if let Some(site) = site {
                let route = edge.sites.all().iter().find(|route| *route.name == *site);
                let origin = route.map(|route| route.origins.health(route.in_flight()));
                return LevelInputs { origin: origin.unwrap_or_default(), cpu_percent };
            }
            let (mut sums, mut in_flight) = (Sums::default(), 0_u32);
            for route in edge.sites.all() {
                sums.add(&route.origins.sums());
                in_flight = in_flight.saturating_add(route.in_flight());
            }
            LevelInputs { origin: sums.health(in_flight), cpu_percent }
        }
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// The system provides no thread, or no duplicate of a socket.
    pub fn start(self) -> Result<ProxyHandle, BindError> {
        let (stopper, stop) = ShutdownController::new();
        self.edge.handle.load().state.regulars().prepare();
        let admission = &self.edge.connections;
        let sockets = self.listeners.iter().map(|listener| listener.at.clone()).collect();
        let mut running = ProxyHandle::new(stopper, sockets, Arc::clone(&self.edge));
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
        let watch = HealthChecker::new(&self.edge, &stop);
        running.spawn(|| watch.work()).map_err(BindError::Worker)?;
        Ok(running)
    }
}

/// Returns a socket for each address: an inherited one, or a new one.
fn listeners(config: &ProxyConfig) -> Result<Vec<Listener>, BindError> {
    let mut handed: Vec<&ListeningSocket> = config.handed.iter().collect();
    let plain = config.listen.iter().map(|address| (*address, false));
    let tls = config.listen_tls.iter().map(|address| (*address, true));
    let mut listeners = Vec::new();
    for (address, is_tls) in plain.chain(tls) {
        // The configuration decides about TLS, not the socket. If two have one address (with ports
        // that the kernel chose), the order of the configuration tells them apart.
        let at = match handed.iter().position(|listening| listening.address == address) {
            Some(place) => inherit_socket_options(handed.remove(place), &config.limits),
            None => listen(address, &config.limits)
                .map(|socket| ListeningSocket { address, socket: Arc::new(socket) }),
        };
        let at = at.map_err(|error| BindError::listen(address, &error))?;
        listeners.push(Listener { at, is_tls });
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProxyLimits;
    use socket2::SockRef;

    #[test]
    fn what_is_accepted_takes_on_the_options_of_its_listener() {
        let limits = ProxyLimits::default();
        let listener = listen("127.0.0.1:0".parse().unwrap(), &limits).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), limits.socket_send_low_watermark_bytes);
    }
}
