//! Runs the test vectors of a built component in the real sandbox, in orders that reveal state.
//!
//! Decision: the result on a fresh instance is the correct one. All other orders (in sequence,
//! repeated immediately, shuffled, on used instances) must give the same result. Otherwise the rule
//! keeps state between calls, which the contract forbids. The number of calls is about that in the
//! life of one instance, so that late effects occur here.
//!
//! Limitation: state that no test vector reveals is not found.

use crate::case::{self, Call};
use crate::describe::{Description, describe};
use crate::project::Limits;
use anyhow::{Context, Result, ensure};
use seawall_model::Tick;
use seawall_wasm::{
    CallLimits, CallValue, Case, Component, EPOCH_TICK_MS, Failure, Function, Isolation, LoadError,
    Sandbox, SandboxLimits, Signature,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// Approximate calls of all shuffled rounds together: the calls in the life of one instance.
const SHUFFLED_CALLS: usize = 1_000;

/// Fewest shuffled rounds. 4.
const SHUFFLED_ROUNDS_MIN: usize = 4;

/// Immediate repetitions of a test vector. 3.
const AGAIN: usize = 3;

/// A test vector that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestFinding {
    /// The position of the test vector.
    pub place: String,
    /// The problem.
    pub says: String,
}

/// A component in a sandbox, with its test vectors.
#[derive(Debug)]
pub struct TestRunner {
    sandbox: Sandbox,
    component: Component,
    /// The description of the component.
    pub description: Description,
    limits: Vec<Limits>,
    pub(crate) calls: Vec<Call>,
}

/// Returns a sandbox for one component at a time. It has no result cache and repeats no call on a
/// fresh instance, because the test compares the results of repeated calls.
#[must_use]
pub fn sandbox() -> Sandbox {
    Sandbox::new(SandboxLimits {
        instances_max: 16,
        memo_answers: 0,
        purity_check_every: u64::MAX,
        ..SandboxLimits::default()
    })
}

/// A component that a server can load.
#[derive(Debug)]
pub struct LoadableComponent {
    sandbox: Sandbox,
    component: Component,
}

/// Checks whether a server can load the component.
///
/// # Errors
/// [`LoadError`] names the cause.
pub fn fitness(wasm: &[u8]) -> Result<LoadableComponent, LoadError> {
    let sandbox = sandbox();
    let component = sandbox.compile(wasm)?;
    Ok(LoadableComponent { sandbox, component })
}

impl TestRunner {
    /// Prepares a component for its tests.
    ///
    /// # Errors
    /// A server cannot load it, or a test vector does not match it.
    pub fn new(
        wasm: &[u8],
        cases: &[Case],
        limits: impl Fn(&crate::Function) -> Limits,
    ) -> Result<Self> {
        Self::of(fitness(wasm)?, wasm, cases, limits)
    }

    /// Prepares a component that was already checked: compiling takes seconds for a component with a
    /// language runtime.
    ///
    /// # Errors
    /// A test vector does not match it.
    pub fn of(
        fit: LoadableComponent,
        wasm: &[u8],
        cases: &[Case],
        limits: impl Fn(&crate::Function) -> Limits,
    ) -> Result<Self> {
        let LoadableComponent { sandbox, component } = fit;
        let description = describe(wasm)?;
        let calls = cases
            .iter()
            .map(|case| Call::new(case, &description.functions))
            .collect::<Result<Vec<Call>>>()?;
        ensure!(!calls.is_empty(), "there are no component tests: add some in `cases/*.toml`");
        let limits = description.functions.iter().map(limits).collect();
        Ok(Self { sandbox, component, description, limits, calls })
    }

    /// Returns the number of test vectors.
    #[must_use]
    pub const fn cases(&self) -> usize {
        self.calls.len()
    }

    /// Runs all test vectors and returns the failures.
    ///
    /// # Errors
    /// The component cannot be called at all.
    pub fn run(&self) -> Result<Vec<TestFinding>> {
        let _ticker = EpochTicker::start(&self.sandbox)?;
        let alone = self.ask(&self.in_order(), Isolation::PerCall)?;
        let mut findings: Vec<Option<TestFinding>> =
            self.calls.iter().zip(&alone).map(|(call, (_, answer))| wrong(call, answer)).collect();
        let sound: Vec<usize> =
            (0..self.calls.len()).filter(|at| matches!(findings.get(*at), Some(None))).collect();
        for (how, order) in self.orders(&sound) {
            for (at, answer) in self.ask(&order, Isolation::Reused)? {
                let place = findings.get_mut(at);
                let (Some(place), Some((_, alone))) = (place, alone.get(at)) else { continue };
                if place.is_none() && answer != *alone {
                    *place =
                        self.calls.get(at).map(|call| nondeterministic(call, alone, &answer, how));
                }
            }
        }
        Ok(findings.into_iter().flatten().collect())
    }

