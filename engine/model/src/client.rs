//! The unit that counters count: the client.
//!
//! An IPv6 household holds 2^72 addresses, so a count by address has no effect there. `client` is
//! therefore the address for IPv4 and the /56 for IPv6, the size that most providers assign. The
//! operator can change both sizes.
//!
//! Limitations: many households behind one IPv4 address (carrier NAT) are one client. A provider
//! that assigns a /48 gives each customer 256 clients.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address with the bits below `len` cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: IpAddr,
    len: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixError {
    /// The part before `/` is not an IP address.
    Address,
    /// The part after `/` is not a number from 0 to 32 (IPv4) or 128 (IPv6).
    Length,
}

/// A range of addresses, by its first and its last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddrRange {
    /// An IPv4 range.
    V4(u32, u32),
    /// An IPv6 range.
    V6(u128, u128),
}

/// Fewest prefix bits of an IPv4 network that can have one owner: `10.0.0.0/8`.
pub const OWNED_V4_BITS_MIN: u8 = 8;
/// Fewest prefix bits of an IPv6 network that can have one owner: no provider has more than a /16.
pub const OWNED_V6_BITS_MIN: u8 = 16;

impl AddrRange {
    /// Returns the range from one address to the other. Returns `None` if they are of two families
    /// or the second is lower than the first.
    #[must_use]
    pub fn new(from: IpAddr, to: IpAddr) -> Option<Self> {
        match (fold(from), fold(to)) {
            (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => {
                Some(Self::V4(from.into(), to.into()))
            }
            (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => {
                Some(Self::V6(from.into(), to.into()))
            }
            _ => None,
        }
    }

    /// Returns whether the range has more addresses than a network of one owner can have: more than
    /// a /8 of IPv4 or a /16 of IPv6.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        match *self {
            Self::V4(from, to) => to.saturating_sub(from) > u32::MAX >> OWNED_V4_BITS_MIN,
            Self::V6(from, to) => to.saturating_sub(from) > u128::MAX >> OWNED_V6_BITS_MIN,
        }
    }
}

impl From<Prefix> for AddrRange {
    fn from(net: Prefix) -> Self {
        net.range()
    }
}

impl Prefix {
    /// Returns the network of `len` bits around `ip`. A `len` above the maximum of the family gives
    /// the single address.
    #[must_use]
    pub fn new(ip: IpAddr, len: u8) -> Self {
        match ip {
            IpAddr::V4(v4) => {
                let len = len.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                Self { addr: Ipv4Addr::from(u32::from(v4) & mask).into(), len }
            }
            IpAddr::V6(v6) => {
                let len = len.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                Self { addr: Ipv6Addr::from(u128::from(v6) & mask).into(), len }
            }
        }
    }

    /// Returns the network that contains this address only.
    #[must_use]
    pub fn host(ip: IpAddr) -> Self {
        Self::new(ip, 128)
    }

    /// Parses `addr` or `addr/len`. The second value is the address as written if it has bits
    /// behind the prefix; the network has them cleared.
    ///
    /// # Errors
    /// [`PrefixError`] names the invalid part.
    pub fn parse(text: &str) -> Result<(Self, Option<IpAddr>), PrefixError> {
        let (addr, len) = match text.split_once('/') {
            Some((addr, len)) => (addr, Some(len)),
            None => (text, None),
        };
        let ip = fold(addr.parse().map_err(|_| PrefixError::Address)?);
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let len = match len {
            None => max,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse::<u8>().ok().filter(|n| *n <= max).ok_or(PrefixError::Length)?
            }
            Some(_) => return Err(PrefixError::Length),
        };
        let net = Self::new(ip, len);
        Ok((net, (net.addr != ip).then_some(ip)))
    }

    /// Returns the first address.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// Returns the number of leading bits that are fixed.
    #[must_use]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// Returns whether the network is the whole address space.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the first and the last address, as numbers.
    #[must_use]
    pub fn range(&self) -> AddrRange {
        match self.addr {
            IpAddr::V4(ip) => {
                let free = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                AddrRange::V4(u32::from(ip), u32::from(ip) | free)
            }
            IpAddr::V6(ip) => {
                let free = u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                AddrRange::V6(u128::from(ip), u128::from(ip) | free)
            }
        }
    }

    /// Returns whether `ip` is in the network. An address of the other family never is.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.addr.is_ipv4() && Self::new(ip, self.len).addr == self.addr
    }

    /// Returns whether the network contains every address of `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.len >= self.len && self.contains(other.addr)
    }

    /// Returns the bytes that a key is hashed from: family, length and address. No two networks
    /// have the same bytes.
    #[must_use]
    pub fn key_bytes(&self) -> [u8; 18] {
        let mut out = [0; 18];
        let (head, tail) = out.split_at_mut(2);
        head.copy_from_slice(&[u8::from(self.addr.is_ipv4()), self.len]);
        match self.addr {
            IpAddr::V4(v4) => tail.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from),
            IpAddr::V6(v6) => tail.copy_from_slice(&v6.octets()),
        }
        out
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

