//! Known clients of a site: those that it served before a congestion.
//!
//! During a congestion, a client that came before is more likely to be legitimate than a client
//! that comes with the flood. A client that a site serves without a congestion is recorded, and is
//! known from some time after its first visit. During a congestion no client is recorded, and only
//! clients first seen long enough before its start are known. Each site has its own known clients;
//! the empty name stands for the whole server. They survive edits and restarts, as hashes with the
//! secret of [`crate::Key`].
//!
//! Limitation: an attacker who sent normal requests before is a known client, with the same share
//! as other known clients.

use std::sync::OnceLock;

use seawall_model::{ClientKey, Tick};

use crate::counters::table::{Entry, EvictionClass, Size, Stored, Table};
use crate::key::{Key, KeyBuilder};
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

/// Most known clients of all sites together, at 27 bytes each. Beyond it, the least recently seen is
/// evicted.
pub const REGULARS_MAX: usize = 1 << 18;
/// Seconds for which a client is stored: a month.
pub const REGULAR_KEPT_S: u32 = 31 * 86_400;

/// Seconds from the first visit after which a second visit protects a client from eviction.
const CAME_AGAIN_S: u32 = 60;

/// One client of a site. Times are whole seconds since 1970, valid until 2106.
#[derive(Debug, Clone, Copy, Default)]
struct KnownClient {
    first_s: u32,
    seen_s: u32,
}

fn seconds(at: Tick) -> u32 {
    u32::try_from(at.0 / 1_000).unwrap_or(u32::MAX)
}

impl KnownClient {
    fn is_forgotten(&self, now: Tick) -> bool {
        seconds(now).saturating_sub(self.seen_s) > REGULAR_KEPT_S
    }
}

impl Entry for KnownClient {
    fn seen(&self) -> Tick {
        Tick(u64::from(self.seen_s).saturating_mul(1_000))
    }

    /// Returns the eviction class. A client with a second visit is worth more than one with a single
    /// visit. Clients that visit once, on any site, evict each other.
    fn standing(&self, now: Tick) -> EvictionClass {
        let came_once = self.seen_s.saturating_sub(self.first_s) < CAME_AGAIN_S;
        if came_once || self.is_forgotten(now) { EvictionClass::Idle } else { EvictionClass::Live }
    }
}

impl Stored for KnownClient {
    fn store(&self, out: &mut SnapshotEncoder) {
        out.moment(Tick(u64::from(self.first_s).saturating_mul(1_000)));
        out.moment(self.seen());
    }

    fn is_missed(&self, now: Tick) -> bool {
        !self.is_forgotten(now)
    }

    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self> {
        let (first, seen) = (from.moment()?, from.moment()?);
        Some(Self { first_s: seconds(first.is), seen_s: seconds(seen.is) })
    }
}

/// The known clients of all sites. The memory is allocated with the first client or by `prepare`,
/// because a state for tests needs none.
#[derive(Debug)]
pub struct KnownClients {
    most: usize,
    table: OnceLock<Table<KnownClient>>,
}

impl Default for KnownClients {
    fn default() -> Self {
        Self::new(REGULARS_MAX)
    }
}

impl KnownClients {
    /// Creates a table for this number of clients.
    #[must_use]
    pub const fn new(clients: usize) -> Self {
        Self { most: clients, table: OnceLock::new() }
    }

    /// Allocates the memory now, so that no request waits for it later.
    pub fn prepare(&self) {
        self.table();
    }

    fn table(&self) -> &Table<KnownClient> {
        self.table.get_or_init(|| Table::new(self.most))
    }

    /// Returns the key of a client of a site, with the secret in `key`.
    #[must_use]
    pub fn key(mut key: KeyBuilder, site: &str, client: &ClientKey) -> Key {
        key.part(site.as_bytes());
        match client.0.addr() {
            std::net::IpAddr::V4(v4) => key.part(&v4.octets()),
            std::net::IpAddr::V6(v6) => key.part(&v6.octets()),
        }
        key.finish()
    }

    /// Records a client that a site served without a congestion.
    pub fn record(&self, key: Key, now: Tick) {
        let now_s = seconds(now);
        let fresh = || KnownClient { first_s: now_s, seen_s: now_s };
        let came = |regular: &mut KnownClient| {
            if regular.is_forgotten(now) {
                regular.first_s = now_s;
            }
            regular.seen_s = regular.seen_s.max(now_s);
        };
        // A client that cannot be stored stays unknown.
        let _noted = self.table().update(key, now, fresh, came);
    }

