//! What the data plane is started with, and what can keep it from starting.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use seawall_config::{SiteConfig, TrustedProxies};
use seawall_model::Prefix;

use crate::listener::socket::ListeningSocket;
use crate::{CertificateStore, MemoryReader, ProxyLimits};

/// What the data plane is started with.
#[derive(Clone)]
pub struct ProxyConfig {
    /// Where to listen for plain HTTP/1.
    pub listen: Vec<SocketAddr>,
    /// Where to listen for HTTP over TLS; nothing is served there without `shown`.
    pub listen_tls: Vec<SocketAddr>,
    /// Sockets that listen already, given by the parent process; those under an address that is
    /// not listened on any more are closed.
    pub handed: Vec<ListeningSocket>,
    /// The certificates.
    pub shown: Option<Arc<CertificateStore>>,
    /// Threads that serve; at least one is started.
    pub workers: usize,
    /// Whose word about the client is believed.
    pub trusted: TrustedProxies,
    /// Networks whose clients many people share: no cap of a client or of a network is theirs.
    pub exempt: Vec<Prefix>,
    /// The sites, in the order that gives them their numbers.
    pub sites: Vec<SiteConfig>,
    /// What is allowed.
    pub limits: ProxyLimits,
    /// How much memory is used, where there is a limit to it.
    pub memory: Option<MemoryReader>,
}

impl fmt::Debug for ProxyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyConfig").field("sites", &self.sites).finish_non_exhaustive()
    }
}
