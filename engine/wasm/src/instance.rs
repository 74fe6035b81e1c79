//! One running instance, with the limiter of its memory.
//!
//! Decision: one store for each instance, so that dropping it after a failure drops everything that
//! the guest created. A guest without enough memory usually traps a moment later; the limiter
//! records the rejection, so that the failure is reported by its cause.
//!
//! On an overloaded machine, a thread can be without CPU time for longer than the time of a call. A
//! call that used hardly any fuel in its time therefore gets it a second time. The engine writes
//! fuel only at the start and end of guest functions, so a loop without calls gets it too.

use crate::args::Arg;
use crate::call_value::CallValue;
use crate::limits::{
    CallLimits, EPOCH_SLACK_TICKS, EPOCH_TICK_MS, IDLE_FUEL_PER_MS, SandboxLimits,
};
use crate::live_counts::{GaugeGuard, LiveGauges};
use crate::pools::Account;
use crate::stats::CallCounters;
use crate::store_limiter::StoreLimiter;
use crate::typed_call::{self, TypedCall};
use crate::{Failure, Signature};
use std::sync::Arc;
use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime::{Result, Store, StoreContextMut, Trap, UpdateDeadline};

/// Handles the end of the time of a call.
fn overdue(mut store: StoreContextMut<'_, StoreLimiter>) -> Result<UpdateDeadline> {
    let left = store.get_fuel()?;
    let guard = store.data_mut();
    let idle = guard.time_ms.saturating_mul(IDLE_FUEL_PER_MS);
    if guard.extended || guard.fuel.saturating_sub(left) > idle {
        return Ok(UpdateDeadline::Interrupt);
    }
    guard.extended = true;
    guard.counters.note_extended();
    Ok(UpdateDeadline::Continue(guard.time_ms.div_ceil(EPOCH_TICK_MS)))
}

/// The template for the instances of a function.
pub(crate) struct InstanceTemplate {
    pub(crate) ready: InstancePre<StoreLimiter>,
    pub(crate) export: ComponentExportIndex,
    pub(crate) signature: Signature,
    pub(crate) limits: CallLimits,
    pub(crate) max: SandboxLimits,
    pub(crate) counters: Arc<CallCounters>,
    pub(crate) census: LiveGauges,
    /// The account that counts its instances with those of its owner's other functions.
    pub(crate) account: Arc<Account>,
}

/// An instance and its function.
pub(crate) struct Instance {
    store: Store<StoreLimiter>,
    call: TypedCall,
    calls: u32,
    /// The fuel of its start.
    start_fuel: u64,
    _alive: GaugeGuard,
}

impl Instance {
    pub(crate) fn start(mould: &InstanceTemplate) -> Result<Self, Failure> {
        let InstanceTemplate { ready, export, signature, limits, max, counters, .. } = mould;
        counters.note_instance();
        let guard = StoreLimiter {
            memory_bytes_max: limits.memory_bytes,
            memory_bytes: 0,
            table_elements_max: max.table_elements_max,
            refused: false,
            fuel: 0,
            time_ms: limits.time_ms,
            extended: false,
            counters: counters.clone(),
        };
        let mut store = Store::new(ready.engine(), guard);
        store.epoch_deadline_callback(overdue);
        store.limiter(|guard| guard);
        store.set_hostcall_fuel(max.hostcall_fuel);
        let started = arm(&mut store, max.start_fuel)
            .and_then(|()| ready.instantiate(&mut store))
            .and_then(|instance| {
                let func = instance
                    .get_func(&mut store, export)
                    .ok_or_else(|| wasmtime::format_err!("the export is missing"))?;
                typed_call::call_of(func, &store, signature)
            });
        match started {
            Ok(call) => {
                let start_fuel = max.start_fuel.saturating_sub(store.get_fuel().unwrap_or(0));
                let _alive = mould.census.instances.one();
                Ok(Self { store, call, calls: 0, start_fuel, _alive })
            }
            Err(error) => Err(blame(&error, &store)),
        }
    }

