//! A bound function, which the data plane calls.
//!
//! Decision: a short lock around a stack of idle instances, rather than one instance for each
//! thread. The lock is held for a push or a pop, and the top instance is the one whose memory is
//! still in the cache. A function without calls holds a single instance.
//!
//! Decision: purity is checked on a reused instance near its end, by a count and not at random, so
//! that every run checks the same calls. A rule that fails this check is never reused or cached
//! again, whatever its quarantine.

use crate::args::{Arg, Args};
use crate::budget::Budget;
use crate::call_value::CallValue;
use crate::instance::{Instance, InstanceTemplate};
use crate::instance_slots::{InstanceSlot, InstanceSlots};
use crate::limits::{CallLimits, Isolation};
use crate::live_counts::GaugeGuard;
use crate::quarantine::Quarantine;
use crate::result_cache::ResultCache;
use crate::stats::CallStats;
use crate::typed_call;
use crate::{Failure, Signature};
use parking_lot::Mutex;
use seawall_model::Tick;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A function of a component with its limits. Cheap to clone; clones share instances, counts and
/// quarantine. Bind once for each member to separate members.
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    mould: InstanceTemplate,
    idle: Mutex<IdlePool>,
    places: InstanceSlots,
    breaker: Quarantine,
    memo: ResultCache,
    /// Whether the rule was found to keep state between calls.
    caught: AtomicBool,
    _alive: GaugeGuard,
}

#[derive(Default)]
struct IdlePool {
    instances: Vec<Instance>,
    /// Calls on reused instances since the last repetition on a fresh one.
    unchecked: u64,
}

/// An instance for one call.
struct LeasedInstance<'f> {
    instance: Instance,
    place: InstanceSlot<'f>,
    /// Whether this call is repeated on a fresh instance.
    check: bool,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Function").field(self.signature()).field(self.limits()).finish()
    }
}

impl Function {
    pub(crate) fn new(mould: InstanceTemplate) -> Self {
        let max = &mould.max;
        Self(Arc::new(Inner {
            idle: Mutex::default(),
            places: InstanceSlots::new(max, mould.account.clone()),
            breaker: Quarantine::new(max),
            memo: ResultCache::new(max.memo_answers, max.memo_bytes_max),
            caught: AtomicBool::new(false),
            _alive: mould.census.functions.one(),
            mould,
        }))
    }

    /// Starts the first instance and keeps it, if instances are reused.
    pub(crate) fn start_first(&self) -> Result<(), Failure> {
        let LeasedInstance { instance, place, .. } = self.0.fresh()?;
        self.0.return_instance(instance, place);
        Ok(())
    }

