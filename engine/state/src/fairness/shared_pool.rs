//! A pool of slots shared by sites: decides whether a site can take one more.
//!
//! The rule is that of dynamic thresholds for the shared memory of a switch (Choudhury and Hahne,
//! *Dynamic queue length thresholds for shared-memory packet switches*, IEEE/ACM Transactions on
//! Networking 6(2), 1998). Above its fair share, a site can hold a multiple of the free slots. A
//! single site can therefore hold nine of ten slots, and several busy sites get near their fair
//! shares. Some slots always stay free for a site without traffic. The threshold adapts with each
//! slot that is taken or released.
//!
//! Limitation: slots are never revoked. A site that starts to send traffic gets the free slots at
//! once, and further slots only as other sites release theirs.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Multiple of the free slots that a site with weight 1 can hold above its fair share. With 16, a
/// single site can hold nine of ten slots; with less, more slots stay unused.
const FREE_TIMES: u64 = 16;
/// One of this number of slots is reserved for sites below their fair share.
const KEPT_PART: u32 = 32;

/// All slots of a kind.
#[derive(Debug)]
pub struct SharedPool {
    most: u32,
    taken: AtomicU32,
    sites: u32,
    weights: u64,
}

/// One site's use of the pool.
#[derive(Debug)]
pub struct PoolMember {
    weight: u32,
    taken: AtomicU32,
}

/// Why no slot is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolExhausted {
    /// All slots are taken.
    Total,
    /// The site has reached its threshold; the remaining slots are for others.
    MemberLimit,
}

impl PoolMember {
    /// Creates a member with this weight (0 counts as 1) and no slots.
    #[must_use]
    pub fn new(weight: u32) -> Self {
        Self { weight: weight.max(1), taken: AtomicU32::new(0) }
    }

    /// Returns the number of slots that it holds.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Returns its weight.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }

    /// Returns the slots relative to the weight: of two waiting sites, the lower one comes first.
    #[must_use]
    pub fn load(&self) -> u64 {
        let scaled = u64::from(self.taken()).saturating_mul(1 << 16);
        scaled.checked_div(u64::from(self.weight)).unwrap_or(scaled)
    }
}

impl SharedPool {
    /// Creates a pool of `most` slots for sites with these weights.
    #[must_use]
    pub fn new(most: u32, weights: impl IntoIterator<Item = u32>) -> Self {
        let (mut sites, mut sum): (u32, u64) = (0, 0);
        for weight in weights {
            sites = sites.saturating_add(1);
            sum = sum.saturating_add(u64::from(weight.max(1)));
        }
        Self { most, taken: AtomicU32::new(0), sites: sites.max(1), weights: sum.max(1) }
    }

    /// Returns the number of all slots.
    #[must_use]
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// Returns the number of taken slots.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Returns the slots of a site if all sites need all slots; at least one.
    #[must_use]
    pub fn fair_share(&self, of: &PoolMember) -> u32 {
        let weighed = u64::from(self.most).saturating_mul(u64::from(of.weight));
        let share = weighed.checked_div(self.weights).unwrap_or(weighed);
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }

    /// Returns whether a site holds more than its fair share.
    #[must_use]
    pub fn is_over(&self, of: &PoolMember) -> bool {
        of.taken() > self.fair_share(of)
    }

    /// Takes a slot for a site.
    ///
    /// # Errors
    /// [`PoolExhausted`] names the cause.
    pub fn take(&self, of: &PoolMember) -> Result<(), PoolExhausted> {
        let held = of.taken.fetch_add(1, Relaxed);
        let found = self.take_one(of, held);
        if found.is_err() {
            of.taken.fetch_sub(1, Relaxed);
        }
        found
    }

    /// Assigns a slot without an owner to a site; on failure it stays without an owner. The caller
    /// limits slots without an owner separately. They are not counted here, because connections
    /// that never name a site would otherwise reduce every site to its fair share.
    ///
    /// # Errors
    /// The site has reached its threshold.
    pub fn assign(&self, of: &PoolMember) -> Result<(), PoolExhausted> {
        let held = of.taken.fetch_add(1, Relaxed);
        let others = self.taken.fetch_add(1, Relaxed);
        if self.may_have(of, held, others) {
            return Ok(());
        }
        self.give_back(of);
        Err(PoolExhausted::MemberLimit)
    }

