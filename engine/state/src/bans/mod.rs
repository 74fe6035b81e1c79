//! Bans: clients that are rejected on all sites, or on the sites of one member.
//!
//! A look-up tests each unit by which a client can be banned. The table stores which prefix lengths
//! have bans, so it tests only these lengths (usually two) and the autonomous system. Without bans
//! no lock is taken.
//!
//! A ban ends by time or by command, never because the table is full: a new ban is rejected then.
//! The bans of a member have a limit, so that no member can fill the table.
//!
//! Limitation: an attacker with more addresses than the table has entries can fill it. Ban networks
//! in this case.

mod codec;
pub(crate) mod subscription;
pub(crate) mod target;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;
use seawall_model::{Client, Generation, Prefix, Tick};
use siphasher::sip::SipHasher13;

use crate::bans::subscription::{BanEvent, BanSubscription, Subscribers};
use crate::bans::target::{BanScope, BanTarget};
use crate::key::Seed;

/// Most bans of the server, of all scopes together: about 250 MiB if full.
pub const BANS_MAX: usize = 1 << 20;

/// Most bans of one member: a sixteenth of all.
pub const BANS_PER_MEMBER_MAX: usize = BANS_MAX / 16;

/// Bans that are read or ended under one lock, so that a request waits for it at most a
/// millisecond.
const PAGE: usize = 1_024;

/// Most ended bans that one new ban removes. Otherwise the first new ban after a long pause could
/// remove a million and block all traffic meanwhile. One is enough to free one entry.
const CLEARED_AT_ONCE_MAX: usize = 64;

/// The cause of a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanOrigin {
    /// The full name of the rule, or the person who added it by command.
    pub rule: Box<str>,
    /// The generation of the rule.
    pub generation: Generation,
}

/// Limits on the number of bans, and exempt networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanLimits {
    /// Bans of all scopes together.
    pub total_max: usize,
    /// Bans of one member.
    pub per_member_max: usize,
    /// Networks that can never be banned.
    pub never: Vec<Prefix>,
}

impl Default for BanLimits {
    /// Returns the default limits, with the loopback network exempt.
    fn default() -> Self {
        let loopback = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
        Self {
            total_max: BANS_MAX,
            per_member_max: BANS_PER_MEMBER_MAX,
            never: loopback.map(Prefix::host).to_vec(),
        }
    }
}

/// The result of adding a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddBanResult {
    /// The ban is active until this time. An existing ban that ends later stays unchanged.
    Until(Tick),
    /// The target is in a network that can never be banned.
    Exempt,
    /// The table is full.
    Full,
}

/// A ban that matches a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanHit {
    /// The end of the ban.
    pub until: Tick,
    /// The cause of the ban.
    pub why: Arc<BanOrigin>,
}

/// A ban in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBan {
    /// The target.
    pub unit: BanTarget,
    /// The member on whose sites it applies; `None` for all sites.
    pub member: Option<Box<str>>,
    /// The end of the ban.
    pub until: Tick,
    /// The cause of the ban.
    pub why: Arc<BanOrigin>,
}

/// Clients choose what is banned, so the maps hash with the secret.
#[derive(Debug, Clone, Copy)]
struct KeyedHasher(u64, u64);

impl BuildHasher for KeyedHasher {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

#[derive(Debug)]
struct Ban {
    until: Tick,
    /// Distinguishes bans that end at the same time.
    number: u64,
    why: Arc<BanOrigin>,
}

/// The bans of one scope.
#[derive(Debug)]
struct BanTable {
    bans: HashMap<BanTarget, Ban, KeyedHasher>,
    /// The prefix lengths of banned networks, with the number of bans of each.
    lengths: BTreeMap<(Family, u8), usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

fn family(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::V4 } else { Family::V6 }
}

impl BanTable {
    fn new(keyed: KeyedHasher) -> Self {
        Self { bans: HashMap::with_hasher(keyed), lengths: BTreeMap::new() }
    }

