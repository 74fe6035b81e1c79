//! A retry budget: limits the number of retries.
//!
//! A retry helps if one request fails, and harms if all fail: it doubles the load on the remaining
//! origins. Each request therefore adds a fraction of a retry, and time adds a few more for sites
//! with few requests. Without budget there is no retry. (Finagle's `RetryBudget`: 20 % and ten a
//! second; Envoy's: 20 % of the requests in flight. A fixed number of attempts for each request
//! limits nothing.)

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Tick;

/// Thousandths of a retry, the unit of the budget.
const UNIT: u64 = 1_000;
/// The low bits contain the budget. The high bits contain the time of the last update, until the
/// year 2109.
const SAVED_BITS: u32 = 22;
const SAVED_MASK: u64 = (1 << SAVED_BITS) - 1;
/// Largest budget, in retries.
pub const RETRIES_SAVED_MAX: u32 = 4_000;

/// The parameters of a retry budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudgetConfig {
    /// Retries added for each hundred requests.
    pub percent: u32,
    /// Retries added each second.
    pub per_s: u32,
    /// Largest and initial budget; at most [`RETRIES_SAVED_MAX`].
    pub saved_max: u32,
}

/// A retry budget, shared by all requests.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    per_s: u64,
    most: u64,
    /// The time of the last update, and the budget at that time.
    packed: AtomicU64,
}

impl RetryBudget {
    /// Creates a full budget.
    #[must_use]
    pub fn new(terms: RetryBudgetConfig, now: Tick) -> Self {
        let most = u64::from(terms.saved_max.min(RETRIES_SAVED_MAX)).saturating_mul(UNIT);
        let (percent, per_s) = (u64::from(terms.percent), u64::from(terms.per_s));
        Self { percent, per_s, most, packed: AtomicU64::new(pack(now.0, most)) }
    }

    /// Adds the fraction for a first attempt.
    pub fn deposit(&self) {
        let earned = self.percent.saturating_mul(UNIT / 100);
        let more = |packed: u64| {
            let (at, saved) = unpack(packed);
            let more = saved.saturating_add(earned).min(self.most);
            (more != saved).then(|| pack(at, more))
        };
        // Full: nothing to add.
        let _full = self.packed.fetch_update(Relaxed, Relaxed, more);
    }

    /// Takes one retry from the budget. Returns whether there was one.
    pub fn withdraw(&self, now: Tick) -> bool {
        let less = |packed: u64| {
            let (at, saved) = unpack(packed);
            // One millisecond adds as many thousandths as one second adds whole retries.
            let earned = now.0.saturating_sub(at).saturating_mul(self.per_s);
            let left = saved.saturating_add(earned).min(self.most).checked_sub(UNIT)?;
            Some(pack(now.0.max(at), left))
        };
        self.packed.fetch_update(Relaxed, Relaxed, less).is_ok()
    }
}

const fn pack(at: u64, saved: u64) -> u64 {
    at << SAVED_BITS | saved & SAVED_MASK
}

const fn unpack(packed: u64) -> (u64, u64) {
    (packed >> SAVED_BITS, packed & SAVED_MASK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = Tick::TEST_START.0;

    fn taken(budget: &RetryBudget, at: u64) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(Tick(at))).count()
    }

    #[test]
    fn what_is_saved_is_there_at_once_and_no_more() {
        for saved_max in [0, 1, 100, RETRIES_SAVED_MAX] {
            let terms = RetryBudgetConfig { percent: 20, per_s: 0, saved_max };
            let budget = RetryBudget::new(terms, Tick(NOW));
            assert_eq!(taken(&budget, NOW), saved_max as usize);
        }
        let terms = RetryBudgetConfig { percent: 0, per_s: 0, saved_max: u32::MAX };
        let most = taken(&RetryBudget::new(terms, Tick(NOW)), NOW);
        assert_eq!(most, RETRIES_SAVED_MAX as usize);
    }

    #[test]
    fn five_requests_earn_one_and_a_second_earns_some() {
        let terms = RetryBudgetConfig { percent: 20, per_s: 10, saved_max: 50 };
        let budget = RetryBudget::new(terms, Tick(NOW));
        assert_eq!(taken(&budget, NOW), 50);
        (0..14).for_each(|_| budget.deposit());
        assert_eq!(taken(&budget, NOW), 2, "and four fifths are left");
        budget.deposit();
        assert_eq!(taken(&budget, NOW), 1);
        assert_eq!(taken(&budget, NOW + 99), 0);
        assert_eq!(taken(&budget, NOW + 100), 1);
        assert_eq!(taken(&budget, NOW + 60_000), 50, "no more than is saved");
        assert_eq!(taken(&budget, NOW), 0, "a clock behind the last look earns nothing");
    }

    proptest! {
        #[test]
        fn retries_stay_within_what_was_saved_and_earned(
            steps in prop::collection::vec((0_u64..200, 0_u8..3), 1..1_000),
        ) {
            let terms = RetryBudgetConfig { percent: 20, per_s: 5, saved_max: 10 };
            let budget = RetryBudget::new(terms, Tick(NOW));
            let (mut now, mut requests, mut retries) = (NOW, 0_u64, 0_u64);
            for (gap, step) in steps {
                now += gap;
                if step == 0 {
                    budget.deposit();
                    requests += 1;
                } else if budget.withdraw(Tick(now)) {
                    retries += 1;
                }
                let earned = requests * 200 + (now - NOW) * 5;
                prop_assert!(retries * 1_000 <= 10_000 + earned);
            }
        }
    }
}
