//! The state of each attacker, read through the public interface of the state.
//!
//! Nothing here depends on the storage of counts. A hold is the time for which a limit without a
//! threshold still rejects. A count is the lowest threshold that admits. A burst is the number of
//! requests that a limit of 0 admits.

use std::collections::BTreeMap;

use seawall_model::{CounterId, Facts, Tick};
use seawall_policy::program::LimitTerms;
use seawall_state::{Key, Penalty, Rate, RateLimitOutcome, State};

use crate::RuleSet;
use crate::eval::context::{EvalContext, EvalOptions};

/// Most requests of one key that are found.
const COUNT_MAX: u64 = 1 << 12;

/// The parameters of a limit, as far as reading its counts needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) id: CounterId,
    pub(super) window_ms: u64,
    pub(super) burst: u64,
}

/// Returns the limits of a policy by identity, with their parameters.
pub(super) fn limits(rules: &RuleSet) -> BTreeMap<Box<str>, Read> {
    let program = &rules.program;
    let own = program.sites.iter().flat_map(|site| &site.steps);
    let steps = program.guarantee.iter().chain(&program.floor).chain(own).chain(&program.defaults);
    let limits = steps.filter_map(|step| step.limit.as_ref());
    let read = limits.filter_map(|limit| {
        let LimitTerms::Rate(rate) = limit.terms else { return None };
        let read = Read { id: limit.counter, window_ms: rate.window_ms, burst: rate.burst };
        Some((rules.counter_specs()[limit.counter.0 as usize].identity.clone(), read))
    });
    read.collect()
}

/// Returns the key of a request in a counter.
pub(super) fn key(rules: &RuleSet, state: &State, id: CounterId, facts: &Facts<'_>) -> Key {
    let judging = EvalContext::new(rules, facts, state, Tick::TEST_START, EvalOptions::default());
    judging.key(id, true).expect("an absent key counts as one")
}

/// Returns the end of the hold of a key, if one is active.
pub(super) fn held_until(state: &State, read: Read, key: Key, now: Tick) -> Option<Tick> {
    let endless = Rate { n: u64::MAX, window_ms: read.window_ms, burst: read.burst };
    let table = state.limit(read.id)?;
    let told = table.peek(key, &endless, None, now);
    // A hold continues, whether the limit now has none, or a shorter one.
    let other = Penalty { for_ms: 1, doubling_to_ms: None };
    assert_eq!(told, table.peek(key, &endless, Some(&other), now), "a hold under other terms");
    match told {
        RateLimitOutcome::Allowed => None,
        RateLimitOutcome::Exceeded { retry_after_ms, .. } => Some(now.plus_ms(retry_after_ms)),
    }
}

/// Returns the count of a key, read at the end of an active hold.
pub(super) fn counted(state: &State, read: Read, key: Key, now: Tick) -> u64 {
    let at = held_until(state, read, key, now).unwrap_or(now);
    let table = state.limit(read.id).expect("a limit");
    let admits = |n| {
        let rate = Rate { n, window_ms: read.window_ms, burst: 0 };
        table.peek(key, &rate, None, at) == RateLimitOutcome::Allowed
    };
    let (mut low, mut high) = (0, COUNT_MAX);
    while low < high {
        let middle = low.midpoint(high);
        if admits(middle) { high = middle } else { low = middle + 1 }
    }
    // Admitted if one more is at most N.
    low - 1
}

/// Returns how many requests the burst of a key still admits. Uses it up, so pass a copy.
pub(super) fn drained(copy: &State, read: Read, key: Key, now: Tick) -> u64 {
    let at = held_until(copy, read, key, now).unwrap_or(now);
    let nothing = Rate { n: 0, window_ms: read.window_ms, burst: read.burst };
    let table = copy.limit(read.id).expect("a limit");
    let admitted = |_: &u64| table.admit(key, &nothing, None, at) == RateLimitOutcome::Allowed;
    (0..COUNT_MAX).take_while(admitted).count() as u64
}
