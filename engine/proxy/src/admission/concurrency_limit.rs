//! Limits on concurrent connections and on concurrent requests at origins.
//!
//! Three counts are kept: the total, per client, and per network of the client (an IPv4 /24 or an
//! IPv6 /56 by default). The network counts because its holder can use all its addresses. The maps
//! have at most as many entries as there are permits, so the total limit bounds them. The standard
//! map hashes with a random key, so a client cannot choose its bucket. Only dropping a permit
//! decrements a count.
//!
//! A trusted proxy brings many clients, so its connection counts in the total only, until a PROXY
//! header names the client.
//!
//! Limitation: many networks at once reach only the total limit.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use seawall_model::{Client, ClientKey, Prefix};

/// The limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConcurrencyLimits {
    pub(crate) total: usize,
    pub(crate) client: u32,
    pub(crate) net: u32,
}

/// Counts permits and enforces the limits.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    caps: ConcurrencyLimits,
    /// Networks whose addresses many people share: only the total limit applies.
    exempt: Arc<[Prefix]>,
    open: Mutex<LiveCounts>,
}

#[derive(Debug, Default)]
struct LiveCounts {
    total: usize,
    by_client: HashMap<ClientKey, u32>,
    by_net: HashMap<Prefix, u32>,
}

impl LiveCounts {
    /// Returns which limit `client` has reached.
    fn reached(&self, client: &Client, caps: &ConcurrencyLimits) -> Option<LimitReached> {
        let held = |held: Option<&u32>| held.copied().unwrap_or_default();
        if held(self.by_client.get(&client.key)) >= caps.client {
            return Some(LimitReached::Client);
        }
        (held(self.by_net.get(&client.net)) >= caps.net).then_some(LimitReached::Network)
    }

    /// Counts one permit of `client`.
    fn name(&mut self, client: &Client) {
        *self.by_client.entry(client.key).or_default() += 1;
        *self.by_net.entry(client.net).or_default() += 1;
    }

    fn forget(&mut self, client: &Client) {
        leave(&mut self.by_client, client.key);
        leave(&mut self.by_net, client.net);
    }
}

/// Decrements the count of `key` and removes the entry at zero.
fn leave<K: Hash + Eq>(held: &mut HashMap<K, u32>, key: K) {
    match held.get_mut(&key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            held.remove(&key);
        }
    }
}

/// Maximum of evicted connections that are not closed yet. They are open files in addition to the
/// limit and come out of the descriptors reserved for everything else.
const MAX_EVICTING: usize = 128;

/// Whether an idle connection was evicted for the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotSource {
    /// No: the connection needs a free slot.
    Free,
    /// Yes: the connection counts beside the evicted one until that one has closed.
    Evicted,
}

/// Which limit rejected a connection or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitReached {
    /// The total limit.
    Total,
    /// The limit of the client.
    Client,
    /// The limit of its network.
    Network,
}

/// Permit of one connection or request, released when dropped.
#[derive(Debug)]
pub(crate) struct ConcurrencyPermit {
    admission: Arc<ConcurrencyLimiter>,
    /// The client that it counts for; none while only the trusted proxy is known.
    client: Option<Client>,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(caps: ConcurrencyLimits) -> Self {
        Self { caps, exempt: Arc::default(), open: Mutex::new(LiveCounts::default()) }
    }

    /// Adds networks whose addresses many people share.
    pub(crate) fn exempt(mut self, nets: &Arc<[Prefix]>) -> Self {
        self.exempt = Arc::clone(nets);
        self
    }

    /// Checks the limits of `client`. The exempt networks are only searched if a limit is reached.
    fn has_room(&self, client: &Client, open: &LiveCounts) -> Result<(), LimitReached> {
        match open.reached(client, &self.caps) {
            Some(why) if !self.exempts(client) => Err(why),
            _ => Ok(()),
        }
    }

    /// Returns whether many people share the addresses of `client`.
    pub(crate) fn exempts(&self, client: &Client) -> bool {
        self.exempt.iter().any(|net| net.contains(client.ip))
    }

