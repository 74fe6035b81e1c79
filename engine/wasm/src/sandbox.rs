//! The engine under every limit, built once for the process.
//!
//! Decision: a pool of instance slots whose size is fixed at start, rather than memory on demand.
//! A flood of calls then ends in `busy`, which the policy answers, and never in the machine
//! swapping; and a fresh instance is a reset of a warm slot, 10 µs instead of 100.
//!
//! The pool is reserved with the first component: a policy without one asks the machine for nothing,
//! so that `seawall check` runs under a tight limit on address space.

use std::sync::{Arc, OnceLock};

use crate::error::told;
use crate::live_counts::LiveGauges;
use crate::pools::Pools;
use crate::{LiveCounts, LoadError, SandboxLimits};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Bytes of a slot's memory that are wiped by writing zeros instead of being given back: what a
/// small guest touches, so that its slots stay warm.
const MEMORY_KEPT_WARM_BYTES: usize = 128 << 10;

/// Compiles components and owns what they run in. Cheap to clone; all clones are one sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// Or why the machine does not give one.
    engine: Arc<OnceLock<Result<Engine, String>>>,
    limits: SandboxLimits,
    /// Instances that are alive, by owner.
    pools: Arc<Pools>,
    census: LiveGauges,
}

impl Sandbox {
    /// A sandbox for `limits.instances_max` instances.
    #[must_use]
    pub fn new(limits: SandboxLimits) -> Self {
        let pools = Arc::new(Pools::new(&limits));
        Self { engine: Arc::default(), limits, pools, census: LiveGauges::default() }
    }

    /// What differs where stored machine code of another sandbox would be [`LoadError::Stale`].
    ///
    /// # Errors
    /// The sandbox cannot be set up.
    pub fn code_version(&self) -> Result<String, LoadError> {
        self.engine().map(seawall_sys::code_version)
    }

    /// Lets the sandbox's clock move on by [`crate::EPOCH_TICK_MS`]. Without somebody calling this,
    /// `time_ms` limits nothing.
    pub fn raise_epoch(&self) {
        self.census.epochs.raise();
        if let Some(Ok(engine)) = self.engine.get() {
            engine.increment_epoch();
        }
    }

    /// The limits it was built with.
    #[must_use]
    pub const fn limits(&self) -> &SandboxLimits {
        &self.limits
    }

    /// What is alive in it.
    #[must_use]
    pub fn alive(&self) -> LiveCounts {
        self.census.read()
    }

    pub(crate) const fn census(&self) -> &LiveGauges {
        &self.census
    }

    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(crate) fn engine(&self) -> Result<&Engine, LoadError> {
        let made = || Engine::new(&pooled(&self.limits)).map_err(|error| told(&error));
        self.engine.get_or_init(made).as_ref().map_err(|why| LoadError::Engine(why.clone()))
    }
}

fn pooled(limits: &SandboxLimits) -> Config {
    let mut config = config(limits);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    config
}

/// What the machine code depends on. Where instances come from is none of it.
pub(crate) fn config(limits: &SandboxLimits) -> Config {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true).max_wasm_stack(limits.stack_bytes_max);
    // On, an empty call costs three times as much; rules neither wait nor run side by side.
    config.concurrency_support(false);
    // The same bits on every machine: no NaN payloads, no relaxed instructions.
    config.cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
    // What no rule needs is not there to be attacked.
    config.wasm_memory64(false).wasm_tail_call(false);
    // The engine itself writes code with two memories where one component inside calls another, and
    // panics if it may not. The pool still gives a component one memory.
    config.wasm_multi_memory(true);
    // A trap's stack is never shown to anybody, and collecting it is the dear part of a trap.
    config.wasm_backtrace_max_frames(None).native_unwind_info(false).generate_address_map(false);
    // A reload may use one processor; the others serve.
    config.parallel_compilation(false);
    config
}

fn pool(limits: &SandboxLimits) -> PoolingAllocationConfig {
    let tables = limits.instances_max.saturating_mul(2);
    // A count and no room: what one component may have, its class says.
    let cores_each = limits.core_instances_per_component_max;
    let cores_each = cores_each.max(limits.large_core_instances_per_component_max);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.instances_max)
        .total_core_instances(limits.instances_max.saturating_mul(cores_each))
        .total_memories(limits.instances_max)
        .total_tables(tables)
        .max_component_instance_size(limits.instance_bytes_max)
        .max_core_instance_size(limits.instance_bytes_max)
        .max_core_instances_per_component(cores_each)
        .max_memories_per_component(limits.memories_per_component_max)
        .max_memories_per_module(1)
        .max_tables_per_component(4)
        .max_tables_per_module(4)
        .table_elements(limits.table_elements_max)
        .max_memory_size(limits.memory_bytes_max.max(limits.large_memory_bytes_max))
        .linear_memory_keep_resident(MEMORY_KEPT_WARM_BYTES)
        .table_keep_resident(4 << 10);
    pool
}
