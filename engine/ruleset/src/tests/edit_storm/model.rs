//! What a state holds against each attacker, read through the questions that any caller may ask.
//!
//! Nothing here knows how counts are kept: a hold shows in how long a limit without a threshold
//! still refuses, a count in the least threshold that admits, a reserve in how many requests a limit
//! of nothing lets through.

use std::collections::BTreeMap;

use seawall_model::{CounterId, Facts, Tick};
use seawall_policy::program::LimitTerms;
use seawall_state::{Key, Penalty, Rate, RateLimitOutcome, State};

use crate::RuleSet;
use crate::eval::context::{EvalContext, EvalOptions};

/// Most requests that one key is found to have made.
const COUNT_MAX: u64 = 1 << 12;

/// The terms of a limit, as far as its counts are read by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) id: CounterId,
    pub(super) window_ms: u64,
    pub(super) burst: u64,
}

/// The limits of a policy by identity, with the terms they are asked by.
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

/// The key of a request in a counter.
pub(super) fn key(rules: &RuleSet, state: &State, id: CounterId, facts: &Facts<'_>) -> Key {
    let judging = EvalContext::new(rules, facts, state, Tick::TEST_START, EvalOptions::default());
    judging.key(id, true).expect("an absent key counts as one")
}

/// The end of the hold of a key, where one is running.
pub(super) fn held_until(state: &State, read: Read, key: Key, now: Tick) -> Option<Tick> {
    let endless = Rate { n: u64::MAX, window_ms: read.window_ms, burst: read.burst };
    let table = state.limit(read.id)?;
    let told = table.peek(key, &endless, None, now);
    // A hold runs on, whether the limit has one in its terms by now or none, or a shorter one.
    let other = Penalty { for_ms: 1, doubling_to_ms: None };
    assert_eq!(told, table.peek(key, &endless, Some(&other), now), "a hold under other terms");
    match told {
        RateLimitOutcome::Allowed => None,
        RateLimitOutcome::Exceeded { retry_after_ms, .. } => Some(now.plus_ms(retry_after_ms)),
    }
}

/// What is counted for a key; asked at the end of its hold, where one is running.
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
    // Admitted where one more is at most N.
    low - 1
}

/// How many requests the reserve of a key still lets through. Takes them: for a copy.
pub(super) fn drained(copy: &State, read: Read, key: Key, now: Tick) -> u64 {
    let at = held_until(copy, read, key, now).unwrap_or(now);
    let nothing = Rate { n: 0, window_ms: read.window_ms, burst: read.burst };
    let table = copy.limit(read.id).expect("a limit");
    let admitted = |_: &u64| table.admit(key, &nothing, None, at) == RateLimitOutcome::Allowed;
    (0..COUNT_MAX).take_while(admitted).count() as u64
}
