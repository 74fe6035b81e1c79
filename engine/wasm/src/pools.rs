//! The division of instances: the operator, each member, and all members together.
//!
//! The pool is shared. Therefore the part of a member is limited, all members together leave a part
//! to the operator, and half of the pool is reserved for members with few instances. So each member
//! can always get a first instance.
//!
//! Small and large components have separate pools, because the large ones are limited by memory.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::SandboxLimits;

/// The part of a pool that members leave to the operator: an eighth.
const HOSTS_PART: u32 = 8;
/// The part of it without a reservation: a half.
const FREE_PART: u32 = 2;
/// Fewest accounts for a search for unused ones.
const SWEPT_MIN: usize = 64;

/// The limits for instances of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    /// All instances.
    all: u32,
    /// The instances of all members.
    members: u32,
    /// The instances of members without a reservation.
    free: u32,
    /// The instances of one member.
    member: u32,
    /// The instances reserved for each member.
    share: u32,
}

impl Bounds {
    const fn new(all: u32, member: u32, share: u32) -> Self {
        let members = all.saturating_sub(all / HOSTS_PART);
        Self { all, members, free: all / FREE_PART, member, share }
    }

    const fn of(limits: &SandboxLimits, is_large: bool) -> Self {
        let (most, least) = (limits.instances_per_member_max, limits.instances_per_member_min);
        if is_large {
            let least = limits.large_instances_per_member_min;
            Self::new(limits.large_instances_max, limits.large_instances_per_member_max, least)
        } else {
            Self::new(limits.instances_max, most, least)
        }
    }
}

/// The instances of one kind.
#[derive(Debug)]
struct Pool {
    bounds: Bounds,
    all: AtomicU32,
    members: AtomicU32,
}

impl Pool {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, all: AtomicU32::new(0), members: AtomicU32::new(0) }
    }
}

/// One owner's use of one pool.
#[derive(Debug)]
pub(crate) struct Account {
    pool: Arc<Pool>,
    /// A member's instances; those of the operator are only in the total.
    member: Option<AtomicU32>,
}

impl Account {
    /// Counts one more instance if it is allowed.
    pub(crate) fn take(&self) -> bool {
        let bounds = &self.pool.bounds;
        let all = self.pool.all.fetch_add(1, Relaxed);
        let fits = self.member.as_ref().is_none_or(|hers| {
            let hers = hers.fetch_add(1, Relaxed);
            let members = self.pool.members.fetch_add(1, Relaxed);
            let early = hers < bounds.share || members < bounds.free;
            hers < bounds.member && members < bounds.members && early
        });
        let fits = fits && all < bounds.all;
        if !fits {
            self.give_back(1);
        }
        fits
    }

    /// Releases `count` instances.
    pub(crate) fn give_back(&self, count: u32) {
        self.pool.all.fetch_sub(count, Relaxed);
        if let Some(hers) = &self.member {
            hers.fetch_sub(count, Relaxed);
            self.pool.members.fetch_sub(count, Relaxed);
        }
    }
}

/// The owner of an account, and the kind of components.
type Name = (Box<str>, bool);

/// All accounts of a sandbox.
#[derive(Debug)]
pub(crate) struct Pools {
    small: Arc<Account>,
    large: Arc<Account>,
    members: Mutex<HashMap<Name, Weak<Account>>>,
    /// The number of accounts at which unused ones are removed.
    swept_at: AtomicUsize,
}

impl Pools {
    pub(crate) fn new(limits: &SandboxLimits) -> Self {
        let hosts = |is_large| {
            let pool = Arc::new(Pool::new(Bounds::of(limits, is_large)));
            Arc::new(Account { pool, member: None })
        };
        let (small, large) = (hosts(false), hosts(true));
        Self { small, large, members: Mutex::default(), swept_at: AtomicUsize::new(SWEPT_MIN) }
    }

