//! What is banned, and where.

use seawall_model::Prefix;

/// What is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BanTarget {
    /// A network: a `client`, an address (a network of one), a `client.net`, or any other.
    Net(Prefix),
    /// An autonomous system.
    Asn(u32),
}

/// Where a ban holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BanScope<'n> {
    /// On every site.
    Host,
    /// On the sites of the member of this name.
    Member(&'n str),
}
