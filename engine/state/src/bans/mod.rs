//! Who is refused everywhere, and until when.
//!
//! One look-up for each unit that a client can be banned as: the host keeps note of which lengths
//! of networks are banned at all, so a client is looked up in those only (usually two), and in its
//! autonomous system. While there is no ban nothing is locked.
//!
//! A ban ends by time or by hand, never because the table is full: a new one is refused then. A
//! member's bans are a share of the table, so that no member can use it up for the others.
//!
//! Where this does not protect: an attacker with more addresses than the table has entries can
//! fill it; ban networks then.

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

/// Bans that the host keeps at most, of all scopes together: about 250 MiB when full.
pub const BANS_MAX: usize = 1 << 20;

/// Bans of one member at most: a sixteenth of all.
pub const BANS_PER_MEMBER_MAX: usize = BANS_MAX / 16;

/// Bans that are read or ended under one lock, so that a request waits a millisecond for it and not
/// for all of them.
const PAGE: usize = 1_024;

/// Ended bans that one new ban clears away at most, so that the first after a quiet night does not
/// stop all traffic to clear a million. One is enough to make room for one.
const CLEARED_AT_ONCE_MAX: usize = 64;

/// What set a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanOrigin {
    /// The full name of the rule, or who set it by hand.
    pub rule: Box<str>,
    /// The generation that the rule belongs to.
    pub generation: Generation,
}

/// How many bans there may be, and who is exempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanLimits {
    /// Bans of all scopes together.
    pub total_max: usize,
    /// Bans of one member.
    pub per_member_max: usize,
    /// Networks that no ban covers.
    pub never: Vec<Prefix>,
}

impl Default for BanLimits {
    /// The named limits, and the loopback exempt (LANGUAGE §7).
    fn default() -> Self {
        let loopback = [IpAddr::from([127, 0, 0, 1]), std::net::Ipv6Addr::LOCALHOST.into()];
        Self {
            total_max: BANS_MAX,
            per_member_max: BANS_PER_MEMBER_MAX,
            never: loopback.map(Prefix::host).to_vec(),
        }
    }
}

/// What became of a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddBanResult {
    /// It runs until then; a ban that was there and ends later is left as it is.
    Until(Tick),
    /// The unit lies in a network that is never banned.
    Exempt,
    /// There is no room for another.
    Full,
}

/// A ban that covers a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanHit {
    /// When it ends.
    pub until: Tick,
    /// What set it.
    pub why: Arc<BanOrigin>,
}

/// A ban, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBan {
    /// What is banned.
    pub unit: BanTarget,
    /// The member on whose sites it holds; everywhere if `None`.
    pub member: Option<Box<str>>,
    /// When it ends.
    pub until: Tick,
    /// What set it.
    pub why: Arc<BanOrigin>,
}

/// Attackers choose what is banned, so the maps hash under the secret.
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
    /// Tells apart bans that end at the same moment.
    number: u64,
    why: Arc<BanOrigin>,
}

/// The bans of one scope.
#[derive(Debug)]
struct BanTable {
    bans: HashMap<BanTarget, Ban, KeyedHasher>,
    /// The lengths of banned networks, and how many bans have each.
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

    /// The ban of this client that ends last.
    fn covers(&self, client: &Client, asn: Option<u32>, now: Tick) -> Option<BanHit> {
        let family = family(client.ip);
        let lengths = self.lengths.range((family, 0)..=(family, u8::MAX));
        // `client` and `client.net` are prefixes of the address, so the lengths find them too.
        let nets = lengths.map(|((_, len), _)| BanTarget::Net(Prefix::new(client.ip, *len)));
        nets.chain(asn.map(BanTarget::Asn))
            .filter_map(|unit| self.bans.get(&unit))
            .filter(|ban| now < ban.until)
            .max_by_key(|ban| ban.until)
            .map(|ban| BanHit { until: ban.until, why: Arc::clone(&ban.why) })
    }
}

