//! The settings of the server that policies are checked against.

use seawall_model::{ClientPrefixes, HostPattern};

use crate::build::lists::protected::Guarded;
use crate::build::signatures::TrustedKey;
use crate::eval::fuel::FuelLimits;

/// A configured site, as far as policies need it.
#[derive(Debug, Clone)]
pub struct SiteHosts {
    /// Its first host.
    pub name: Box<str>,
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// The member that owns the site.
    pub member: Option<Box<str>>,
}

/// The settings of the server that policies are checked against.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// The prefix sizes that define clients.
    pub units: ClientPrefixes,
    /// The sites.
    pub sites: Vec<SiteHosts>,
    /// The keys that can sign components. If there are none, components need no signature.
    pub trusted_keys: Vec<TrustedKey>,
    /// Addresses that lists of clients to reject should not contain.
    pub guarded: Guarded,
    /// Limits on the cost of one request.
    pub fuel: FuelLimits,
    /// Days since 1970-01-01.
    pub today: u64,
}
