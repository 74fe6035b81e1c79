//! Finds the networks of a set that contain an address.
//!
//! Two networks are nested or disjoint. The address space is therefore a sequence of ranges. Each
//! range has one smallest network, and every network refers to the next larger one around it. A
//! lookup is a binary search and one step for each level of nesting.

use std::net::IpAddr;

use seawall_model::{AddrRange, Prefix};

use super::postings::Posting;

/// No network.
const NONE: u32 = u32::MAX;

/// A network of the policy.
#[derive(Debug)]
struct Node {
    posting: Posting,
    /// The next larger network around it.
    around: u32,
}

/// Networks of one family: the start of each range, and its smallest network.
#[derive(Debug, Default)]
struct Family<T> {
    starts: Box<[T]>,
    smallest: Box<[u32]>,
    nodes: Box<[Node]>,
}

/// Networks of both families.
#[derive(Debug, Default)]
pub(super) struct Nets {
    v4: Family<u32>,
    v6: Family<u128>,
}

impl Nets {
    /// Creates the search. Each network occurs once, with its postings.
    pub(super) fn new(nets: Vec<(Prefix, Posting)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, posting) in nets {
            match net.range() {
                AddrRange::V4(from, to) => v4.push((from, to, posting)),
                AddrRange::V6(from, to) => v6.push((from, to, posting)),
            }
        }
        Self {
            v4: Family::new(v4, |n| n.checked_add(1)),
            v6: Family::new(v6, |n| n.checked_add(1)),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let v4 = self.v4.starts.len().saturating_mul(8);
        let v6 = self.v6.starts.len().saturating_mul(20);
        let nodes = self.v4.nodes.len().saturating_add(self.v6.nodes.len());
        v4.saturating_add(v6).saturating_add(nodes.saturating_mul(12))
    }

    /// Calls `visit` with the postings of each network that contains the address.
    pub(super) fn each(&self, ip: IpAddr, visit: impl FnMut(Posting)) {
        match ip {
            IpAddr::V4(ip) => self.v4.each(u32::from(ip), visit),
            IpAddr::V6(ip) => self.v6.each(u128::from(ip), visit),
        }
    }
}

impl<T: Ord + Copy> Family<T> {
    fn new(mut nets: Vec<(T, T, Posting)>, next: impl Fn(T) -> Option<T>) -> Self {
        // A larger network comes before the networks that start at the same address.
        nets.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut out = Ranges { starts: Vec::new(), smallest: Vec::new() };
        let mut nodes: Vec<Node> = Vec::with_capacity(nets.len());
        // The networks that contain this address, the smallest last.
        let mut open: Vec<(T, u32)> = Vec::new();
        for (from, to, posting) in nets {
            close(&mut open, Some(from), &mut out, &next);
            let id = u32::try_from(nodes.len()).unwrap_or(NONE);
            nodes.push(Node { posting, around: open.last().map_or(NONE, |last| last.1) });
            out.begin(from, id);
            open.push((to, id));
        }
        close(&mut open, None, &mut out, &next);
        Self { starts: out.starts.into(), smallest: out.smallest.into(), nodes: nodes.into() }
    }

    fn each(&self, address: T, mut visit: impl FnMut(Posting)) {
        let after = self.starts.partition_point(|start| *start <= address);
        let at = after.checked_sub(1).and_then(|at| self.smallest.get(at));
        let mut node = at.and_then(|id| self.nodes.get(*id as usize));
        // INVARIANT: `around` is always an earlier node, so this loop ends.
        while let Some(found) = node {
            visit(found.posting);
            node = self.nodes.get(found.around as usize);
        }
    }
}

struct Ranges<T> {
    starts: Vec<T>,
    smallest: Vec<u32>,
}

impl<T: Ord + Copy> Ranges<T> {
    fn begin(&mut self, start: T, id: u32) {
        if self.starts.last() == Some(&start) {
            // A smaller network that starts at the same address.
            if let Some(last) = self.smallest.last_mut() {
                *last = id;
            }
        } else {
            self.starts.push(start);
            self.smallest.push(id);
        }
    }
}

/// Closes the networks that end before `upto`. After each, the rest of the network around it
/// follows.
fn close<T: Ord + Copy>(
    open: &mut Vec<(T, u32)>,
    upto: Option<T>,
    out: &mut Ranges<T>,
    next: &impl Fn(T) -> Option<T>,
) {
    while let Some((to, _)) = open.last().copied() {
        if upto.is_some_and(|upto| to >= upto) {
            return;
        }
        open.pop();
        if let Some(start) = next(to) {
            out.begin(start, open.last().map_or(NONE, |last| last.1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(all: &[Prefix]) -> Nets {
        let numbered = all.iter().enumerate();
        Nets::new(numbered.map(|(at, net)| (*net, Posting::one(at as u32))).collect())
    }

    fn holding(nets: &Nets, ip: IpAddr) -> Vec<u32> {
        let mut found = Vec::new();
        nets.each(ip, |posting| found.push(posting.from));
        found.sort_unstable();
        found
    }

    #[test]
    fn all_networks_around_an_address_are_found_to_the_ends_of_the_space() {
        let all: Vec<Prefix> =
            ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "255.255.255.255", "::/0"]
                .iter()
                .map(|text| Prefix::parse(text).unwrap().0)
                .collect();
        let nets = build(&all);
        assert_eq!(holding(&nets, "10.1.2.3".parse().unwrap()), [0, 1, 2, 3]);
        assert_eq!(holding(&nets, "10.1.2.4".parse().unwrap()), [0, 1, 2]);
        assert_eq!(holding(&nets, "10.2.0.0".parse().unwrap()), [0, 1]);
        assert_eq!(holding(&nets, "11.0.0.0".parse().unwrap()), [0]);
        assert_eq!(holding(&nets, "255.255.255.255".parse().unwrap()), [0, 4]);
        assert_eq!(holding(&nets, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap()), [5]);
        assert!(holding(&Nets::default(), "10.0.0.1".parse().unwrap()).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_is_what_a_look_at_each_finds(
            raw in proptest::collection::vec((0u32..64, 24u8..=32), 0..30),
            probes in proptest::collection::vec(0u32..80, 20),
        ) {
            // Sixty-four neighbouring addresses, so that networks nest and touch.
            let mut all: Vec<Prefix> = raw.iter()
                .map(|(ip, len)| Prefix::new(std::net::Ipv4Addr::from(0x0A00_0000 + ip * 4).into(), *len))
                .collect();
            all.sort_unstable();
            all.dedup();
            let nets = build(&all);
            for probe in probes {
                let ip = IpAddr::from(std::net::Ipv4Addr::from(0x0A00_0000 + probe * 4));
                let naive: Vec<u32> = (0..all.len() as u32)
                    .filter(|at| all[*at as usize].contains(ip)).collect();
                proptest::prop_assert_eq!(holding(&nets, ip), naive);
            }
        }
    }
}