    fn insert(&mut self, unit: BanTarget, ban: Ban) {
        if self.bans.insert(unit, ban).is_none()
            && let BanTarget::Net(net) = unit
        {
            let count = self.lengths.entry((family(net.addr()), net.len())).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn remove(&mut self, unit: &BanTarget) -> Option<Ban> {
        let ban = self.bans.remove(unit)?;
        if let BanTarget::Net(net) = unit {
            let length = (family(net.addr()), net.len());
            if let Some(count) = self.lengths.get_mut(&length) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.lengths.remove(&length);
                }
            }
        }
        Some(ban)
    }

    /// Returns the matching ban that ends last.
    fn covers(&self, client: &Client, asn: Option<u32>, now: Tick) -> Option<BanHit> {
        let family = family(client.ip);
        let lengths = self.lengths.range((family, 0)..=(family, u8::MAX));
        // `client` and `client.net` are prefixes of the address, so the lengths cover them.
        let nets = lengths.map(|((_, len), _)| BanTarget::Net(Prefix::new(client.ip, *len)));
        nets.chain(asn.map(BanTarget::Asn))
            .filter_map(|unit| self.bans.get(&unit))
            .filter(|ban| now < ban.until)
            .max_by_key(|ban| ban.until)
            .map(|ban| BanHit { until: ban.until, why: Arc::clone(&ban.why) })
    }
}

/// The end of a ban, and its number.
type BanExpiry = (Tick, u64);

/// The member on whose sites a ban applies, and its target.
type BanLocation = (Option<Box<str>>, BanTarget);

#[derive(Debug)]
struct BanTables {
    host: BanTable,
    members: HashMap<Box<str>, BanTable, KeyedHasher>,
    /// All bans by their ends.
    ends: BTreeMap<BanExpiry, BanLocation>,
    number: u64,
}

impl BanTables {
    fn ledger(&self, scope: BanScope<'_>) -> Option<&BanTable> {
        match scope {
            BanScope::Host => Some(&self.host),
            BanScope::Member(name) => self.members.get(name),
        }
    }

    fn remove(&mut self, unit: &BanTarget, scope: BanScope<'_>) -> Option<Ban> {
        let ban = match scope {
            BanScope::Host => self.host.remove(unit)?,
            BanScope::Member(name) => {
                let ledger = self.members.get_mut(name)?;
                let ban = ledger.remove(unit)?;
                if ledger.bans.is_empty() {
                    self.members.remove(name);
                }
                ban
            }
        };
        self.ends.remove(&(ban.until, ban.number));
        Some(ban)
    }

    fn insert(&mut self, unit: BanTarget, scope: BanScope<'_>, until: Tick, why: Arc<BanOrigin>) {
        self.number = self.number.saturating_add(1);
        let ban = Ban { until, number: self.number, why };
        let member = match scope {
            BanScope::Host => None,
            BanScope::Member(name) => Some(Box::from(name)),
        };
        self.ends.insert((until, self.number), (member, unit));
        match scope {
            BanScope::Host => self.host.insert(unit, ban),
            BanScope::Member(name) => {
                let keyed = *self.members.hasher();
                let ledger = self.members.entry(Box::from(name)).or_insert(BanTable::new(keyed));
                ledger.insert(unit, ban);
            }
        }
    }

    /// Removes ended bans, the earliest first.
    fn drop_ended(&mut self, now: Tick) {
        for _ in 0..CLEARED_AT_ONCE_MAX {
            let Some((&(until, _), (member, unit))) = self.ends.first_key_value() else { return };
            if until > now {
                return;
            }
            let (member, unit) = (member.clone(), *unit);
            self.remove(&unit, scope_of(member.as_deref()));
        }
    }
}

fn scope_of(member: Option<&str>) -> BanScope<'_> {
    member.map_or(BanScope::Host, BanScope::Member)
}

