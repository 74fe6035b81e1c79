//! What the data plane is started with, and what can keep it from starting.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use seawall_model::{ClientUnits, Prefix};

use crate::shutdown::Listening;
use crate::{EdgeLimits, MemoryGauge, Shown, Site, TrustedProxies};

/// What the data plane is started with.
#[derive(Clone)]
pub struct EdgeConfig {
    /// Where to listen for plain HTTP/1.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for HTTP over TLS; nothing is served there without `shown`.
    pub listen_tls: Vec<SocketAddr>,
    /// Sockets that listen already, given by whoever served before; those under an address that is
    /// not listened on any more are closed.
    pub handed: Vec<Listening>,
    /// The certificates.
    pub shown: Option<Arc<Shown>>,
    /// Threads that serve; at least one is started.
    pub workers: usize,
    /// How wide a client is.
    pub units: ClientUnits,
    /// Whose word about the client is believed.
    pub trusted: TrustedProxies,
    /// Networks whose clients many people share: no cap of a client or of a network is theirs.
    pub exempt: Vec<Prefix>,
    /// The sites, in the order that gives them their numbers.
    pub sites: Vec<Site>,
    /// What is allowed.
    pub limits: EdgeLimits,
    /// How much memory is used, where there is a limit to it.
    pub memory: Option<MemoryGauge>,
}

impl fmt::Debug for EdgeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeConfig").field("sites", &self.sites).finish_non_exhaustive()
    }
}

/// Why the data plane cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address of ours cannot be listened on.
    #[error("{address} {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why, and what helps.
        why: String,
    },
    /// An origin cannot be found.
    #[error("origin `{origin}` of site `{site}` cannot be found: {why}")]
    Origin {
        /// The site.
        site: Box<str>,
        /// The origin, as configured.
        origin: Box<str>,
        /// Why.
        why: String,
    },
    /// A site has none.
    #[error("site `{site}` has no origin")]
    NoOrigin {
        /// The site.
        site: Box<str>,
    },
    /// HTTP over TLS needs a certificate.
    #[error("there is an address for https and no certificate")]
    NoCertificate,
    /// The system gave no thread or no descriptor.
    #[error("a worker cannot be started: {0}")]
    Worker(#[source] io::Error),
}

impl BindError {
    /// What a failed bind means, in words that say what to do.
    pub(crate) fn listen(address: SocketAddr, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "is in use: another server listens there; stop it, or configure another port"
                    .to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "may not be bound: ports below 1024 need a privilege of their own \
                 (CAP_NET_BIND_SERVICE), or configure a higher port"
                    .to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "cannot be bound: no interface of this machine has this address".to_owned()
            }
            _ => format!("cannot be bound: {error}"),
        };
        Self::Listen { address, why }
    }
}