    /// Returns the maximum fuel of each function over its test vectors, without a limit; `None` if
    /// no call succeeds.
    ///
    /// # Errors
    /// The component cannot be called at all.
    pub fn fuel(&self) -> Result<Vec<Option<u64>>> {
        let _ticker = EpochTicker::start(&self.sandbox)?;
        let generous = |limits: &CallLimits| CallLimits {
            fuel: self.sandbox.limits().fuel_max,
            memory_bytes: self.component.limits().memory_bytes_max,
            ..*limits
        };
        let bound = self.bind(Isolation::Reused, generous)?;
        let _answers = self.answers(&bound, &self.in_order());
        let peak = |function: &Function| Some(function.stats().fuel_peak).filter(|peak| *peak > 0);
        Ok(bound.iter().map(peak).collect())
    }

    fn in_order(&self) -> Vec<usize> {
        (0..self.calls.len()).collect()
    }

    /// Returns the orders that can reveal state, with their names.
    fn orders(&self, cases: &[usize]) -> Vec<(&'static str, Vec<usize>)> {
        let again = cases.iter().flat_map(|at| [*at; AGAIN]).collect();
        let rounds = (SHUFFLED_CALLS / cases.len().max(1)).max(SHUFFLED_ROUNDS_MIN);
        let mut chance = ShuffleRng(1);
        let shuffled = (0..rounds).flat_map(|_| {
            let mut round = cases.to_vec();
            chance.shuffle(&mut round);
            round
        });
        vec![
            ("in order", cases.to_vec()),
            ("immediately again", again),
            ("shuffled", shuffled.collect()),
        ]
    }

    fn ask(
        &self,
        order: &[usize],
        isolation: Isolation,
    ) -> Result<Vec<(usize, Result<CallValue, Failure>)>> {
        let bound = self.bind(isolation, |limits| *limits)?;
        Ok(self.answers(&bound, order))
    }

    fn answers(
        &self,
        bound: &[Function],
        order: &[usize],
    ) -> Vec<(usize, Result<CallValue, Failure>)> {
        let mut now = Tick::TEST_START;
        let mut answers = Vec::with_capacity(order.len());
        for at in order {
            let Some(call) = self.calls.get(*at) else { continue };
            let Some(function) = bound.get(call.function) else { continue };
            // So far apart that failures never lead to a quarantine.
            now = now.plus_ms(self.sandbox.limits().failure_window_ms.saturating_mul(2));
            answers.push((*at, function.call(&call.asked.args(), now)));
        }
        answers
    }

    /// Binds every function of the component, with its own instances.
    pub(crate) fn bind(
        &self,
        isolation: Isolation,
        adjust: impl Fn(&CallLimits) -> CallLimits,
    ) -> Result<Vec<Function>> {
        let most = self.sandbox.limits().time_ms_max;
        let bind = |(function, limits): (&crate::Function, &Limits)| {
            // Maximum time, so that a busy machine changes no result: fuel is the limit.
            let Limits { fuel, memory_bytes, .. } = *limits;
            let limits = adjust(&CallLimits { fuel, time_ms: most, memory_bytes, isolation });
            let wanted = signature(function)
                .with_context(|| format!("{function} has a type that policies do not support"))?;
            self.component
                .bind(&function.export, &wanted, limits)
                .with_context(|| format!("function `{}`", function.name()))
        };
        self.description.functions.iter().zip(&self.limits).map(bind).collect()
    }

    pub(crate) fn ticker(&self) -> Result<EpochTicker> {
        EpochTicker::start(&self.sandbox)
    }
}

fn signature(function: &crate::Function) -> Option<Signature> {
    let params = function.params.iter().map(|(_, kind)| case::param(*kind));
    Some(Signature {
        name: function.export.as_str().into(),
        params: params.collect::<Option<_>>()?,
        result: case::result(function.result)?,
    })
}