    /// Calls the function. Returns the result or the failure, and the fuel used. After a failure
    /// the instance must be dropped: a trapped one cannot be entered again.
    pub(crate) fn call(
        &mut self,
        args: &[Arg<'_>],
        fuel: u64,
        time_ms: u64,
    ) -> (Result<CallValue, Failure>, u64) {
        self.calls = self.calls.saturating_add(1);
        self.store.data_mut().time_ms = time_ms;
        let answer = arm(&mut self.store, fuel).and_then(|()| (self.call)(&mut self.store, args));
        let left = self.store.get_fuel().unwrap_or(0);
        let answer = answer.map_err(|error| blame(&error, &self.store));
        (answer, fuel.saturating_sub(left))
    }

    pub(crate) const fn calls(&self) -> u32 {
        self.calls
    }

    pub(crate) const fn start_fuel(&self) -> u64 {
        self.start_fuel
    }
}

fn arm(store: &mut Store<StoreLimiter>, fuel: u64) -> Result<()> {
    let guard = store.data_mut();
    (guard.fuel, guard.extended) = (fuel, false);
    let ticks = guard.time_ms.div_ceil(EPOCH_TICK_MS);
    store.set_epoch_deadline(ticks.saturating_add(EPOCH_SLACK_TICKS));
    store.set_fuel(fuel)
}

/// Returns the cause of a failure. An error other than a trap occurs while the result is read or
/// the arguments are written: the guest returned invalid addresses.
fn blame(error: &wasmtime::Error, store: &Store<StoreLimiter>) -> Failure {
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return Failure::Busy;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Failure::Fuel,
        Some(Trap::Interrupt) => Failure::Time,
        _ if store.data().refused => Failure::Memory,
        Some(_) => Failure::Trap,
        None => Failure::Answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sandbox;
    use crate::tests::{bound, fuelled, guest, sandbox};
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use wasmtime::AsContextMut;

    fn instance(sandbox: &Sandbox, name: &str, export: &str) -> Instance {
        let (fuel, memory_bytes) = (sandbox.limits().fuel_max, 16 << 20);
        let limits = CallLimits { fuel, memory_bytes, ..CallLimits::default() };
        let component = sandbox.compile(&guest(name)).unwrap();
        Instance::start(bound(&component, export, limits).mould()).unwrap()
    }

    /// Calls the function after `ticks` have passed in which the thread did not run.
    fn call_late(sandbox: &Sandbox, instance: &mut Instance, ticks: u64) -> Result<CallValue> {
        arm(&mut instance.store, sandbox.limits().fuel_max).unwrap();
        (0..ticks).for_each(|_| sandbox.raise_epoch());
        (instance.call)(&mut instance.store, &[])
    }

    fn extended(instance: &Instance) -> u64 {
        instance.store.data().counters.read().extended
    }

    #[test]
    fn a_call_whose_thread_did_not_run_gets_its_time_once_more() {
        let sandbox = sandbox();
        let mut honest = instance(&sandbox, "honest", "nothing");
        for (ticks, so_far) in [(5, 0), (6, 1), (1_000, 2)] {
            let answer = call_late(&sandbox, &mut honest, ticks).unwrap();
            assert_eq!(
                (answer, extended(&honest)),
                (CallValue::Int(7), so_far),
                "{ticks} ticks late"
            );
        }
    }

    #[test]
    fn a_rule_that_loops_ends_all_the_same() {
        let sandbox = fuelled();
        for name in ["bulk-fill", "endless-loop"] {
            let mut endless = instance(&sandbox, name, "f");
            let done = AtomicBool::new(false);
            let error = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        sandbox.raise_epoch();
                        std::thread::yield_now();
                    }
                });
                let answer = call_late(&sandbox, &mut endless, 1_000);
                done.store(true, Relaxed);
                answer.unwrap_err()
            });
            assert_eq!(blame(&error, &endless.store), Failure::Time, "{name}");
            assert_eq!(extended(&endless), 1, "{name}");
        }
    }

    #[test]
    fn more_time_is_given_once_and_to_whoever_hardly_burned_fuel() {
        let sandbox = sandbox();
        let mut honest = instance(&sandbox, "honest", "nothing");
        let store = &mut honest.store;
        let idle = IDLE_FUEL_PER_MS * store.data().time_ms;
        let mut more = |burned: u64, again: bool| {
            if !again {
                arm(store, 1_000_000).unwrap();
            }
            store.set_fuel(1_000_000 - burned).unwrap();
            match overdue(store.as_context_mut()).unwrap() {
                UpdateDeadline::Continue(ticks) => Some(ticks),
                _ => None,
            }
        };
        assert_eq!(more(idle + 1, false), None);
        assert_eq!(more(idle, false), Some(5));
        assert_eq!(more(0, true), None);
        assert_eq!(more(0, false), Some(5));
    }
}
