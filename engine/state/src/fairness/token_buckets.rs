//! The division of a rate (bytes or CPU time) among sites, at each moment.
//!
//! Each site has an account. Use is subtracted from it, and can make it negative if a write or a
//! step is larger than the rest; a site with a negative account waits. The available amount is
//! added to the accounts that are not full, by weight. The excess of a full account goes to the
//! others (weighted max-min fairness, Bertsekas and Gallager, *Data Networks*, §6.5.2). The full
//! rate is therefore used while any site needs it. A single active site gets all of it, and an idle
//! site has a full account.
//!
//! Limitation: accounts that are all full can be emptied at the same moment. The burst is then the
//! sum of their depths.

/// Largest debt as a multiple of an account's depth. A delay of the whole process must not cost the
/// site that was being served.
const DEBT_DEPTHS: i64 = 4;

#[derive(Debug, Clone)]
struct TokenBucket {
    weight: i64,
    left: i64,
    is_short: bool,
}

/// The accounts of all sites.
#[derive(Debug)]
pub struct TokenBuckets {
    per_s: u64,
    depth: i64,
    accounts: Vec<TokenBucket>,
    /// The accounts that are not full.
    short: Vec<usize>,
    /// The part of a unit that is not yet distributed, in millionths.
    rest: u64,
}

impl TokenBuckets {
    /// Creates full accounts with these weights. `per_s` units become available each second, and an
    /// account holds the amount of `depth_us`.
    #[must_use]
    pub fn new(per_s: u64, depth_us: u64, weights: impl IntoIterator<Item = u32>) -> Self {
        let depth = signed(per_s.saturating_mul(depth_us) / 1_000_000).max(1);
        let account = |weight: u32| TokenBucket {
            weight: i64::from(weight.max(1)),
            left: depth,
            is_short: false,
        };
        let accounts = weights.into_iter().map(account).collect();
        Self { per_s, depth, accounts, short: Vec::new(), rest: 0 }
    }

    /// Subtracts the use of a site from its account, which can become negative.
    pub fn consume(&mut self, site: usize, units: u64) {
        let floor = self.depth.saturating_mul(DEBT_DEPTHS).saturating_neg();
        let Some(account) = self.accounts.get_mut(site) else { return };
        account.left = account.left.saturating_sub(signed(units)).max(floor);
        if !account.is_short && account.left < self.depth {
            account.is_short = true;
            self.short.push(site);
        }
    }

    /// Returns what a site can use now; 0 while its account is negative.
    #[must_use]
    pub fn left(&self, site: usize) -> u64 {
        let left = self.accounts.get(site).map_or(0, |account| account.left);
        u64::try_from(left).unwrap_or_default()
    }

    /// Returns whether a site can use anything now.
    #[must_use]
    pub fn has_left(&self, site: usize) -> bool {
        self.left(site) > 0
    }

    /// Distributes the amount of `elapsed_us`. Time without a demand is not saved, nor more than
    /// the depth of an account.
    pub fn refill(&mut self, elapsed_us: u64) {
        if self.short.is_empty() {
            self.rest = 0;
            return;
        }
        let earned = u128::from(self.per_s)
            .saturating_mul(elapsed_us.into())
            .saturating_add(self.rest.into());
        self.rest = u64::try_from(earned % 1_000_000).unwrap_or_default();
        let units = u64::try_from(earned / 1_000_000).unwrap_or(u64::MAX);
        let deepest = self.depth.saturating_mul(DEBT_DEPTHS.saturating_add(1));
        let most = deepest.saturating_mul(signed(self.short.len() as u64));
        self.distribute(signed(units).min(most));
    }