    /// Returns the account of a member or of the operator. It is the same while any function uses
    /// it.
    pub(crate) fn account(&self, member: Option<&str>, is_large: bool) -> Arc<Account> {
        let hosts = if is_large { &self.large } else { &self.small };
        let Some(member) = member else { return hosts.clone() };
        let name: Name = (member.into(), is_large);
        let mut members = self.members.lock();
        if let Some(account) = members.get(&name).and_then(Weak::upgrade) {
            return account;
        }
        if members.len() >= self.swept_at.load(Relaxed) {
            members.retain(|_, account| account.strong_count() > 0);
            let next = members.len().saturating_mul(2).max(SWEPT_MIN);
            self.swept_at.store(next, Relaxed);
        }
        let pool = hosts.pool.clone();
        let account = Arc::new(Account { pool, member: Some(AtomicU32::new(0)) });
        members.insert(name, Arc::downgrade(&account));
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Pools {
        Pools::new(&SandboxLimits::default())
    }

    /// Takes instances until none is allowed, and returns their number.
    fn taken(account: &Account) -> u32 {
        (0..2_000).take_while(|_| account.take()).count().try_into().unwrap()
    }

    #[test]
    fn a_member_has_so_many_instances_and_no_more() {
        let (pools, limits) = (pools(), SandboxLimits::default());
        for (is_large, most) in [
            (false, limits.instances_per_member_max),
            (true, limits.large_instances_per_member_max),
        ] {
            let account = pools.account(Some("ann"), is_large);
            assert_eq!(taken(&account), most);
            assert_eq!(taken(&pools.account(Some("ann"), is_large)), 0, "the same account");
            account.give_back(1);
            assert_eq!(taken(&account), 1);
        }
    }

    #[test]
    fn greedy_members_leave_the_others_and_the_host_theirs() {
        let (pools, limits) = (pools(), SandboxLimits::default());
        let greedy: Vec<_> =
            (0..100).map(|n| pools.account(Some(&format!("g{n}")), false)).collect();
        // In turns, as concurrent threads would.
        while greedy.iter().filter(|account| account.take()).count() > 0 {}
        let all: u32 = pools.small.pool.members.load(Relaxed);
        assert!(all >= limits.instances_max / 2, "what is free is used: {all}");
        for n in 0..50 {
            let modest = pools.account(Some(&format!("m{n}")), false);
            assert_eq!(taken(&modest), limits.instances_per_member_min, "m{n}");
            drop(modest);
        }
        let hosts = taken(&pools.account(None, false));
        assert!(hosts >= limits.instances_max / HOSTS_PART, "{hosts}");
        let greedy = pools.account(Some("late and large"), true);
        assert_eq!(taken(&greedy), limits.large_instances_per_member_max, "a pool of its own");
    }

    #[test]
    fn the_first_few_take_what_nobody_else_uses() {
        let (pools, limits) = (pools(), SandboxLimits::default());
        let first = limits.instances_max / FREE_PART / limits.instances_per_member_max;
        let accounts: Vec<_> =
            (0..=first).map(|n| pools.account(Some(&format!("m{n}")), false)).collect();
        for account in accounts.iter().take(first as usize) {
            assert_eq!(taken(account), limits.instances_per_member_max);
        }
        let last = accounts.last().unwrap();
        assert_eq!(taken(last), limits.instances_per_member_min);
    }

    #[test]
    fn accounts_that_nobody_uses_are_forgotten() {
        let pools = pools();
        for n in 0..10_000 {
            drop(pools.account(Some(&format!("m{n}")), false));
        }
        assert!(pools.members.lock().len() <= SWEPT_MIN);
        let kept: Vec<_> = (0..500).map(|n| pools.account(Some(&format!("k{n}")), false)).collect();
        assert!(pools.members.lock().len() >= kept.len(), "those in use stay");
    }

    #[test]
    fn whatever_is_refused_is_counted_nowhere() {
        let limits = SandboxLimits { instances_max: 2, ..SandboxLimits::default() };
        let pools = Pools::new(&limits);
        let (host, ann) = (pools.account(None, false), pools.account(Some("ann"), false));
        assert_eq!((taken(&ann), taken(&host)), (2, 0));
        ann.give_back(2);
        assert_eq!((taken(&host), taken(&ann)), (2, 0));
        host.give_back(2);
        assert_eq!(pools.small.pool.all.load(Relaxed), 0);
        assert_eq!(pools.small.pool.members.load(Relaxed), 0);
    }
}