/// Returns an IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) as an IPv4 address. Returns
/// any other address unchanged.
#[must_use]
pub const fn fold(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The sizes of the units that a policy counts and bans by. The operator can set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPrefixes {
    /// Prefix bits of an IPv6 address that form a `client`.
    pub v6_client_bits: u8,
    /// Prefix bits of an IPv4 address that form a `client.net`.
    pub v4_net_bits: u8,
    /// Prefix bits of an IPv6 address that form a `client.net`.
    pub v6_net_bits: u8,
}

impl Default for ClientPrefixes {
    /// /56, /24, /56: the defaults in `docs/language/counting.md`.
    fn default() -> Self {
        Self { v6_client_bits: 56, v4_net_bits: 24, v6_net_bits: 56 }
    }
}

/// The unit that a counter counts: an IPv4 address or an IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(pub Prefix);

/// One client, computed once for each connection or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The address; an IPv4-mapped address is stored as IPv4.
    pub ip: IpAddr,
    /// `client`: the key of counters.
    pub key: ClientKey,
    /// `client.net`.
    pub net: Prefix,
}

impl Client {
    /// Returns the client at `ip`, by the configured prefix sizes.
    #[must_use]
    pub fn of(ip: IpAddr, units: &ClientPrefixes) -> Self {
        let ip = fold(ip);
        let (client_bits, net_bits) = match ip {
            IpAddr::V4(_) => (32, units.v4_net_bits),
            IpAddr::V6(_) => (units.v6_client_bits, units.v6_net_bits),
        };
        Self { ip, key: ClientKey(Prefix::new(ip, client_bits)), net: Prefix::new(ip, net_bits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(ip: &str) -> Client {
        Client::of(ip.parse().unwrap(), &ClientPrefixes::default())
    }

    #[test]
    fn a_household_is_one_client_in_both_families() {
        assert_eq!(client("2001:db8:0:4201::1").key, client("2001:db8:0:42ff::9").key);
        assert_ne!(client("2001:db8:0:4201::1").key, client("2001:db8:0:4301::1").key);
        assert_ne!(client("192.0.2.1").key, client("192.0.2.2").key);
        assert_eq!(client("192.0.2.1").net, client("192.0.2.2").net);
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    }

    #[test]
    fn parsing_clears_host_bits_and_says_so() {
        let (net, written) = Prefix::parse("192.0.2.77/24").unwrap();
        assert_eq!(
            (net.to_string().as_str(), written),
            ("192.0.2.0/24", "192.0.2.77".parse().ok())
        );
        assert_eq!(Prefix::parse("192.0.2.0/24").unwrap().1, None);
        assert_eq!(Prefix::parse("192.0.2.0/33"), Err(PrefixError::Length));
        assert_eq!(Prefix::parse("192.0.2.0/+3"), Err(PrefixError::Length));
        assert_eq!(Prefix::parse("192.0.2/8"), Err(PrefixError::Address));
    }

    #[test]
    fn wide_is_what_has_no_single_owner() {
        let wide = |text: &str| Prefix::parse(text).unwrap().0.range().is_wide();
        for (net, is_wide) in [
            ("10.0.0.0/8", false),
            ("10.0.0.0/7", true),
            ("0.0.0.0/0", true),
            ("192.0.2.1", false),
            ("2000::/16", false),
            ("2000::/15", true),
            ("::/0", true),
        ] {
            assert_eq!(wide(net), is_wide, "{net}");
        }
        let range = |a: &str, b: &str| AddrRange::new(a.parse().unwrap(), b.parse().unwrap());
        assert!(!range("9.1.0.0", "10.0.255.255").unwrap().is_wide(), "as many as a /8 holds");
        assert!(range("9.1.0.0", "10.1.0.0").unwrap().is_wide());
        assert_eq!(range("192.0.2.2", "192.0.2.1"), None);
        assert_eq!(range("192.0.2.2", "2001:db8::"), None);
        assert_eq!(range("::ffff:192.0.2.1", "192.0.2.1"), range("192.0.2.1", "192.0.2.1"));
    }

    #[test]
    fn the_widest_networks_hold_their_family_only() {
        let all = Prefix::new("0.0.0.0".parse().unwrap(), 0);
        assert!(all.contains("255.255.255.255".parse().unwrap()));
        assert!(!all.contains("::".parse().unwrap()));
        assert!(all.covers(&Prefix::new("10.0.0.0".parse().unwrap(), 8)));
    }
}
