//! The target and the scope of a ban.

use seawall_model::Prefix;

/// The target of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BanTarget {
    /// A network: a `client`, an address (a network with one address), a `client.net`, or any
    /// other.
    Net(Prefix),
    /// An autonomous system.
    Asn(u32),
}

/// The scope of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BanScope<'n> {
    /// All sites.
    Host,
    /// The sites of this member.
    Member(&'n str),
}
