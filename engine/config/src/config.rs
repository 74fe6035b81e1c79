//! The checked configuration.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use seawall_model::{HostPattern, Prefix};

use crate::Limits;

/// A checked configuration. Its paths do not depend on the folder of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Addresses for HTTP without TLS.
    pub listen: Vec<SocketAddr>,
    /// Addresses for HTTP over TLS. One of the two lists is not empty.
    pub listen_tls: Vec<SocketAddr>,
    /// The certificates of `listen_tls`.
    pub certificates: CertificateSource,
    /// The admin socket's path.
    pub socket: PathBuf,
    /// The root policy file. Its folder is the policy folder.
    pub policy_file: PathBuf,
    /// The folder of the state that survives the process.
    pub state_dir: PathBuf,
    /// The limits.
    pub limits: Limits,
    /// Networks without limits per client and per network.
    pub exempt: Vec<Prefix>,
    /// Networks that are never banned, in addition to the loopback addresses.
    pub ban_exempt: Vec<Prefix>,
    /// The proxies that may name the client.
    pub trusted_proxies: TrustedProxies,
    /// The sites, in the order of the file. Never empty.
    pub sites: Vec<SiteConfig>,
    /// Minisign public keys. If the list is not empty, one of them must have signed each component.
    pub trusted_keys: Vec<Box<str>>,
    /// The lowest level of log lines that are written.
    pub log_level: log::LevelFilter,
}

/// The source of the certificates for TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CertificateSource {
    /// None: there is no address for TLS.
    #[default]
    None,
    /// A certificate that is created at start. No client trusts it.
    SelfSigned,
    /// The files of `[[tls.certificate]]`.
    Files(Vec<CertificateFiles>),
}

/// One `[[tls.certificate]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate chain, as PEM.
    pub cert: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// The header in which trusted proxies name the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientHeader {
    /// `X-Forwarded-For`: each proxy adds the address of its client.
    XForwardedFor,
    /// `Forwarded` (RFC 7239): each proxy adds `for=…`.
    Forwarded,
    /// `X-Real-IP`: one address, which the nearest proxy sets.
    XRealIp,
}

/// The proxies that may name the client, and the form in which they do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// The networks of the proxies. If empty, no proxy is trusted.
    pub networks: Vec<Prefix>,
    /// Whether each connection of a proxy begins with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// The header that names the client of a request.
    pub header: Option<ClientHeader>,
}

impl TrustedProxies {
    /// Returns whether `ip` is a trusted proxy.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.networks.iter().any(|network| network.contains(ip))
    }
}

/// One `[[site]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteConfig {
    /// The site's name: its first host, as written.
    pub name: Box<str>,
    /// The hosts. Never empty.
    pub hosts: Vec<HostPattern>,
    /// The origins: 1 to [`ORIGINS_MAX`](crate::ORIGINS_MAX), each once.
    pub origins: Vec<Origin>,
    /// The path that health checks request.
    pub health_check_path: Option<Box<str>>,
    /// The member that the site belongs to.
    pub member: Option<Box<str>>,
    /// The weight of the site in shared resources; 1 by default.
    pub weight: u32,
    /// Maximum of requests at one origin, if it differs from `[origins]`.
    pub max_requests_per_origin: Option<u32>,
    /// Timeouts that differ from `[origins]`, each prefix once.
    pub timeouts: Vec<OriginTimeouts>,
    /// Extensions of the scripts that the origins run, without a dot.
    pub scripts: Vec<Box<str>>,
}

/// Timeouts of origins for the paths of a site that begin with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginTimeouts {
    /// The prefix; empty for all paths.
    pub path_prefix: Box<str>,
    /// Timeout from the end of a request to the response header.
    pub response_header: Option<Duration>,
    /// Timeout of silence within a response.
    pub read: Option<Duration>,
}

/// An origin: `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// A name or an address; an IPv6 address without brackets.
    pub host: Box<str>,
    /// The port; 80 by default.
    pub port: u16,
}

impl fmt::Display for Origin {
    /// Writes `host:port`, an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
