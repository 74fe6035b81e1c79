//! One running instance with the guard that holds it to its memory.
//!
//! Decision: a store for each instance, so that dropping it after a failure drops everything that
//! the guest ever made. A guest that was refused memory usually traps by itself a moment later;
//! the guard remembers the refusal, so that the failure is called by its cause.

use crate::function::{Answer, Arg};
use crate::limits::{CallLimits, EPOCH_SLACK_TICKS, EPOCH_TICK_MS, SandboxLimits};
use crate::shapes::{self, Call};
use crate::{Failure, Signature};
use wasmtime::component::{ComponentExportIndex, InstancePre};
use wasmtime::{ResourceLimiter, Result, Store, Trap};

/// Grants memory and table space, and remembers whether it ever refused.
#[derive(Debug)]
pub(crate) struct Guard {
    memory_bytes_max: usize,
    table_elements_max: usize,
    refused: bool,
}

impl Guard {
    fn grant(&mut self, fits: bool) -> Result<bool> {
        self.refused |= !fits;
        Ok(fits)
    }
}

impl ResourceLimiter for Guard {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.grant(desired <= self.memory_bytes_max)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        self.grant(desired <= self.table_elements_max)
    }
}

/// An instance and how to call its one function.
pub(crate) struct Instance {
    store: Store<Guard>,
    call: Call,
    calls: u32,
}

/// An answer with the fuel that it took.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) fuel: u64,
}

impl Instance {
    pub(crate) fn start(
        ready: &InstancePre<Guard>,
        export: &ComponentExportIndex,
        signature: &Signature,
        limits: &CallLimits,
        max: &SandboxLimits,
    ) -> Result<Self, Failure> {
        let guard = Guard {
            memory_bytes_max: limits.memory_bytes,
            table_elements_max: max.table_elements_max,
            refused: false,
        };
        let mut store = Store::new(ready.engine(), guard);
        store.limiter(|guard| guard);
        store.set_hostcall_fuel(max.hostcall_fuel);
        let started = arm(&mut store, max.start_fuel, limits.time_ms)
            .and_then(|()| ready.instantiate(&mut store))
            .and_then(|instance| {
                let func = instance
                    .get_func(&mut store, export)
                    .ok_or_else(|| wasmtime::format_err!("the export is gone"))?;
                shapes::call_of(func, &store, signature)
            });
        match started {
            Ok(call) => Ok(Self { store, call, calls: 0 }),
            Err(error) => Err(blame(&error, &store)),
        }
    }

    /// Answers, or says why not. After a failure the instance must be dropped: a trapped one
    /// cannot be entered again.
    pub(crate) fn call(
        &mut self,
        args: &[Arg<'_>],
        limits: &CallLimits,
    ) -> Result<Answered, Failure> {
        self.calls = self.calls.saturating_add(1);
        let answer = arm(&mut self.store, limits.fuel, limits.time_ms)
            .and_then(|()| (self.call)(&mut self.store, args));
        match answer {
            Ok(answer) => {
                let left = self.store.get_fuel().unwrap_or(0);
                Ok(Answered { answer, fuel: limits.fuel.saturating_sub(left) })
            }
            Err(error) => Err(blame(&error, &self.store)),
        }
    }

    pub(crate) const fn calls(&self) -> u32 {
        self.calls
    }
}

fn arm(store: &mut Store<Guard>, fuel: u64, time_ms: u64) -> Result<()> {
    store.set_epoch_deadline(time_ms.div_ceil(EPOCH_TICK_MS).saturating_add(EPOCH_SLACK_TICKS));
    store.set_fuel(fuel)
}

/// Whose word it was that ended the call. What is no trap happened while the answer was read or
/// the arguments were written: the guest gave places that are not its own.
fn blame(error: &wasmtime::Error, store: &Store<Guard>) -> Failure {
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