/// All bans of the server.
pub struct Bans {
    ledgers: RwLock<BanTables>,
    limits: BanLimits,
    /// Number of bans, with ended ones that were not removed yet.
    count: AtomicUsize,
    refused: AtomicU64,
    /// Number of changes.
    edits: AtomicU64,
    /// Number of bans added.
    changes: AtomicU64,
    followers: Subscribers,
}

impl std::fmt::Debug for Bans {
    // Without the targets: addresses are not written to logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bans").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Bans {
    /// Creates an empty table.
    #[must_use]
    pub fn new(seed: &Seed, limits: BanLimits) -> Self {
        let (first, second) = SipHasher13::new_with_key(&seed.0).keys();
        let keyed = KeyedHasher(first, second);
        let ledgers = BanTables {
            host: BanTable::new(keyed),
            members: HashMap::with_hasher(keyed),
            ends: BTreeMap::new(),
            number: 0,
        };
        Self {
            ledgers: RwLock::new(ledgers),
            limits,
            count: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            edits: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            followers: Subscribers::default(),
        }
    }

    /// Bans `unit` for `for_ms` from now. A new ban never shortens an existing one.
    #[expect(
        clippy::too_many_arguments,
        reason = "whom, how long, why, where and when; each caller has them apart"
    )]
    pub fn add(
        &self,
        unit: BanTarget,
        for_ms: u64,
        why: BanOrigin,
        scope: BanScope<'_>,
        now: Tick,
    ) -> AddBanResult {
        self.add_until(unit, now.plus_ms(for_ms), Arc::new(why), scope, now)
    }

    #[expect(clippy::too_many_arguments, reason = "as `add`, which it stands behind")]
    fn add_until(
        &self,
        unit: BanTarget,
        until: Tick,
        why: Arc<BanOrigin>,
        scope: BanScope<'_>,
        now: Tick,
    ) -> AddBanResult {
        if let BanTarget::Net(net) = unit
            && self.limits.never.iter().any(|never| never.covers(&net))
        {
            return AddBanResult::Exempt;
        }
        let mut ledgers = self.ledgers.write();
        ledgers.drop_ended(now);
        let there = ledgers.ledger(scope).and_then(|ledger| ledger.bans.get(&unit));
        let added = match there.map(|ban| ban.until) {
            Some(later) if later >= until => AddBanResult::Until(later),
            None if self.is_full(&ledgers, scope) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                AddBanResult::Full
            }
            _ => {
                ledgers.remove(&unit, scope);
                self.followers.tell(|| BanEvent::set(unit, scope, until));
                ledgers.insert(unit, scope, until, why);
                self.changes.fetch_add(1, Ordering::Release);
                AddBanResult::Until(until)
            }
        };
        self.note_count(&ledgers);
        added
    }

    fn is_full(&self, ledgers: &BanTables, scope: BanScope<'_>) -> bool {
        let members = match scope {
            BanScope::Host => 0,
            BanScope::Member(_) => ledgers.ledger(scope).map_or(0, |ledger| ledger.bans.len()),
        };
        ledgers.ends.len() >= self.limits.total_max
            || (scope != BanScope::Host && members >= self.limits.per_member_max)
    }

    fn note_count(&self, ledgers: &BanTables) {
        self.count.store(ledgers.ends.len(), Ordering::Release);
        self.edits.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the active ban in this scope that matches the client and ends last. The sites of a
    /// member need two look-ups: for all sites, and for the member.
    #[must_use]
    pub fn covers(
        &self,
        client: &Client,
        asn: Option<u32>,
        scope: BanScope<'_>,
        now: Tick,
    ) -> Option<BanHit> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let hit = self.ledgers.read().ledger(scope)?.covers(client, asn, now)?;
        let exempt = self.limits.never.iter().any(|never| never.contains(client.ip));
        (!exempt).then_some(hit)
    }

    /// Ends one ban. Returns whether it existed.
    pub fn remove(&self, unit: &BanTarget, scope: BanScope<'_>) -> bool {
        let mut ledgers = self.ledgers.write();
        let removed = ledgers.remove(unit, scope).is_some();
        if removed {
            self.followers.tell(|| BanEvent::lifted(*unit, scope));
        }
        self.note_count(&ledgers);
        removed
    }

    /// Ends all bans for whose cause `wrong` returns true. Returns their number. It reverts a rule
    /// or a generation. Bans that are added during the call stay.
    pub fn remove_matching(&self, wrong: impl Fn(&BanOrigin) -> bool, now: Tick) -> usize {
        let last_number = self.ledgers.read().number;
        let mut lifted: usize = 0;
        for mut page in self.pages(now) {
            page.retain(|((_, number), ban)| *number <= last_number && wrong(&ban.why));
            lifted = lifted.saturating_add(self.end_all(&page));
        }
        lifted
    }

    /// Ends the bans of a page that still exist. Returns their number.
    fn end_all(&self, page: &[(BanExpiry, ListedBan)]) -> usize {
        if page.is_empty() {
            return 0;
        }
        let mut ledgers = self.ledgers.write();
        let mut ended: usize = 0;
        for (end, ban) in page {
            // A ban that was added again has another end, and is another ban.
            if ledgers.ends.contains_key(end) {
                let scope = scope_of(ban.member.as_deref());
                ledgers.remove(&ban.unit, scope);
                self.followers.tell(|| BanEvent::lifted(ban.unit, scope));
                ended = ended.saturating_add(1);
            }
        }
        self.note_count(&ledgers);
        ended
    }

    /// Ends all bans of all scopes. Returns their number.
    pub fn clear(&self, now: Tick) -> usize {
        self.remove_matching(|_| true, now)
    }

    /// Returns how many bans were added so far, including extensions of existing bans.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Returns a subscription to each ban that is added or removed from now on. Events beyond its
    /// capacity are counted and lost; then read [`list`](Self::list).
    #[must_use]
    pub fn subscribe(&self, room: usize) -> BanSubscription {
        self.followers.add(room)
    }

    /// Returns the active bans at `now`, ordered by their ends. They are read in pages: a ban that
    /// is added meanwhile can be missing, and an extended ban can occur with both ends.
    #[must_use]
    pub fn list(&self, now: Tick) -> Vec<ListedBan> {
        self.first(usize::MAX, now)
    }

    /// Returns the first `most` active bans.
    #[must_use]
    pub fn first(&self, most: usize, now: Tick) -> Vec<ListedBan> {
        self.pages(now).flatten().map(|(_, ban)| ban).take(most).collect()
    }

    /// Returns the active bans in pages, ordered by their ends.
    fn pages(&self, now: Tick) -> impl Iterator<Item = Vec<(BanExpiry, ListedBan)>> {
        let mut after = None;
        std::iter::from_fn(move || {
            let (page, last) = self.page(after, now);
            after = last;
            last.map(|_| page)
        })
    }

    /// Returns one page, and the start of the next.
    fn page(
        &self,
        after: Option<BanExpiry>,
        now: Tick,
    ) -> (Vec<(BanExpiry, ListedBan)>, Option<BanExpiry>) {
        let ledgers = self.ledgers.read();
        let begin = after.map_or(Bound::Included((now.plus_ms(1), 0)), Bound::Excluded);
        let page = ledgers.ends.range((begin, Bound::Unbounded)).take(PAGE);
        let mut last = None;
        let listed = page.filter_map(|(end, (member, unit))| {
            last = Some(*end);
            let ban = ledgers.ledger(scope_of(member.as_deref()))?.bans.get(unit)?;
            let why = Arc::clone(&ban.why);
            let (unit, member) = (*unit, member.clone());
            Some((*end, ListedBan { unit, member, until: end.0, why }))
        });
        (listed.collect(), last)
    }

    /// Returns the number of bans. It can include bans that ended since the last addition.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns whether there are no bans.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bans were rejected because the table was full.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
