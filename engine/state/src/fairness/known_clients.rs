//! Whom a site knew before it was in trouble.
//!
//! When there is not enough for all, who came before is likelier to be somebody than who comes with
//! the flood. So a client that a site serves while it is calm is noted, and counts as known from
//! some time after its first visit on. While the site is in trouble nobody is noted, and only who
//! was first seen long enough before the trouble began is known: coming with the flood, and coming
//! often, earns nothing. Each site knows its own visitors only; the empty name stands for the host
//! as a whole.
//!
//! Kept over edits and restarts, as hashes under the secret of [`crate::Key`].
//!
//! Where this does not protect you: from an attacker who came in peace a while before. Known clients
//! have the same shares among themselves as all others.

use std::sync::OnceLock;

use seawall_model::{ClientKey, Tick};

use crate::counters::table::{Entry, EvictionClass, Size, Stored, Table};
use crate::key::{Key, KeyBuilder};
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

/// Clients that are remembered, each of a site, at 27 bytes; beyond it the one longest not seen is
/// forgotten.
pub const REGULARS_MAX: usize = 1 << 18;
/// Seconds for which a client is remembered: a month.
pub const REGULAR_KEPT_S: u32 = 31 * 86_400;

/// Seconds from a client's first visit after which another one keeps its place for it.
const CAME_AGAIN_S: u32 = 60;

/// One client of a site, in whole seconds since 1970: they last until 2106.
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

    /// One that came again is worth more than one that came once: strangers who each come once, to
    /// whichever site, push out each other.
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

/// The clients that sites know. Takes its memory with the first of them, or when it is told to: a
/// state that is made to try something out needs none.
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
    /// Room for so many.
    #[must_use]
    pub const fn new(clients: usize) -> Self {
        Self { most: clients, table: OnceLock::new() }
    }

    /// Takes the memory now: later, a visitor would wait for it.
    pub fn prepare(&self) {
        self.table();
    }

    fn table(&self) -> &Table<KnownClient> {
        self.table.get_or_init(|| Table::new(self.most))
    }

    /// The key of a site's client, with the secret of whoever began `key`.
    #[must_use]
    pub fn key(mut key: KeyBuilder, site: &str, client: &ClientKey) -> Key {
        key.part(site.as_bytes());
        match client.0.addr() {
            std::net::IpAddr::V4(v4) => key.part(&v4.octets()),
            std::net::IpAddr::V6(v6) => key.part(&v6.octets()),
        }
        key.finish()
    }

    /// Notes that a client was served while its site was calm.
    pub fn record(&self, key: Key, now: Tick) {
        let now_s = seconds(now);
        let fresh = || KnownClient { first_s: now_s, seen_s: now_s };
        let came = |regular: &mut KnownClient| {
            if regular.is_forgotten(now) {
                regular.first_s = now_s;
            }
            regular.seen_s = regular.seen_s.max(now_s);
        };
        // One that finds no place stays unknown.
        let _noted = self.table().update(key, now, fresh, came);
    }

    /// Whether a client was first seen `after_ms` or more before `since`, the beginning of trouble,
    /// and has come in the last month.
    #[must_use]
    pub fn is_known_before(&self, key: Key, since: Tick, after_ms: u64) -> bool {
        let before_s = seconds(Tick(since.0.saturating_sub(after_ms)));
        let known =
            |regular: &KnownClient| regular.first_s <= before_s && !regular.is_forgotten(since);
        self.table.get().and_then(|table| table.read(key, known)).unwrap_or(false)
    }

    /// Clients that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.get().map_or(0, |table| table.filled().resident)
    }

    /// Whether there are none.
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
