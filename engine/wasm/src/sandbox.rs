//! The engine with all limits, built once in a process.
//!
//! Decision: a pool of instance slots with a fixed size, rather than memory on demand. A flood of
//! calls then ends in `busy`, which the policy handles, and never in swapping. A fresh instance is
//! a reset of a used slot, 10 µs instead of 100.
//!
//! The pool is reserved with the first component. A policy without components needs no memory for
//! it, so that `seawall check` runs with a low limit on address space.

use std::sync::{Arc, OnceLock};

use crate::error::told;
use crate::live_counts::LiveGauges;
use crate::pools::Pools;
use crate::{LiveCounts, LoadError, SandboxLimits};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Bytes of a slot's memory that are cleared with zeros instead of being released: the part that a
/// small guest uses, so that its slots stay in the cache.
const MEMORY_KEPT_WARM_BYTES: usize = 128 << 10;

/// Compiles components and owns their instances. Cheap to clone; all clones are one sandbox.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The engine, or why the machine cannot provide one.
    engine: Arc<OnceLock<Result<Engine, String>>>,
    limits: SandboxLimits,
    /// Instances by owner.
    pools: Arc<Pools>,
    census: LiveGauges,
}

impl Sandbox {
    /// Creates a sandbox for `limits.instances_max` instances.
    #[must_use]
    pub fn new(limits: SandboxLimits) -> Self {
        let pools = Arc::new(Pools::new(&limits));
        Self { engine: Arc::default(), limits, pools, census: LiveGauges::default() }
    }

    /// Returns a text that differs if stored machine code of another sandbox is
    /// [`LoadError::Stale`].
    ///
    /// # Errors
    /// The sandbox cannot be created.
    pub fn code_version(&self) -> Result<String, LoadError> {
        self.engine().map(seawall_sys::code_version)
    }

    /// Advances the sandbox's clock by [`crate::EPOCH_TICK_MS`]. Without these calls, `time_ms` has
    /// no effect.
    pub fn raise_epoch(&self) {
        self.census.epochs.raise();
        if let Some(Ok(engine)) = self.engine.get() {
            engine.increment_epoch();
        }
    }

    /// Returns the limits.
    #[must_use]
    pub const fn limits(&self) -> &SandboxLimits {
        &self.limits
    }

    /// Returns the number of live objects.
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

/// Returns the configuration on which machine code depends. The allocation of instances is not part
/// of it.
pub(crate) fn config(limits: &SandboxLimits) -> Config {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true).max_wasm_stack(limits.stack_bytes_max);
    // If enabled, an empty call costs three times as much; rules neither wait nor run concurrently.
    config.concurrency_support(false);
    // The same bits on every machine: no NaN payloads, no relaxed instructions.
    config.cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
    // Features that no rule needs are disabled, to reduce the attack surface.
    config.wasm_memory64(false).wasm_tail_call(false);
    // The engine itself generates code with two memories for calls between nested components, and
    // panics if it may not. The pool still limits the memories of a component.
    config.wasm_multi_memory(true);
    // The stack of a trap is never displayed, and collecting it is the expensive part of a trap.
    config.wasm_backtrace_max_frames(None).native_unwind_info(false).generate_address_map(false);
    // A reload uses one processor; the others serve requests.
    config.parallel_compilation(false);
    config
}

fn pool(limits: &SandboxLimits) -> PoolingAllocationConfig {
    let tables = limits.instances_max.saturating_mul(2);
    // Only a count without memory: the size class limits each component.
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
