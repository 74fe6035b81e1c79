//! Addresses that no list should have refused: those of the host itself and of its neighbours. A
//! list that holds them locks out health checks, the members' own machines, or, where one proxy
//! stands in front, everybody.

use seawall_model::{AddrRange, Prefix};
use seawall_policy::program::{List, ListId, Refused, Spared};
use seawall_policy::set::{NetSet, Set};

/// The networks that are nobody's on the internet, and what they are for.
const RESERVED: [(&str, &str); 9] = [
    ("10.0.0.0/8", "private, RFC 1918"),
    ("172.16.0.0/12", "private, RFC 1918"),
    ("192.168.0.0/16", "private, RFC 1918"),
    ("fc00::/7", "private, RFC 4193"),
    ("100.64.0.0/10", "shared by a provider's customers, RFC 6598"),
    ("127.0.0.0/8", "loopback"),
    ("::1/128", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("fe80::/10", "link-local"),
];

/// The most networks that one warning names.
const NAMED_MAX: usize = 4;

/// What a host's configuration names that lists should not have refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Proxies that stand in front: everybody comes through them.
    pub proxies: Vec<Prefix>,
    /// The operator's own networks.
    pub own: Vec<Prefix>,
    /// Addresses of this server.
    pub server: Vec<Prefix>,
}

/// A guarded network that a list holds an address of, and what it is.
struct Held {
    net: Prefix,
    what: &'static str,
}

/// Whom a list has refused that should stay let in.
#[derive(Debug)]
pub(super) struct Locked<'l> {
    pub(super) refused: &'l Refused,
    held: Vec<Held>,
}

impl Locked<'_> {
    /// The networks, in words.
    pub(super) fn words(&self) -> String {
        let named = self.held.iter().take(NAMED_MAX);
        let mut words: Vec<String> =
            named.map(|held| format!("{} ({})", held.net, held.what)).collect();
        let more = self.held.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            words.push(format!("{more} more"));
        }
        words.join(", ")
    }

    /// The networks as a set.
    pub(super) fn set(&self) -> String {
        let named: Vec<String> =
            self.held.iter().take(NAMED_MAX).map(|held| held.net.to_string()).collect();
        format!("{{ {} }}", named.join(", "))
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.net, self.what)
    }
}

/// Whom a rule locks out through a list, where there is one that does.
pub(super) fn locked<'l>(
    list: &'l List,
    set: &Set,
    guarded: &Guarded,
    others: &dyn Fn(ListId) -> Option<&'l Set>,
) -> Option<Locked<'l>> {
    let Set::Nets(nets) = set else { return None };
    if list.refused.is_empty() {
        return None;
    }
    let reserved =
        RESERVED.iter().filter_map(|(net, what)| Some((Prefix::parse(net).ok()?.0, *what)));
    let proxies = guarded.proxies.iter().map(|net| (*net, "[trusted_proxies]"));
    let own = guarded.own.iter().map(|net| (*net, "`[bans] exempt`, the operator's own"));
    let server = guarded.server.iter().map(|net| (*net, "an address of this server"));
    let held = |(net, what): (Prefix, &'static str)| {
        nets.meets(&AddrRange::from(net)).then_some(Held { net, what })
    };
    let all: Vec<Held> =
        own.chain(proxies).chain(server).chain(reserved).filter_map(held).collect();
    if all.is_empty() {
        return None;
    }
    list.refused.iter().find_map(|refused| {
        let spares: Vec<&NetSet> =
            refused.spares.iter().filter_map(|spared| spared_nets(spared, others)).collect();
        let held: Vec<Held> = all
            .iter()
            .filter(|held| !spares.iter().any(|spare| spare.covers(&held.net)))
            .map(|held| Held { ..*held })
            .collect();
        (!held.is_empty()).then_some(Locked { refused, held })
    })
}

/// The networks that a rule lets through, where they are known: the host's lists are not while a
/// member's are loaded.
fn spared_nets<'s>(
    spared: &'s Spared,
    others: &dyn Fn(ListId) -> Option<&'s Set>,
) -> Option<&'s NetSet> {
    match spared {
        Spared::Nets(nets) => Some(nets),
        Spared::List(list) => match others(*list)? {
            Set::Nets(nets) => Some(nets),
            _ => None,
        },
    }
}