    /// Acquires a permit for `client`, or for a trusted proxy.
    ///
    /// # Errors
    /// Returns the limit that is reached. The total is checked last, so that a client over its own
    /// limit never causes an eviction.
    pub(crate) fn enter(
        self: &Arc<Self>,
        client: Option<&Client>,
        room: SlotSource,
    ) -> Result<ConcurrencyPermit, LimitReached> {
        let mut open = self.open.lock();
        if let Some(client) = client {
            self.has_room(client, &open)?;
        }
        let most = match room {
            SlotSource::Free => self.caps.total,
            SlotSource::Evicted => self.caps.total.saturating_add(MAX_EVICTING),
        };
        if open.total >= most {
            return Err(LimitReached::Total);
        }
        if let Some(client) = client {
            open.name(client);
        }
        open.total += 1;
        Ok(ConcurrencyPermit { admission: Arc::clone(self), client: client.copied() })
    }

    /// Returns the number of permits that a client holds.
    pub(crate) fn held(&self, client: &Client) -> u32 {
        self.open.lock().by_client.get(&client.key).copied().unwrap_or_default()
    }
}

impl ConcurrencyPermit {
    /// Counts the connection for `client` from now on.
    ///
    /// # Errors
    /// Returns the limit that is reached; the connection then counts for no client.
    pub(crate) fn name(&mut self, client: &Client) -> Result<(), LimitReached> {
        let mut open = self.admission.open.lock();
        if let Some(before) = self.client.take() {
            open.forget(&before);
        }
        self.admission.has_room(client, &open)?;
        open.name(client);
        self.client = Some(*client);
        Ok(())
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(client) = &self.client {
            open.forget(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProxyLimits;
    use seawall_model::ClientPrefixes;

    fn client(ip: &str) -> Client {
        Client::of(ip.parse().unwrap(), &ClientPrefixes::default())
    }

    fn admission(total: usize, per_client: u32, per_net: u32) -> Arc<ConcurrencyLimiter> {
        Arc::new(ConcurrencyLimiter::new(ConcurrencyLimits {
            total,
            client: per_client,
            net: per_net,
        }))
    }

    fn enter(
        admission: &Arc<ConcurrencyLimiter>,
        ip: &str,
    ) -> Result<ConcurrencyPermit, LimitReached> {
        admission.enter(Some(&client(ip)), SlotSource::Free)
    }

    #[test]
    fn a_client_has_its_places_and_not_one_more() {
        let admission = admission(100, 2, 100);
        let held: Vec<_> = (0..2).map(|_| enter(&admission, "192.0.2.1").unwrap()).collect();
        assert_eq!(enter(&admission, "192.0.2.1").err(), Some(LimitReached::Client));
        assert!(enter(&admission, "192.0.2.2").is_ok());
        drop(held);
        assert!(enter(&admission, "192.0.2.1").is_ok());
    }

    #[test]
    fn a_household_shares_its_places() {
        let admission = admission(100, 1, 100);
        let _held = enter(&admission, "2001:db8::1").unwrap();
        assert_eq!(enter(&admission, "2001:db8:0:1::1").err(), Some(LimitReached::Client));
    }

    #[test]
    fn a_network_shares_its_places_in_both_families() {
        for (inside, outside) in [("192.0.2.", "192.0.3.9"), ("2001:db8:0:4200::", "2001:db8:1::9")]
        {
            let admission = admission(100, 3, 3);
            let held: Vec<_> =
                (1..=3).map(|n| enter(&admission, &format!("{inside}{n}")).unwrap()).collect();
            let refused = enter(&admission, &format!("{inside}4")).err();
            // The default client prefix of IPv6 is as wide as the network.
            assert!(
                matches!(refused, Some(LimitReached::Network | LimitReached::Client)),
                "{refused:?}"
            );
            assert!(enter(&admission, outside).is_ok());
            drop(held);
            assert!(enter(&admission, &format!("{inside}4")).is_ok());
        }
    }

    #[test]
    fn who_is_refused_for_its_network_counts_nowhere() {
        let admission = admission(100, 5, 1);
        let held = enter(&admission, "192.0.2.1").unwrap();
        assert_eq!(enter(&admission, "192.0.2.2").err(), Some(LimitReached::Network));
        drop(held);
        let open = admission.open.lock();
        assert_eq!((open.total, open.by_client.len(), open.by_net.len()), (0, 0, 0));
    }

    #[test]
    fn all_places_together_have_their_cap() {
        let admission = admission(2, 2, 100);
        let _one = enter(&admission, "192.0.2.1").unwrap();
        let two = enter(&admission, "192.0.2.2").unwrap();
        assert_eq!(enter(&admission, "192.0.2.3").err(), Some(LimitReached::Total));
        assert_eq!(
            admission.enter(None, SlotSource::Free).err(),
            Some(LimitReached::Total),
            "a hop is no exception"
        );
        drop(two);
        assert!(enter(&admission, "192.0.2.3").is_ok());
    }

    #[test]
    fn who_gets_the_place_of_another_counts_beside_it_and_never_past_its_share() {
        let admission = admission(1, 1, 100);
        let leaving = enter(&admission, "192.0.2.1").unwrap();
        let made = |ip: &str| admission.enter(Some(&client(ip)), SlotSource::Evicted);
        assert_eq!(made("192.0.2.1").err(), Some(LimitReached::Client));
        let coming = made("192.0.2.2").unwrap();
        drop(leaving);
        assert_eq!(enter(&admission, "192.0.2.3").err(), Some(LimitReached::Total));
        drop(coming);
        assert!(enter(&admission, "192.0.2.3").is_ok());
    }

    #[test]
    fn who_has_its_share_is_told_so_even_where_all_places_are_taken() {
        let admission = admission(1, 1, 100);
        let _held = enter(&admission, "192.0.2.1").unwrap();
        assert_eq!(enter(&admission, "192.0.2.1").err(), Some(LimitReached::Client));
    }

    #[test]
    fn a_hop_counts_for_nobody_until_its_client_is_named() {
        let admission = admission(100, 1, 100);
        let mut hops: Vec<_> =
            (0..5).map(|_| admission.enter(None, SlotSource::Free).unwrap()).collect();
        assert_eq!(hops[0].name(&client("192.0.2.1")), Ok(()));
        assert_eq!(hops[1].name(&client("192.0.2.1")), Err(LimitReached::Client));
        assert_eq!(hops[1].name(&client("192.0.2.2")), Ok(()));
        assert_eq!(enter(&admission, "192.0.2.2").err(), Some(LimitReached::Client));
        drop(hops);
        let open = admission.open.lock();
        assert_eq!((open.total, open.by_client.len(), open.by_net.len()), (0, 0, 0));
    }

    #[test]
    fn whoever_left_leaves_nothing_behind() {
        let admission = admission(100, 5, 5);
        for n in 0..50 {
            let _permit = enter(&admission, &format!("192.0.2.{n}")).unwrap();
        }
        let open = admission.open.lock();
        assert_eq!((open.total, open.by_client.len(), open.by_net.len()), (0, 0, 0));
    }

    #[test]
    fn the_defaults_hold_a_hundred_of_one_client_and_four_hundred_of_its_network() {
        let admission = Arc::new(ConcurrencyLimiter::new(ProxyLimits::default().connection_caps()));
        let held: Vec<_> = (0..100).map(|_| enter(&admission, "192.0.2.1")).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(enter(&admission, "192.0.2.1").err(), Some(LimitReached::Client));
        let more: Vec<_> =
            (0..300).map(|n| enter(&admission, &format!("192.0.2.{}", 2 + n / 100))).collect();
        assert!(more.iter().all(Result::is_ok));
        assert_eq!(enter(&admission, "192.0.2.9").err(), Some(LimitReached::Network));
    }
}