fn wrong(call: &Call, answer: &Result<CallValue, Failure>) -> Option<TestFinding> {
    if answer.as_ref() == Ok(&call.asked.expect) {
        return None;
    }
    let says = match answer {
        Ok(answer) => {
            format!("the result is {answer}, but {} was expected", call.asked.expect)
        }
        Err(failure) => format!("the call fails ({failure}): {}", remedy(*failure)),
    };
    Some(TestFinding { place: call.place.clone(), says })
}

fn nondeterministic(
    call: &Call,
    alone: &Result<CallValue, Failure>,
    other: &Result<CallValue, Failure>,
    how: &str,
) -> TestFinding {
    let says = format!(
        "the result is {} on a fresh instance, and {} when called {how} after other calls. A rule \
         cannot keep state between calls: remove it (a mutable `static`, `thread_local!`, a cache)",
        describe_answer(alone),
        describe_answer(other)
    );
    TestFinding { place: call.place.clone(), says }
}

pub(crate) fn remedy(failure: Failure) -> &'static str {
    match failure {
        Failure::Fuel => {
            "the fuel is exhausted; limit the input that the rule reads, or raise \
            `fuel` in rule.toml"
        }
        Failure::Time => "the call exceeded the time limit; reduce its work",
        Failure::Memory => "the memory is exhausted; raise `memory_bytes` in rule.toml",
        Failure::Trap => "the call trapped: a panic, an overflow, or too deep a recursion",
        Failure::Answer => "the result is invalid, or a text of more than 4 KiB",
        Failure::Argument => "an argument of the component test is longer than 64 KiB",
        Failure::Busy | Failure::Quarantined | Failure::Budget => {
            "the sandbox had no free \
            instance"
        }
        Failure::Impure => "the result differs when the call is repeated",
    }
}

fn describe_answer(answer: &Result<CallValue, Failure>) -> String {
    answer.as_ref().map_or_else(|failure| format!("nothing ({failure})"), CallValue::to_string)
}

/// Pseudo-random numbers that are the same each time (SplitMix64), so that a failure is
/// reproducible.
struct ShuffleRng(u64);

impl ShuffleRng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle(&mut self, items: &mut [usize]) {
        for last in (1..items.len()).rev() {
            // The remainder is below the length.
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

/// Advances the sandbox's clock while it exists.
#[derive(Debug)]
pub(crate) struct EpochTicker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    fn start(sandbox: &Sandbox) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sandbox, stopped) = (sandbox.clone(), Arc::clone(&stop));
        let tick = move || {
            while !stopped.load(Relaxed) {
                std::thread::park_timeout(Duration::from_millis(EPOCH_TICK_MS));
                sandbox.raise_epoch();
            }
        };
        let thread = std::thread::Builder::new().spawn(tick).context(
            "the thread of the clock \
            cannot be started",
        )?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It cannot panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_cases;

    fn trial(guest: &str, cases: &str) -> Result<TestRunner> {
        let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/guests");
        let wasm = wat::parse_file(format!("{guests}/{guest}.wat")).unwrap();
        TestRunner::new(&wasm, &parse_cases("cases/a.toml", cases).unwrap(), |_| Limits::default())
    }

    fn findings(guest: &str, expect: &str) -> Vec<TestFinding> {
        let case = format!("[[case]]\nname = \"n\"\nfunction = \"f\"\nexpect = {expect}\n");
        trial(guest, &case).unwrap().run().unwrap()
    }

    #[test]
    fn a_rule_that_keeps_state_is_found_with_one_case() {
        let found = findings("keeps-state", "1");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "cases/a.toml:1: case `n`");
        assert!(
            found[0].says.starts_with("the result is 1 on a fresh instance, and 2"),
            "{found:?}"
        );
    }

    #[test]
    fn a_wrong_answer_and_none_at_all_are_told_apart() {
        let found = findings("keeps-state", "7");
        assert_eq!(found[0].says, "the result is 1, but 7 was expected");
        let found = findings("endless-loop", "7");
        assert!(found[0].says.starts_with("the call fails (fuel)"), "{found:?}");
    }

    #[test]
    fn what_asks_for_the_world_is_not_tried() {
        let error = trial("import-wasi", "").unwrap_err().to_string();
        assert!(error.contains("`wasi:clocks/monotonic-clock@0.2.0`"), "{error}");
    }

    #[test]
    fn a_shuffle_keeps_all_and_is_the_same_each_time() {
        let shuffled = |seed| {
            let mut items: Vec<usize> = (0..50).collect();
            ShuffleRng(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