    /// Assigns a slot to a site above its threshold, for a known client: from half of the reserved
    /// slots.
    ///
    /// # Errors
    /// These are taken too.
    pub fn charge_reserved(&self, of: &PoolMember) -> Result<(), PoolExhausted> {
        let free = self.most.saturating_sub(self.taken());
        if free <= self.kept() / 2 {
            return Err(PoolExhausted::Total);
        }
        of.taken.fetch_add(1, Relaxed);
        self.taken.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Releases a slot of a site.
    pub fn give_back(&self, of: &PoolMember) {
        decrease(&of.taken);
        decrease(&self.taken);
    }

    fn take_one(&self, of: &PoolMember, held: u32) -> Result<(), PoolExhausted> {
        let mut why = PoolExhausted::Total;
        let one_more = |taken: u32| {
            if taken >= self.most {
                why = PoolExhausted::Total;
                return None;
            }
            if !self.may_have(of, held, taken) {
                why = PoolExhausted::MemberLimit;
                return None;
            }
            taken.checked_add(1)
        };
        self.taken.fetch_update(Relaxed, Relaxed, one_more).map(drop).map_err(|_| why)
    }

    /// Returns the slots reserved for sites below their fair share; none if there is a single site.
    fn kept(&self) -> u32 {
        if self.sites > 1 { (self.most / KEPT_PART).max(1) } else { 0 }
    }

    /// Returns whether a site with `held` slots can take one more if `taken` slots are taken in
    /// total.
    fn may_have(&self, of: &PoolMember, held: u32, taken: u32) -> bool {
        if held < self.fair_share(of) {
            return true;
        }
        let free = u64::from(self.most.saturating_sub(taken).saturating_sub(self.kept()));
        let weighed = free.saturating_mul(u64::from(of.weight)).saturating_mul(self.sites.into());
        u64::from(held).saturating_mul(self.weights) < weighed.saturating_mul(FREE_TIMES)
    }
}

fn decrease(count: &AtomicU32) {
    let less = |n: u32| Some(n.saturating_sub(1));
    // The closure always returns `Some`.
    let _before = count.fetch_update(Relaxed, Relaxed, less);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes as many slots as possible for `of`.
    fn take_all(places: &SharedPool, of: &PoolMember) -> u32 {
        (0..).take_while(|_| places.take(of).is_ok()).count() as u32
    }

    fn equal(most: u32, sites: usize) -> (SharedPool, Vec<PoolMember>) {
        let weights = vec![1; sites];
        let holders = weights.iter().map(|weight| PoolMember::new(*weight)).collect();
        (SharedPool::new(most, weights), holders)
    }

    #[test]
    fn one_that_is_alone_has_all_and_one_among_quiet_ones_nine_in_ten() {
        let (places, sites) = equal(1_000, 1);
        assert_eq!(take_all(&places, &sites[0]), 1_000);
        let (places, sites) = equal(10_000, 850);
        let taken = take_all(&places, &sites[0]);
        assert!((9_000..9_700).contains(&taken), "{taken}");
    }

    #[test]
    fn whatever_greedy_ones_hold_a_quiet_one_finds_its_share_at_once() {
        for greedy in [1, 2, 10] {
            let (places, sites) = equal(10_000, 850);
            for site in &sites[..greedy] {
                take_all(&places, site);
            }
            let quiet = &sites[849];
            let share = places.fair_share(quiet);
            let found = (0..share).filter(|_| places.take(quiet).is_ok()).count();
            assert_eq!(found as u32, share, "{greedy} greedy sites");
        }
    }

    #[test]
    fn greedy_ones_end_up_equal_however_they_began() {
        let (places, sites) = equal(1_000, 3);
        let first = take_all(&places, &sites[0]);
        // As the first site releases slots, one by one, the others take what they can.
        for _ in 0..first {
            places.give_back(&sites[0]);
            take_all(&places, &sites[1]);
            take_all(&places, &sites[2]);
            take_all(&places, &sites[0]);
        }
        let held: Vec<_> = sites.iter().map(PoolMember::taken).collect();
        assert!(held.iter().all(|n| (300..=334).contains(n)), "{held:?}");
    }

    #[test]
    fn twice_the_weight_is_twice_the_places() {
        let holders = [PoolMember::new(2), PoolMember::new(1)];
        let places = SharedPool::new(900, holders.iter().map(PoolMember::weight));
        for of in &holders {
            take_all(&places, of);
        }
        // One of their requests ends, and both sites try to take its slot.
        for n in 0..5_000 {
            let of = &holders[n % 2];
            if of.taken() > 0 {
                places.give_back(of);
            }
            take_all(&places, &holders[(n + 1) % 2]);
            take_all(&places, of);
        }
        let [two, one] = [holders[0].taken(), holders[1].taken()];
        assert!((560..=620).contains(&two) && (280..=320).contains(&one), "{two} {one}");
    }

    #[test]
    fn who_is_charged_afterwards_has_what_who_takes_has_and_a_known_one_a_little_more() {
        let (places, sites) = equal(64, 2);
        let charged = (0..64).take_while(|_| places.assign(&sites[0]).is_ok()).count() as u32;
        let (other, others) = equal(64, 2);
        assert_eq!(charged, take_all(&other, &others[0]));
        assert_eq!(places.assign(&sites[0]), Err(PoolExhausted::MemberLimit));
        let known =
            (0..64).take_while(|_| places.charge_reserved(&sites[0]).is_ok()).count() as u32;
        assert_eq!(places.charge_reserved(&sites[0]), Err(PoolExhausted::Total));
        assert!(known >= 1 && charged + known < 64, "{charged} and {known}");
        let quiet = (0..64).take_while(|_| places.assign(&sites[1]).is_ok()).count() as u32;
        assert!(quiet >= places.fair_share(&sites[1]), "{quiet}");
        (0..charged + known).for_each(|_| places.give_back(&sites[0]));
        (0..quiet).for_each(|_| places.give_back(&sites[1]));
        assert_eq!((places.taken(), sites[0].taken()), (0, 0));
    }

    proptest! {
        /// For any sequence of takes and releases: the pool is never exceeded and the sums agree. A
        /// site below its fair share is rejected only if no slot is free.
        #[test]
        fn places_are_never_overdrawn_nor_kept_from_the_quiet(
            most in 1_u32..200,
            weights in prop::collection::vec(1_u32..5, 1..8),
            steps in prop::collection::vec((0_usize..8, prop::bool::weighted(0.7)), 0..600),
        ) {
            let holders: Vec<_> = weights.iter().map(|weight| PoolMember::new(*weight)).collect();
            let places = SharedPool::new(most, weights.iter().copied());
            for (site, takes) in steps {
                let of = &holders[site % holders.len()];
                if takes {
                    let below = of.taken() < places.fair_share(of);
                    let taken = places.taken();
                    let found = places.take(of);
                    if below {
                        prop_assert_eq!(found.is_ok(), taken < most);
                    }
                } else if of.taken() > 0 {
                    places.give_back(of);
                }
                prop_assert!(places.taken() <= most);
                prop_assert_eq!(places.taken(), holders.iter().map(PoolMember::taken).sum::<u32>());
            }
        }
    }
}