    /// Distributes `units` to the accounts that are not full. The account that is relatively
    /// fullest comes first, so that its excess is known before the next one.
    fn distribute(&mut self, mut units: i64) {
        let Self { accounts, short, depth, .. } = self;
        let missing = |account: &TokenBucket| depth.saturating_sub(account.left).max(0);
        let for_weight = |site: &usize| {
            let Some(of) = accounts.get(*site) else { return 0 };
            let scaled = missing(of).saturating_mul(1_024);
            scaled.checked_div(of.weight).unwrap_or(scaled)
        };
        short.sort_by_cached_key(for_weight);
        let weight_of = |site: &usize| accounts.get(*site).map_or(0, |of| of.weight);
        let mut weights: i64 = short.iter().map(weight_of).fold(0, i64::saturating_add);
        for site in short.iter() {
            let Some(account) = accounts.get_mut(*site) else { continue };
            let weighed = i128::from(units).saturating_mul(account.weight.into());
            let part = weighed.checked_div(weights.into()).unwrap_or_default();
            let given = i64::try_from(part)
                .unwrap_or(i64::MAX)
                .min(depth.saturating_sub(account.left).max(0));
            account.left = account.left.saturating_add(given);
            account.is_short = account.left < *depth;
            units = units.saturating_sub(given);
            weights = weights.saturating_sub(account.weight);
        }
        short.retain(|site| accounts.get(*site).is_some_and(|account| account.is_short));
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Simulates a second in steps of a millisecond, in which each site takes what it wants and can
    /// have. Returns what each site got.
    fn second(sheet: &mut TokenBuckets, wants_per_ms: &[u64]) -> Vec<u64> {
        let mut got = vec![0; wants_per_ms.len()];
        let mut unmet = vec![0_u64; wants_per_ms.len()];
        for _ in 0..1_000 {
            for (site, wants) in wants_per_ms.iter().enumerate() {
                unmet[site] += wants;
                let used = unmet[site].min(sheet.left(site));
                sheet.consume(site, used);
                got[site] += used;
                unmet[site] -= used;
            }
            sheet.refill(1_000);
        }
        got
    }

    fn empty(sheet: &mut TokenBuckets, sites: usize) {
        for site in 0..sites {
            sheet.consume(site, sheet.left(site));
        }
    }

    #[test]
    fn one_alone_gets_all_of_it() {
        let mut sheet = TokenBuckets::new(1_000_000, 20_000, [1; 850]);
        sheet.consume(7, 20_000);
        let mut wants = vec![0; 850];
        wants[7] = 5_000;
        assert!((990_000..=1_000_000).contains(&second(&mut sheet, &wants)[7]));
    }

    #[test]
    fn those_who_want_all_share_by_weight_what_the_modest_leave() {
        let mut sheet = TokenBuckets::new(1_000_000, 20_000, [1, 2, 1, 1]);
        empty(&mut sheet, 4);
        let got = second(&mut sheet, &[5_000, 5_000, 100, 0]);
        assert_eq!(got[2], 100_000, "the modest one gets what it wants");
        assert_eq!(got[3], 0);
        assert!((285_000..=310_000).contains(&got[0]), "{got:?}");
        assert!((565_000..=620_000).contains(&got[1]), "{got:?}");
        let all: u64 = got.iter().sum();
        assert!((950_000..=1_000_000).contains(&all), "{got:?}");
    }

    #[test]
    fn one_that_was_quiet_has_a_full_account_and_debts_are_bounded() {
        let mut sheet = TokenBuckets::new(1_000_000, 20_000, [1, 1]);
        second(&mut sheet, &[5_000, 0]);
        assert_eq!(sheet.left(1), 20_000);
        sheet.consume(1, 10_000_000);
        assert_eq!(sheet.left(1), 0);
        // A debt of four depths, at half the rate.
        sheet.refill(60_000);
        assert!(!sheet.has_left(1));
        sheet.refill(200_000);
        assert!(sheet.has_left(1));
    }

    #[test]
    fn a_rate_of_less_than_a_unit_a_moment_is_not_lost() {
        let mut sheet = TokenBuckets::new(100, 1_000_000, [1]);
        sheet.consume(0, 100);
        for _ in 0..1_000 {
            sheet.refill(1_000);
        }
        assert_eq!(sheet.left(0), 100);
    }

    #[test]
    fn time_in_which_nobody_wanted_anything_is_not_saved_up() {
        let mut sheet = TokenBuckets::new(1_000_000, 20_000, [1]);
        sheet.refill(60_000_000);
        assert_eq!(sheet.left(0), 20_000);
    }

    #[test]
    fn a_site_that_is_none_has_nothing() {
        let mut sheet = TokenBuckets::new(1_000, 1_000, [1]);
        sheet.consume(9, 5);
        assert!(!sheet.has_left(9));
    }

    proptest! {
        /// For any second in which some sites want more than is available: no more than the rate
        /// and the depths is given, and the full rate is used. A site that was limited has no less
        /// for its weight than another site.
        #[test]
        fn what_is_dealt_out_is_all_there_is_and_fair(
            weights in prop::collection::vec(1_u32..10, 1..12),
            wants in prop::collection::vec(0_u64..3_000, 12),
        ) {
            let sites = weights.len();
            let mut sheet = TokenBuckets::new(1_000_000, 10_000, weights.iter().copied());
            empty(&mut sheet, sites);
            let wants = &wants[..sites];
            let got = second(&mut sheet, wants);
            let all: u64 = got.iter().sum();
            let wanted: u64 = wants.iter().map(|per_ms| per_ms * 1_000).sum();
            let slack = 10_000 * sites as u64 + 3_000 * sites as u64;
            prop_assert!(all <= 1_000_000 + slack);
            prop_assert!(all + slack >= wanted.min(1_000_000), "{all} of {wanted}");
            for (site, weight) in weights.iter().enumerate() {
                let is_refused = got[site] + 10_000 + 3_000 < wants[site] * 1_000;
                if !is_refused { continue }
                for (other, heavy) in weights.iter().enumerate() {
                    let fair = got[site] as f64 / f64::from(*weight) + slack as f64;
                    prop_assert!(got[other] as f64 / f64::from(*heavy) <= fair,
                        "{site} {other} {got:?} {weights:?}");
                }
            }
        }
    }
}
