//! Sets of values: from braces in a policy, or from a list file.
//!
//! Networks are merged ranges in a sorted array, and membership is one binary search. An overlap is
//! never an error: in other systems, one address inside a listed /64 has prevented the start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashSet;
use seawall_model::{AddrRange, Prefix};

/// A checked set. Each kind matches values of its own type only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Whole strings, compared byte for byte.
    Strings(HashSet<Box<[u8]>>),
    /// Numbers: AS numbers, words of an enumeration, whole numbers.
    Ints(Vec<i64>),
    /// Addresses and networks.
    Nets(NetSet),
    /// Words of an enumeration by number, and its values that are not words.
    Words(Vec<i64>, HashSet<Box<[u8]>>),
}

impl Set {
    /// Creates a set of numbers in any order.
    #[must_use]
    pub fn ints(mut numbers: Vec<i64>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        Self::Ints(numbers)
    }

    /// Creates a set of words in any order, and of values that are not words.
    #[must_use]
    pub fn words(numbers: Vec<i64>, others: HashSet<Box<[u8]>>) -> Self {
        match Self::ints(numbers) {
            Self::Ints(words) if !others.is_empty() => Self::Words(words, others),
            words => words,
        }
    }

    /// Returns whether these bytes are in the set.
    #[must_use]
    pub fn has_bytes(&self, bytes: &[u8]) -> bool {
        matches!(self, Self::Strings(all) | Self::Words(_, all) if all.contains(bytes))
    }

    /// Returns whether this number is in the set.
    #[must_use]
    pub fn has_int(&self, number: i64) -> bool {
        matches!(self, Self::Ints(all) | Self::Words(all, _) if all.binary_search(&number).is_ok())
    }

    /// Returns whether the whole network is in the set.
    #[must_use]
    pub fn has_net(&self, net: &Prefix) -> bool {
        matches!(self, Self::Nets(all) if all.covers(net))
    }

    /// Returns the number of elements; merged ones count once.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Strings(all) => all.len(),
            Self::Ints(all) => all.len(),
            Self::Nets(all) => all.v4.len().saturating_add(all.v6.len()),
            Self::Words(words, others) => words.len().saturating_add(others.len()),
        }
    }

    /// Returns the approximate memory of its elements in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Strings(all) => string_bytes(all),
            Self::Ints(all) => all.capacity().saturating_mul(size_of::<i64>()),
            Self::Words(words, others) => {
                let words = words.capacity().saturating_mul(size_of::<i64>());
                words.saturating_add(string_bytes(others))
            }
            Self::Nets(all) => size_of_val(&*all.v4)
                .saturating_add(size_of_val(&*all.v6))
                .saturating_add(size_of_val(&*all.first)),
        }
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Returns the approximate memory of strings in bytes.
fn string_bytes(all: &HashSet<Box<[u8]>>) -> usize {
    let held = all.iter().map(|text| text.len()).fold(0, usize::saturating_add);
    // A hash table is at most seven eighths full, and grows by doubling.
    let slot = size_of::<Box<[u8]>>().saturating_add(1);
    held.saturating_add(all.capacity().saturating_mul(slot))
}

/// Networks of both families as merged, sorted, disjoint ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
    /// For each /16, how many ranges begin before it; empty for a small set. A list of 200,000
    /// networks has about three in a /16, so almost nothing remains to search.
    first: Vec<u32>,
}

/// Fewest ranges for which the 256 KiB of a first level pay off.
const FIRST_LEVEL_RANGES_MIN: usize = 1_024;

/// Returns for each /16 how many of the sorted ranges begin before it, and then the number of all.
fn first_level(v4: &[(u32, u32)]) -> Vec<u32> {
    if v4.len() < FIRST_LEVEL_RANGES_MIN {
        return Vec::new();
    }
    let before = |block: u32| v4.partition_point(|range| range.0 < block << 16);
    let all = (0..1 << 16).map(before).chain([v4.len()]);
    all.map(|count| u32::try_from(count).unwrap_or(u32::MAX)).collect()
}

impl<T: Into<AddrRange>> FromIterator<T> for NetSet {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in all {
            match range.into() {
                AddrRange::V4(from, to) => v4.push((from, to)),
                AddrRange::V6(from, to) => v6.push((from, to)),
            }
        }
        let v4 = merged(v4, |n| n.saturating_add(1));
        let first = first_level(&v4);
        Self { v4, v6: merged(v6, |n| n.saturating_add(1)), first }
    }
}