/// When a ban ends, and its number.
type BanExpiry = (Tick, u64);

/// The member on whose sites a ban holds, and what it bans.
type BanLocation = (Option<Box<str>>, BanTarget);

#[derive(Debug)]
struct BanTables {
    host: BanTable,
    members: HashMap<Box<str>, BanTable, KeyedHasher>,
    /// Every ban by its end.
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

    /// Drops bans that have ended, those that ended first first.
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

/// All bans of the host.
pub struct Bans {
    ledgers: RwLock<BanTables>,
    limits: BanLimits,
    /// How many there are, ended ones that were not yet dropped too.
    count: AtomicUsize,
    refused: AtomicU64,
    /// How often anything was changed.
    edits: AtomicU64,
    /// How many were set.
    changes: AtomicU64,
    followers: Subscribers,
}

impl std::fmt::Debug for Bans {
    // Without what is banned: addresses do not go into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bans").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Bans {
    /// No bans yet.
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

    /// Bans `unit` for `for_ms` from now. No ban ends earlier for another that is set.
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

    /// The ban of this very scope that covers the client now, the one that ends last. A member's
    /// sites ask twice: for the host, and for the member.
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

    /// Ends one ban, and says whether there was one.
    pub fn remove(&self, unit: &BanTarget, scope: BanScope<'_>) -> bool {
        let mut ledgers = self.ledgers.write();
        let removed = ledgers.remove(unit, scope).is_some();
        if removed {
            self.followers.tell(|| BanEvent::lifted(*unit, scope));
        }
        self.note_count(&ledgers);
        removed
    }

    /// Ends every ban that `wrong` says was set wrongly, and says how many: what undoes a rule or
    /// a generation. Bans that are set while it is at work stay.
    pub fn remove_matching(&self, wrong: impl Fn(&BanOrigin) -> bool, now: Tick) -> usize {
        let last_number = self.ledgers.read().number;
        let mut lifted: usize = 0;
        for mut page in self.pages(now) {
            page.retain(|((_, number), ban)| *number <= last_number && wrong(&ban.why));
            lifted = lifted.saturating_add(self.end_all(&page));
        }
        lifted
    }

    /// Ends those of a page that are still there, and says how many.
    fn end_all(&self, page: &[(BanExpiry, ListedBan)]) -> usize {
        if page.is_empty() {
            return 0;
        }
        let mut ledgers = self.ledgers.write();
        let mut ended: usize = 0;
        for (end, ban) in page {
            // One that was set again since ends otherwise, and is another.
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

    /// Ends all bans of all scopes, and says how many.
    pub fn clear(&self, now: Tick) -> usize {
        self.remove_matching(|_| true, now)
    }

    /// How many bans were set so far, longer ones in the place of shorter ones included.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Hands on each ban that is set or lifted from now on. What a follower has no room for is
    /// counted and lost to it, and then it reads [`list`](Self::list).
    #[must_use]
    pub fn subscribe(&self, room: usize) -> BanSubscription {
        self.followers.add(room)
    }

    /// The bans that run at `now`, those that end first first. It is read a page at a time: one
    /// that is set meanwhile may be missing, one that is made longer may be there with both ends.
    #[must_use]
    pub fn list(&self, now: Tick) -> Vec<ListedBan> {
        self.first(usize::MAX, now)
    }

    /// The first of them, at most `most`.
    #[must_use]
    pub fn first(&self, most: usize, now: Tick) -> Vec<ListedBan> {
        self.pages(now).flatten().map(|(_, ban)| ban).take(most).collect()
    }

    /// Running bans in the order of their ends, with those.
    fn pages(&self, now: Tick) -> impl Iterator<Item = Vec<(BanExpiry, ListedBan)>> {
        let mut after = None;
        std::iter::from_fn(move || {
            let (page, last) = self.page(after, now);
            after = last;
            last.map(|_| page)
        })
    }

    /// A page of them, and where the next begins.
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

    /// How many bans there are; those that ended since one was last set may be among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bans that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