    /// Returns its signature, as in the component.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.0.mould.signature
    }

    /// Returns the limits of a call.
    #[must_use]
    pub fn limits(&self) -> &CallLimits {
        &self.0.mould.limits
    }

    /// Calls the function, within its limits.
    ///
    /// # Errors
    /// [`Failure`] names the cause. No state of the call remains.
    pub fn call(&self, args: &[Arg<'_>], now: Tick) -> Result<CallValue, Failure> {
        self.call_within(args, now, &mut Budget::UNBOUNDED.clone())
    }

    /// Calls the function within the remaining budget of the request. The call is taken from the
    /// budget, also after a cache hit.
    ///
    /// # Errors
    /// [`Failure`] names the cause.
    pub fn call_within(
        &self,
        args: &[Arg<'_>],
        now: Tick,
        left: &mut Budget,
    ) -> Result<CallValue, Failure> {
        let answer = self.0.call(args, now, left);
        if let Err(failure) = answer {
            self.0.mould.counters.note_failure(failure);
            if failure.is_the_rules() {
                self.0.breaker.note_failure(now, self.0.lost_ms(failure));
            }
        }
        answer
    }

    /// Calls the function with arguments in [`Args`].
    ///
    /// # Errors
    /// [`Failure`] names the cause.
    pub fn call_with(
        &self,
        args: &Args<'_>,
        now: Tick,
        left: &mut Budget,
    ) -> Result<CallValue, Failure> {
        args.with(|args| self.call_within(args, now, left))
    }

    /// Ends the quarantine, if there is one.
    pub fn enable(&self) {
        self.0.breaker.open();
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        let (counted, memo_hits) = (self.0.mould.counters.read(), self.0.memo.hits());
        CallStats {
            // A cache hit is counted in the cache: all threads share this counter's line.
            calls: counted.calls.saturating_add(memo_hits),
            memo_hits,
            quarantines: self.0.breaker.quarantines(),
            quarantined_until: self.0.breaker.until(),
            ..counted
        }
    }
}

impl Inner {
    fn call(&self, args: &[Arg<'_>], now: Tick, left: &mut Budget) -> Result<CallValue, Failure> {
        let InstanceTemplate { signature, max, .. } = &self.mould;
        let too_long = |arg: &Arg<'_>| matches!(arg, Arg::Bytes(b) if b.len() > max.arg_bytes_max);
        let refused = if !self.breaker.allows(now) {
            Some(Failure::Quarantined)
        } else if !typed_call::accepts(&signature.params, args) || args.iter().any(too_long) {
            Some(Failure::Argument)
        } else if left.is_spent() {
            Some(Failure::Budget)
        } else {
            None
        };
        let spot = if refused.is_none() && !self.is_caught() { self.memo.spot(args) } else { None };
        if let Some((answer, fuel)) = spot.and_then(|spot| self.memo.get(spot, args)) {
            // Without the cache the call would not have had enough fuel.
            let affordable = fuel <= left.fuel;
            let failure = left.blame(Failure::Fuel, self.mould.limits.fuel);
            left.take(fuel, 0);
            return if affordable { Ok(answer) } else { Err(failure) };
        }
        self.mould.counters.note_call();
        if let Some(failure) = refused {
            return Err(failure);
        }
        let before = *left;
        let answer = self.call_instance(args, now, left)?;
        if let Some(spot) = spot {
            self.memo.keep(spot, args, (&answer, before.fuel.saturating_sub(left.fuel)));
        }
        Ok(answer)
    }

    /// Returns the result of the guest.
    fn call_instance(
        &self,
        args: &[Arg<'_>],
        now: Tick,
        left: &mut Budget,
    ) -> Result<CallValue, Failure> {
        let began_ms = self.mould.census.epochs.now_ms();
        let whole = *left;
        let LeasedInstance { mut instance, place, check } = self.lease_instance()?;
        let (answer, used) = self.invoke(&mut instance, args, &whole);
        // If each call has its own instance, the start is a part of the call.
        let started = if self.reuses() { 0 } else { instance.start_fuel() };
        // After a failure of the guest the instance must not be entered again.
        let answer = answer.inspect(|_| self.return_instance(instance, place));
        let answer = match answer {
            Ok(answer) if check => self.checked(answer, args, now),
            answer => answer,
        };
        let elapsed_ms = self.mould.census.epochs.now_ms().saturating_sub(began_ms);
        left.take(used.saturating_add(started), elapsed_ms);
        answer.map_err(|failure| whole.blame(failure, self.mould.limits.fuel))
    }

    /// Calls an instance within the limits of the function and the remaining budget.
    fn invoke(
        &self,
        instance: &mut Instance,
        args: &[Arg<'_>],
        left: &Budget,
    ) -> (Result<CallValue, Failure>, u64) {
        let InstanceTemplate { limits, max, counters, .. } = &self.mould;
        let (fuel, time_ms) = (limits.fuel.min(left.fuel), limits.time_ms.min(left.time_ms));
        let (answer, used) = instance.call(args, fuel, time_ms);
        if answer.is_ok() {
            counters.note_fuel(used);
        }
        let answer = match answer {
            Ok(CallValue::Text(text)) if text.len() > max.text_result_bytes_max => {
                Err(Failure::Answer)
            }
            answer => answer,
        };
        (answer, used)
    }

    /// Repeats the call on a fresh instance, whose result is used.
    fn checked(
        &self,
        answer: CallValue,
        args: &[Arg<'_>],
        now: Tick,
    ) -> Result<CallValue, Failure> {
        let own = Budget::UNBOUNDED;
        let fresh =
            self.fresh().and_then(|mut fresh| self.invoke(&mut fresh.instance, args, &own).0);
        match &fresh {
            // The cause is the machine, so the rule is not to blame.
            Err(Failure::Busy | Failure::Time) => return Ok(answer),
            Ok(fresh) if *fresh == answer => return Ok(answer),
            _ => {}
        }
        self.mould.counters.note_failure(Failure::Impure);
        self.breaker.close(now);
        self.caught.store(true, Relaxed);
        for _instance in self.idle.lock().instances.drain(..) {
            self.places.give_back();
        }
        fresh
    }

    /// Returns the minimum time for which a failure blocked its thread. A call that the time limit
    /// ends mostly had its time twice.
    const fn lost_ms(&self, failure: Failure) -> u64 {
        match failure {
            Failure::Time => self.mould.limits.time_ms.saturating_mul(2),
            _ => 0,
        }
    }

    fn is_caught(&self) -> bool {
        self.caught.load(Relaxed)
    }

    /// Returns whether instances serve more than one call.
    fn reuses(&self) -> bool {
        self.mould.limits.isolation == Isolation::Reused && !self.is_caught()
    }

    fn lease_instance(&self) -> Result<LeasedInstance<'_>, Failure> {
        let mut idle = self.idle.lock();
        let Some(instance) = idle.instances.pop() else {
            drop(idle);
            return self.fresh();
        };
        let used = instance.calls() > 0;
        idle.unchecked = idle.unchecked.saturating_add(1);
        let check = used && idle.unchecked >= self.mould.max.purity_check_every;
        if check {
            idle.unchecked = 0;
        }
        Ok(LeasedInstance { instance, place: self.places.held(), check })
    }

    fn fresh(&self) -> Result<LeasedInstance<'_>, Failure> {
        let place = self.places.take().ok_or(Failure::Busy)?;
        Ok(LeasedInstance { instance: Instance::start(&self.mould)?, place, check: false })
    }

    /// Keeps the instance for the next call, unless each call has its own or it reached its number
    /// of calls.
    fn return_instance(&self, instance: Instance, place: InstanceSlot<'_>) {
        let spent = instance.calls() >= self.mould.max.calls_per_instance_max;
        let mut idle = self.idle.lock();
        // Tested under the lock, because detecting an impure rule empties the stack under it.
        if !spent && self.reuses() {
            idle.instances.push(instance);
            // The instance continues to exist, and keeps its slot.
            std::mem::forget(place);
        }
    }
}

#[cfg(test)]
impl Function {
    pub(crate) fn mould(&self) -> &InstanceTemplate {
        &self.0.mould
    }

    /// Returns the number of idle instances, and of all instances.
    pub(crate) fn instances(&self) -> (usize, u32) {
        (self.0.idle.lock().instances.len(), self.0.places.live())
    }
}