/// Sorts ranges and joins those that overlap or are adjacent.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> T) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some(last) if from <= next(last.1) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out.shrink_to_fit();
    out
}

/// Splits a range of addresses of `bits` bits into networks. Each step takes the largest network
/// that begins at the start and fits.
fn split(from: u128, to: u128, bits: u32) -> impl Iterator<Item = (u128, u8)> {
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= to)?;
        // Remaining addresses minus one, so that all of IPv6 is a valid number too.
        let left = to.saturating_sub(start);
        let fits = match left.checked_add(1) {
            Some(count) => count.ilog2(),
            None => 128,
        };
        let free = start.trailing_zeros().min(fits).min(bits);
        next = 1_u128.checked_shl(free).and_then(|size| start.checked_add(size));
        Some((start, u8::try_from(bits.saturating_sub(free)).unwrap_or(0)))
    })
}

/// Returns whether one of the ranges has an address from `from` to `to`.
fn meets<T: Ord + Copy>(ranges: &[(T, T)], from: T, to: T) -> bool {
    let begun = ranges.partition_point(|range| range.0 <= to);
    begun.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.1 >= from)
}

/// Returns whether the range that contains `from` reaches `to`.
fn within<T: Ord + Copy>(ranges: &[(T, T)], from: T, to: T) -> bool {
    let after = ranges.partition_point(|range| range.0 <= from);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| to <= range.1)
}

impl NetSet {
    /// Returns whether every address of this set is in the other set.
    #[must_use]
    pub fn within(&self, others: &Self) -> bool {
        self.v4.iter().all(|(from, to)| within(&others.v4, *from, *to))
            && self.v6.iter().all(|(from, to)| within(&others.v6, *from, *to))
    }

    /// Returns whether the set contains an address of the range.
    #[must_use]
    pub fn meets(&self, others: &AddrRange) -> bool {
        match *others {
            AddrRange::V4(from, to) => meets(&self.v4, from, to),
            AddrRange::V6(from, to) => meets(&self.v6, from, to),
        }
    }

