//! A bound function: what the data plane calls.
//!
//! Decision: a short lock around a stack of idle instances rather than one instance a thread. The
//! lock is held for a push or a pop, the instance on top is the one whose memory is still in the
//! processor's cache, and a function that nobody calls holds one instance and not one a thread.

use crate::breaker::Breaker;
use crate::instance::{Guard, Instance};
use crate::limits::{CallLimits, Isolation, SandboxLimits};
use crate::shapes;
use crate::stats::{CallStats, Counters};
use crate::{Failure, Signature};
use parking_lot::Mutex;
use seawall_model::Tick;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasmtime::component::{ComponentExportIndex, InstancePre};

/// An argument, borrowed from the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    /// For a `bool`.
    Bool(bool),
    /// For an `s64`.
    Int(i64),
    /// For a `text`, an `address` (4 or 16 bytes) or `headers` (see [`crate::pack_headers`]).
    Bytes(&'a [u8]),
}

impl std::fmt::Debug for Arg<'_> {
    /// Says the kind only: the bytes are a visitor's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bool(_) => "Bool",
            Self::Int(_) => "Int",
            Self::Bytes(_) => "Bytes",
        })
    }
}

/// What a rule answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A `bool`.
    Bool(bool),
    /// An `s64`.
    Int(i64),
    /// A `text`: any bytes, at most `text_result_bytes_max`.
    Text(Vec<u8>),
}

/// A function of a component under its limits. Cheap to clone; clones share instances, counts and
/// quarantine. Whoever wants tenants apart binds once for each.
#[derive(Clone)]
pub struct Function(Arc<Inner>);

struct Inner {
    ready: InstancePre<Guard>,
    export: ComponentExportIndex,
    signature: Signature,
    limits: CallLimits,
    max: SandboxLimits,
    idle: Mutex<Vec<Instance>>,
    /// Instances alive, idle ones included.
    live: AtomicU32,
    breaker: Breaker,
    counters: Counters,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Function").field(&self.0.signature).field(&self.0.limits).finish()
    }
}

/// Gives back one place among the live instances, however the call ends.
struct Place<'f>(&'f AtomicU32);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Function {
    pub(crate) fn new(
        ready: InstancePre<Guard>,
        export: ComponentExportIndex,
        signature: Signature,
        limits: CallLimits,
        max: &SandboxLimits,
    ) -> Self {
        Self(Arc::new(Inner {
            ready,
            export,
            signature,
            limits,
            max: *max,
            idle: Mutex::default(),
            live: AtomicU32::new(0),
            breaker: Breaker::new(max.failures_max, max.failure_window_ms, max.quarantine_ms),
            counters: Counters::default(),
        }))
    }

    /// Starts the first instance and keeps it, if instances are kept.
    pub(crate) fn start_first(&self) -> Result<(), Failure> {
        let (instance, place) = self.0.fresh()?;
        self.0.put_back(instance, place);
        Ok(())
    }

    /// What it takes and gives, as its component says.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// What a call may use.
    #[must_use]
    pub fn limits(&self) -> &CallLimits {
        &self.0.limits
    }

    /// Calls it, and takes no longer than its limits allow.
    ///
    /// # Errors
    /// Why there is no answer. Nothing of the call lives on.
    pub fn call(&self, args: &[Arg<'_>], now: Tick) -> Result<Answer, Failure> {
        let answer = self.0.call(args, now);
        let failure = answer.as_ref().err().copied();
        self.0.counters.note_call(failure);
        if failure.is_some_and(Failure::is_the_rules) {
            self.0.breaker.note_failure(now);
        }
        answer
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        CallStats {
            quarantines: self.0.breaker.quarantines(),
            quarantined_until: self.0.breaker.until(),
            ..self.0.counters.read()
        }
    }
}

impl Inner {
    fn call(&self, args: &[Arg<'_>], now: Tick) -> Result<Answer, Failure> {
        if !self.breaker.allows(now) {
            return Err(Failure::Quarantined);
        }
        let too_long =
            |arg: &Arg<'_>| matches!(arg, Arg::Bytes(b) if b.len() > self.max.arg_bytes_max);
        if !shapes::accepts(&self.signature.params, args) || args.iter().any(too_long) {
            return Err(Failure::Argument);
        }
        let (mut instance, place) = self.take()?;
        let answered = instance.call(args, &self.limits)?;
        self.counters.note_fuel(answered.fuel);
        self.put_back(instance, place);
        match answered.answer {
            Answer::Text(text) if text.len() > self.max.text_result_bytes_max => {
                Err(Failure::Answer)
            }
            answer => Ok(answer),
        }
    }

    fn take(&self) -> Result<(Instance, Place<'_>), Failure> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(instance) => Ok((instance, Place(&self.live))),
            None => self.fresh(),
        }
    }

    fn fresh(&self) -> Result<(Instance, Place<'_>), Failure> {
        let before = self.live.fetch_add(1, Relaxed);
        let place = Place(&self.live);
        if before >= self.max.instances_per_function_max {
            return Err(Failure::Busy);
        }
        self.counters.note_instance();
        let Self { ready, export, signature, limits, max, .. } = self;
        Ok((Instance::start(ready, export, signature, limits, max)?, place))
    }

    /// Keeps the instance for the next call, unless each call gets its own or it has done its share.
    fn put_back(&self, instance: Instance, place: Place<'_>) {
        let spent = instance.calls() >= self.max.calls_per_instance_max;
        if self.limits.isolation == Isolation::Reused && !spent {
            self.idle.lock().push(instance);
            // The instance goes on living, and so does its place.
            std::mem::forget(place);
        }
    }
}

#[cfg(test)]
impl Function {
    /// Instances that wait for a call, and instances alive.
    pub(crate) fn instances(&self) -> (usize, u32) {
        (self.0.idle.lock().len(), self.0.live.load(Relaxed))
    }
}