    /// Returns whether a client was first seen at least `after_ms` before `since`, the start of the
    /// congestion, and was seen in the last month.
    #[must_use]
    pub fn is_known_before(&self, key: Key, since: Tick, after_ms: u64) -> bool {
        let before_s = seconds(Tick(since.0.saturating_sub(after_ms)));
        let known =
            |regular: &KnownClient| regular.first_s <= before_s && !regular.is_forgotten(since);
        self.table.get().and_then(|table| table.read(key, known)).unwrap_or(false)
    }

    /// Returns the number of stored clients.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.get().map_or(0, |table| table.filled().resident)
    }

    /// Returns whether no client is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        if let Some(table) = self.table.get() {
            table.store(out);
        }
    }

    pub(crate) fn load(&self, from: SnapshotDecoder<'_>) -> Option<()> {
        if from.is_at_end() {
            return Some(());
        }
        self.table().load(from, Size::Same)
    }

    pub(crate) fn is_used_since(&self, at: Tick) -> bool {
        self.table.get().is_some_and(|table| table.is_used_since(at))
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::{Client, ClientPrefixes};

    use super::*;
    use crate::key::Seed;

    const MINUTE: u64 = 60_000;

    fn key(site: &str, ip: &str) -> Key {
        let client = Client::of(ip.parse().unwrap(), &ClientPrefixes::default());
        KnownClients::key(KeyBuilder::new(&Seed([3; 16])), site, &client.key)
    }

    #[test]
    fn who_came_a_while_before_the_trouble_is_known_and_who_came_with_it_is_not() {
        let regulars = KnownClients::new(100);
        let start = Tick::TEST_START;
        regulars.record(key("a", "192.0.2.1"), start);
        regulars.record(key("a", "192.0.2.2"), start.plus_ms(2 * MINUTE));
        let trouble = start.plus_ms(2 * MINUTE);
        let knows = |ip: &str, at: Tick| regulars.is_known_before(key("a", ip), at, MINUTE);
        assert!(knows("192.0.2.1", trouble));
        assert!(!knows("192.0.2.2", trouble), "it came with the flood");
        assert!(!knows("192.0.2.3", trouble), "it never came");
        assert!(knows("192.0.2.2", trouble.plus_ms(MINUTE)));
    }

    #[test]
    fn a_site_knows_its_own_visitors_and_a_household_is_one() {
        let regulars = KnownClients::new(100);
        regulars.record(key("a", "2001:db8::1"), Tick::TEST_START);
        let later = Tick::TEST_START.plus_ms(MINUTE);
        assert!(regulars.is_known_before(key("a", "2001:db8:0:99::2"), later, MINUTE));
        assert!(!regulars.is_known_before(key("b", "2001:db8::1"), later, MINUTE));
    }

    #[test]
    fn after_a_month_a_client_is_new_again() {
        let regulars = KnownClients::new(100);
        let month_ms = u64::from(REGULAR_KEPT_S) * 1_000;
        let (one, start) = (key("a", "192.0.2.1"), Tick::TEST_START);
        regulars.record(one, start);
        assert!(regulars.is_known_before(one, start.plus_ms(month_ms), MINUTE));
        let later = start.plus_ms(month_ms + 2_000);
        assert!(!regulars.is_known_before(one, later, MINUTE));
        regulars.record(one, later);
        assert!(!regulars.is_known_before(one, later, MINUTE), "its first visit is forgotten");
        assert!(regulars.is_known_before(one, later.plus_ms(MINUTE), MINUTE));
    }

    #[test]
    fn strangers_who_come_once_push_out_nobody_who_came_again() {
        let regulars = KnownClients::new(64);
        let (one, start) = (key("a", "192.0.2.1"), Tick::TEST_START);
        regulars.record(one, start);
        regulars.record(one, start.plus_ms(2 * MINUTE));
        for n in 0..10_000_u32 {
            let ip = std::net::Ipv4Addr::from(n.wrapping_add(0x0a00_0000)).to_string();
            regulars.record(key("b", &ip), start.plus_ms(2 * MINUTE + u64::from(n)));
        }
        assert!(regulars.is_known_before(one, start.plus_ms(3 * MINUTE), MINUTE));
    }

    #[test]
    fn more_clients_than_there_is_room_for_are_no_growth() {
        let regulars = KnownClients::new(64);
        for n in 0..10_000_u32 {
            let ip = std::net::Ipv4Addr::from(n.wrapping_add(0x0a00_0000)).to_string();
            regulars.record(key("a", &ip), Tick::TEST_START.plus_ms(u64::from(n)));
        }
        assert!(regulars.len() <= 128, "{}", regulars.len());
    }
}