    /// Returns the number of ranges; adjacent ones are joined.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Returns whether the set contains every address of a family.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.v4.first() == Some(&(0, u32::MAX)) || self.v6.first() == Some(&(0, u128::MAX))
    }

    /// Returns the fewest networks with the same addresses.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        let v4 = self.v4.iter().flat_map(|(from, to)| {
            split(u128::from(*from), u128::from(*to), 32).filter_map(|(start, len)| {
                Some(Prefix::new(Ipv4Addr::from(u32::try_from(start).ok()?).into(), len))
            })
        });
        let v6 = self.v6.iter().flat_map(|(from, to)| {
            split(*from, *to, 128)
                .map(|(start, len)| Prefix::new(Ipv6Addr::from(start).into(), len))
        });
        v4.chain(v6)
    }

    /// Returns whether a range of IPv4 is in the set.
    fn has_v4(&self, from: u32, to: u32) -> bool {
        let block = (from >> 16) as usize;
        let (Some(begin), Some(end)) =
            (self.first.get(block), self.first.get(block.saturating_add(1)))
        else {
            return within(&self.v4, from, to);
        };
        // The range that contains `from` begins in this /16, or is the last that begins before it.
        let few = self.v4.get((*begin as usize).saturating_sub(1)..*end as usize);
        few.is_some_and(|few| within(few, from, to))
    }

    /// Returns whether the address is in the set.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(v4) => self.has_v4(u32::from(v4), u32::from(v4)),
            IpAddr::V6(v6) => within(&self.v6, u128::from(v6), u128::from(v6)),
        }
    }

    /// Returns whether every address of `net` is in the set.
    #[must_use]
    pub fn covers(&self, net: &Prefix) -> bool {
        match net.range() {
            AddrRange::V4(from, to) => self.has_v4(from, to),
            AddrRange::V6(from, to) => within(&self.v6, from, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(all: &[&str]) -> NetSet {
        all.iter().map(|text| Prefix::parse(text).unwrap().0).collect()
    }

    #[test]
    fn overlaps_and_neighbours_merge() {
        let set = nets(&["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7/32", "2001:db8::/48"]);
        assert_eq!((set.v4.len(), set.v6.len()), (1, 1));
        assert!(set.covers(&Prefix::parse("10.0.0.0/24").unwrap().0));
        assert!(!set.covers(&Prefix::parse("10.0.0.0/23").unwrap().0));
    }

    #[test]
    fn ranges_meet_where_they_share_an_address() {
        let set = nets(&["10.0.0.4/30", "10.0.0.16/32", "2001:db8::/48"]);
        let meets = |from: &str, to: &str| {
            set.meets(&AddrRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap())
        };
        assert!(meets("10.0.0.0", "10.0.0.4") && meets("10.0.0.7", "10.0.0.9"));
        assert!(meets("0.0.0.0", "255.255.255.255") && meets("10.0.0.5", "10.0.0.5"));
        assert!(!meets("10.0.0.0", "10.0.0.3") && !meets("10.0.0.8", "10.0.0.15"));
        assert!(!meets("10.0.0.17", "255.255.255.255"));
        assert!(meets("2001:db8::9", "2001:db8::9") && !meets("2001:db8:1::", "ffff::"));
    }

    #[test]
    fn the_ends_of_the_address_space_are_addresses_too() {
        let set = nets(&["0.0.0.0/0", "ffff::/16"]);
        assert!(set.contains("255.255.255.255".parse().unwrap()));
        assert!(set.contains("0.0.0.0".parse().unwrap()));
        assert!(set.contains("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()));
        assert!(!set.contains("::".parse().unwrap()));
    }

    #[test]
    fn a_large_set_answers_as_a_search_through_it_does() {
        // Every third /20: 349,525 networks that cover /16s in part. Some ranges cross a border of
        // a /16.
        let scattered = (0..1 << 20).step_by(3);
        let all: Vec<Prefix> = scattered
            .map(|n: u32| Prefix::new(std::net::Ipv4Addr::from(n << 12).into(), 20))
            .chain([
                Prefix::parse("10.0.0.0/8").unwrap().0,
                Prefix::parse("20.255.0.0/15").unwrap().0,
            ])
            .collect();
        let large: NetSet = all.into_iter().collect();
        let plain = NetSet { first: Vec::new(), ..large.clone() };
        assert!(!large.first.is_empty());
        for n in (0..=u32::MAX).step_by(65_521 * 7).chain([u32::MAX]) {
            for near in [n.wrapping_sub(1), n, n | 0xFFFF, n & 0xFFFF_0000] {
                let ip = IpAddr::from(std::net::Ipv4Addr::from(near));
                assert_eq!(large.contains(ip), plain.contains(ip), "{ip}");
                for len in [8, 12, 16, 24] {
                    let net = Prefix::new(ip, len);
                    assert_eq!(large.covers(&net), plain.covers(&net), "{net}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_networks_of_a_set_are_the_same_set(
            raw in proptest::collection::vec((proptest::prelude::any::<u128>(), 0u8..=128), 0..20),
        ) {
            let all = raw.iter().flat_map(|(ip, len)| [
                Prefix::new(Ipv6Addr::from(*ip).into(), *len),
                Prefix::new(Ipv4Addr::from(*ip as u32).into(), len % 33),
            ]);
            let set: NetSet = all.collect();
            let again: NetSet = set.prefixes().collect();
            proptest::prop_assert!(set.prefixes().count() <= raw.len() * 2);
            proptest::prop_assert_eq!(set, again);
        }

        #[test]
        fn membership_is_that_of_the_naive_list(
            raw in proptest::collection::vec((proptest::prelude::any::<u32>(), 0u8..=32), 0..40),
            probes in proptest::collection::vec(proptest::prelude::any::<u32>(), 20),
        ) {
            let all: Vec<Prefix> = raw.iter()
                .map(|(ip, len)| Prefix::new(std::net::Ipv4Addr::from(*ip).into(), *len)).collect();
            let set: NetSet = all.iter().copied().collect();
            let near = raw.iter().flat_map(|(ip, _)| [*ip, ip.wrapping_sub(1), ip.wrapping_add(1)]);
            for probe in probes.iter().copied().chain(near) {
                let ip = IpAddr::from(std::net::Ipv4Addr::from(probe));
                proptest::prop_assert_eq!(set.contains(ip), all.iter().any(|net| net.contains(ip)));
            }
        }
    }
}
