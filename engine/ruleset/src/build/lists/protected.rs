//! Protected addresses, which no list should reject: those of the server itself and of its
//! networks. A list with them rejects health checks, the members' own machines, or, behind a single
//! proxy, all clients.

use seawall_model::{AddrRange, Prefix};
use seawall_policy::program::{List, ListId, Refused, Spared};
use seawall_policy::set::{NetSet, Set};

/// Networks that are not public on the internet, and their use.
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

/// Most networks that one warning names.
const NAMED_MAX: usize = 4;

/// The configured addresses that lists should not reject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Trusted proxies: requests of all clients come through them.
    pub proxies: Vec<Prefix>,
    /// The operator's own networks.
    pub own: Vec<Prefix>,
    /// Addresses of this server.
    pub server: Vec<Prefix>,
}

/// A protected network with an address in a list, and its description.
struct Held {
    net: Prefix,
    what: &'static str,
}

/// The protected networks that a list rejects.
#[derive(Debug)]
pub(super) struct Locked<'l> {
    pub(super) refused: &'l Refused,
    held: Vec<Held>,
}

impl Locked<'_> {
    /// Returns the networks as text.
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

    /// Returns the networks as a set.
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

/// Returns the protected networks that a rule rejects through a list, if there are any.
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

/// Returns the networks that a rule exempts, if they are known. While a member's lists are loaded,
/// those of the operator are not.
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
