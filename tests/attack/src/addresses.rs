//! Source addresses of connections.
//!
//! On loopback any address of 127.0.0.0/8 may be bound without preparation. So visitors and
//! attackers have addresses of their own, from separate ranges. Servers count by address and by
//! network, so the order matters: [`Spread::Wide`] puts consecutive addresses into different /24s,
//! as a botnet has them; [`Spread::Packed`] fills one network after the other, as in a rented
//! range.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that `Wide` goes round through, and addresses used of each /24.
const NETS: usize = 250;
const HOSTS: usize = 250;

/// How addresses follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Consecutive addresses are in different networks.
    Wide,
    /// One network is filled before the next.
    Packed,
}

/// Whose addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The legitimate load's: 127.32.0.0 and on.
    Visitor,
    /// The attack's: 127.64.0.0 and on.
    Attacker,
    /// A new client's after the attack: 127.96.0.0 and on.
    NewClient,
}

/// `count` addresses, and which one the n-th connection has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources {
    who: Who,
    count: usize,
    spread: Spread,
}

impl Sources {
    /// So many; the target's address says from which range.
    pub(crate) fn new(who: Who, count: usize, spread: Spread) -> Self {
        Self { who, count: count.max(1), spread }
    }

    /// Returns the address of the n-th connection towards `target`.
    pub(crate) fn of(self, n: usize, target: IpAddr) -> IpAddr {
        let n = n % self.count;
        match target {
            IpAddr::V4(v4) if v4.is_loopback() => self.loopback(n),
            IpAddr::V4(_) => self.namespace_v4(n),
            // For ::1 there are no other addresses to bind.
            IpAddr::V6(v6) if v6.is_loopback() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V6(_) => self.namespace_v6(n),
        }
    }

    /// Network and host of the n-th within one block of 62,500, and which block.
    fn place(self, n: usize) -> (u8, u8, u8) {
        let block = n / (NETS * HOSTS);
        let within = n % (NETS * HOSTS);
        let (net, host) = match self.spread {
            Spread::Wide => (within % NETS, within / NETS),
            Spread::Packed => (within / HOSTS, within % HOSTS),
        };
        let byte = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        (byte(block), byte(net), byte(host).saturating_add(1))
    }

    fn loopback(self, n: usize) -> IpAddr {
        let (block, net, host) = self.place(n);
        let first = match self.who {
            Who::Visitor => 32u8,
            Who::Attacker => 64,
            Who::NewClient => 96,
        };
        IpAddr::V4(Ipv4Addr::new(127, first.saturating_add(block), net, host))
    }

    /// 198.18.0.0/15 is for benchmarks (RFC 2544): attackers in its first half.
    fn namespace_v4(self, n: usize) -> IpAddr {
        let (_, net, host) = self.place(n);
        let (second, net) = match self.who {
            Who::Visitor => (19, net),
            Who::Attacker => (18, net),
            // Beyond the networks of all others.
            Who::NewClient => (19, u8::MAX),
        };
        IpAddr::V4(Ipv4Addr::new(198, second, net, host))
    }

    /// Documentation addresses: `Wide` is a /56 each, `Packed` is one /64.
    fn namespace_v6(self, n: usize) -> IpAddr {
        let side = match self.who {
            Who::Visitor | Who::NewClient => 0x5ea1,
            Who::Attacker => 0x5ea2,
        };
        let word = |n: usize| u16::try_from(n & 0xffff).unwrap_or(0);
        let (net, high, low) = match self.spread {
            // No visitor's network ends so.
            _ if self.who == Who::NewClient => (u16::MAX, 0, word(n).saturating_add(1)),
            Spread::Wide => (word(n << 8), word(n >> 8), 1),
            Spread::Packed => (0, word(n >> 16), word(n).saturating_add(1)),
        };
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, side, net, 0, 0, high, low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OWN_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OWN_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x5ea0, 0, 0, 0, 0, 1));

    fn all(who: Who, count: usize, spread: Spread, target: IpAddr) -> Vec<IpAddr> {
        let sources = Sources::new(who, count, spread);
        (0..count).map(|n| sources.of(n, target)).collect()
    }

    #[test]
    fn attackers_and_visitors_are_different_and_never_meet() {
        for (target, count) in [(LOOPBACK, 70_000), (OWN_V4, 50_000), (OWN_V6, 50_000)] {
            for spread in [Spread::Wide, Spread::Packed] {
                let attackers: HashSet<_> =
                    all(Who::Attacker, count, spread, target).into_iter().collect();
                assert_eq!(attackers.len(), count, "{target} {spread:?}");
                let visitors = all(Who::Visitor, 10_000, spread, target);
                assert!(visitors.iter().all(|visitor| !attackers.contains(visitor)));
                let new_clients = all(Who::NewClient, 2, spread, target);
                let strange = |one: &IpAddr| !attackers.contains(one) && !visitors.contains(one);
                assert!(new_clients.iter().all(strange), "{new_clients:?}");
            }
        }
    }

    #[test]
    fn every_loopback_address_is_one() {
        let sources = Sources::new(Who::Attacker, crate::caps::ADDRESSES_MAX, Spread::Wide);
        assert!((0..crate::caps::ADDRESSES_MAX).all(|n| sources.of(n, LOOPBACK).is_loopback()));
    }

    #[test]
    fn wide_changes_the_network_and_packed_keeps_it() {
        let net = |address: &IpAddr| address.to_string().rsplit_once('.').unwrap().0.to_owned();
        let nets = |spread| {
            let found = all(Who::Attacker, 250, spread, LOOPBACK);
            found.iter().map(net).collect::<HashSet<_>>().len()
        };
        assert_eq!(nets(Spread::Wide), 250);
        assert_eq!(nets(Spread::Packed), 1);
    }

    #[test]
    fn packed_in_ipv6_is_one_64_and_wide_is_a_56_each() {
        let prefix = |bytes: usize, address: &IpAddr| match address {
            IpAddr::V6(v6) => v6.octets()[..bytes].to_vec(),
            IpAddr::V4(_) => panic!("{address}"),
        };
        let packed = all(Who::Attacker, 1_000, Spread::Packed, OWN_V6);
        let nets: HashSet<_> = packed.iter().map(|address| prefix(8, address)).collect();
        assert_eq!(nets.len(), 1);
        let wide = all(Who::Attacker, 256, Spread::Wide, OWN_V6);
        let nets: HashSet<_> = wide.iter().map(|address| prefix(7, address)).collect();
        assert_eq!(nets.len(), 256);
    }
}
