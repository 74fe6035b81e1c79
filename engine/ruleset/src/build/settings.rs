//! The settings of the host that policies are held against.

use seawall_model::{ClientPrefixes, HostPattern};

use crate::build::lists::protected::Guarded;
use crate::build::signatures::TrustedKey;
use crate::eval::fuel::FuelLimits;

/// A configured site, as far as policies care.
#[derive(Debug, Clone)]
pub struct SiteHosts {
    /// Its first host.
    pub name: Box<str>,
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// The member whose site it is.
    pub member: Option<Box<str>>,
}

/// What the host's configuration says that policies are held against.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// The units that clients are counted by.
    pub units: ClientPrefixes,
    /// The sites.
    pub sites: Vec<SiteHosts>,
    /// Who may bring components; where it is empty, everybody.
    pub trusted_keys: Vec<TrustedKey>,
    /// What lists of clients to refuse should not hold.
    pub guarded: Guarded,
    /// What one request may cost.
    pub fuel: FuelLimits,
    /// Days since 1970-01-01.
    pub today: u64,
}
