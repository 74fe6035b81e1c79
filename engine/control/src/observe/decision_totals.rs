//! Decisions since the start, over all generations.
//!
//! Each generation has its own counters, which still count while its last requests end. So retired
//! counters are kept until their last user is gone. Then they are added to the total.

use std::sync::{Arc, Mutex, PoisonError};

use seawall_model::VerdictKind;
use seawall_state::DecisionCounters;

/// Maximum of retired counters that are kept for requests in flight. Beyond it the oldest is added
/// as it is, and its last requests are not counted.
pub const RETIRED_MAX: usize = 64;

/// Counts by verdict.
type VerdictCounts = [u64; VerdictKind::ALL.len()];

/// The sum over retired generations.
#[derive(Debug, Default)]
pub(crate) struct DecisionTotals(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    sum: VerdictCounts,
    retired: Vec<Arc<DecisionCounters>>,
}

impl DecisionTotals {
    /// Takes the counters of a generation that is no longer active.
    pub(crate) fn retire(&self, tally: Arc<DecisionCounters>) {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        past.retired.push(tally);
        let mut over = past.retired.len().saturating_sub(RETIRED_MAX);
        let mut sum = past.sum;
        past.retired.retain(|tally| {
            let done = over > 0 || Arc::strong_count(tally) == 1;
            over = over.saturating_sub(1);
            if done {
                add(&mut sum, tally);
            }
            !done
        });
        past.sum = sum;
    }

    /// Returns all decisions by verdict, with those of the active generation.
    pub(crate) fn with(&self, current: &DecisionCounters) -> Vec<(&'static str, u64)> {
        let past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = past.sum;
        past.retired.iter().for_each(|tally| add(&mut sum, tally));
        add(&mut sum, current);
        VerdictKind::ALL.iter().map(|kind| kind.word()).zip(sum).collect()
    }
}

fn add(sum: &mut VerdictCounts, tally: &DecisionCounters) {
    for (sum, kind) in sum.iter_mut().zip(VerdictKind::ALL) {
        *sum = sum.saturating_add(tally.decisions(kind));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(times: u64) -> Arc<DecisionCounters> {
        let tally = DecisionCounters::new(0);
        (0..times).for_each(|_| tally.decided(VerdictKind::Allow));
        Arc::new(tally)
    }

    #[test]
    fn nothing_is_lost_or_counted_twice_over_generations() {
        let totals = DecisionTotals::default();
        let in_flight = decided(3);
        totals.retire(in_flight.clone());
        totals.retire(decided(5));
        in_flight.decided(VerdictKind::Allow);
        let current = decided(7);
        assert_eq!(totals.with(&current).first(), Some(&("allow", 16)));
        drop(in_flight);
        totals.retire(current);
        assert_eq!(totals.with(&decided(0)).first(), Some(&("allow", 16)));
    }

    #[test]
    fn so_many_retired_tallies_are_kept_and_no_more() {
        let totals = DecisionTotals::default();
        let held: Vec<_> = (0..=RETIRED_MAX).map(|_| decided(1)).collect();
        let expected = held.len() as u64;
        for (number, tally) in held.iter().enumerate() {
            totals.retire(tally.clone());
            let kept = totals.0.lock().unwrap().retired.len();
            assert_eq!(kept, (number + 1).min(RETIRED_MAX));
        }
        assert_eq!(totals.with(&decided(0)).first(), Some(&("allow", expected)));
    }
}
