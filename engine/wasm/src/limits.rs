//! All limits of the sandbox, each with its unit and the reason for its default.

/// Interval at which the data plane raises the epoch. One millisecond: the shortest interval whose
/// cost cannot be measured.
pub const EPOCH_TICK_MS: u64 = 1;

/// Ticks that a deadline allows beyond a call's `time_ms`: the tick in progress at its start. A
/// single bulk operation runs to its end after that, limited by `memory_bytes_max`.
pub(crate) const EPOCH_SLACK_TICKS: u64 = 1;

/// Fuel for each millisecond below which a call at its deadline counts as one whose thread did not
/// run. A running thread uses about 1,000,000 in a millisecond.
pub(crate) const IDLE_FUEL_PER_MS: u64 = 10_000;

/// The limits of one sandbox and the maximum limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of a component file that counts as small. 2 MiB: a rule in Rust or C has 3 to 60 KiB,
    /// one in JavaScript 1.6 MiB. A longer one is large: it contains a language runtime.
    pub component_bytes_max: usize,
    /// Bytes of a large component file. 32 MiB: a rule in Python has 18.
    pub large_component_bytes_max: usize,
    /// Functions that a component can export. 32.
    pub exports_max: usize,
    /// Nesting of components. 8: builders produce 1 or 2, and 10,000 in 120 KB would need 2 GB to
    /// compile.
    pub component_depth_max: usize,
    /// Bytes of one function's body. 2 MiB: the limit of a small file, also for a large one.
    pub function_bytes_max: usize,
    /// Nesting of blocks in one function. 2,000: a `match` has one for each arm.
    pub block_depth_max: usize,
    /// Nesting of loops in one function. 100: the cost of compiling grows with the square.
    pub loop_depth_max: usize,
    /// Bytes of linear memory of one instance in all its memories, for any `extern`. 16 MiB: a fill
    /// of this size takes about 2 ms and cannot be interrupted.
    pub memory_bytes_max: usize,
    /// The same for an instance of a large component. 64 MiB: Python starts with 12.
    pub large_memory_bytes_max: usize,
    /// Elements of one table. 16,384.
    pub table_elements_max: usize,
    /// Bytes of its caller's stack that a guest can use. 256 KiB of the 2 MiB of a thread.
    pub stack_bytes_max: usize,
    /// Instances over all components and generations. 1,024; each reserves 4 GiB of address space
    /// (not memory), so that the processor does the bounds checks.
    pub instances_max: u32,
    /// Instances of one bound function. 64: one for each worker of a large machine.
    pub instances_per_function_max: u32,
    /// The same for a function of a large component. 16.
    pub large_instances_per_function_max: u32,
    /// Instances of all large components of all generations. 32, of 64 MiB at most: 2 GiB.
    pub large_instances_max: u32,
    /// Instances of all small components of one member. 64: the maximum of one function.
    pub instances_per_member_max: u32,
    /// Of these, the number guaranteed to the member whatever others use. 4. Beyond it members
    /// share a half of `instances_max`; an eighth of it belongs to the operator.
    pub instances_per_member_min: u32,
    /// The same for large components. 8.
    pub large_instances_per_member_max: u32,
    /// The same for large components. 1.
    pub large_instances_per_member_min: u32,
    /// Core modules in one component that can be instantiated. 16: a rule in JavaScript has 11.
    pub core_instances_per_component_max: u32,
    /// The same for a large component. 64: a rule in Python has 38.
    pub large_core_instances_per_component_max: u32,
    /// Memories of one instance. 4: builders produce up to 3, of which one is used.
    pub memories_per_component_max: u32,
    /// Bytes that the server stores for one instance in addition to its memory. 512 KiB: Python
    /// takes 401 for its 8,000 functions.
    pub instance_bytes_max: usize,
    /// Bytes that one call can copy from the guest to the server. 64 KiB.
    pub hostcall_fuel: usize,
    /// Bytes of one argument. 64 KiB: twice the limit of a request header.
    pub arg_bytes_max: usize,
    /// Bytes of a text result. 4 KiB: results are counter keys and tags, not documents.
    pub text_result_bytes_max: usize,
    /// Calls after which an instance is replaced, so that state of a guest does not last. 1,000.
    pub calls_per_instance_max: u32,
    /// Fuel for instantiation, in which the start function of a guest runs. 1,000,000: about 1 ms.
    pub start_fuel: u64,
    /// Maximum fuel of an `extern`. 1,000,000,000: the time limit ends a call before, unless it
    /// moves a gigabyte within its time.
    pub fuel_max: u64,
    /// Maximum milliseconds of an `extern`. 100.
    pub time_ms_max: u64,
    /// Failures within `failure_window_ms` that put a function into quarantine. 20.
    pub failures_max: u32,
    /// Milliseconds for which calls at their time limit can block threads within
    /// `failure_window_ms` before the function goes into quarantine. 50: five calls of the usual
    /// time.
    pub failure_lost_ms_max: u64,
    /// Milliseconds over which failures are counted. 10,000.
    pub failure_window_ms: u64,
    /// Milliseconds of quarantine. 60,000.
    pub quarantine_ms: u64,
    /// Calls of one function on reused instances after which one is repeated on a fresh instance.
    /// 10,000: a fresh instance costs 10 to 25 µs, so this adds about 2 ns to a call.
    pub purity_check_every: u64,
    /// Results in the result cache of one function. 1,024; 0 disables it.
    pub memo_answers: usize,
    /// Bytes of all arguments of a call and its result above which it is not cached. 512, so that
    /// the result cache of a function has at most about 1 MiB.
    pub memo_bytes_max: usize,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            component_bytes_max: 2 << 20,
            large_component_bytes_max: 32 << 20,
            exports_max: 32,
            component_depth_max: 8,
            function_bytes_max: 2 << 20,
            block_depth_max: 2_000,
            loop_depth_max: 100,
            memory_bytes_max: 16 << 20,
            large_memory_bytes_max: 64 << 20,
            table_elements_max: 16_384,
            stack_bytes_max: 256 << 10,
            instances_max: 1_024,
            instances_per_function_max: 64,
            large_instances_per_function_max: 16,
            large_instances_max: 32,
            instances_per_member_max: 64,
            instances_per_member_min: 4,
            large_instances_per_member_max: 8,
            large_instances_per_member_min: 1,
            core_instances_per_component_max: 16,
            large_core_instances_per_component_max: 64,
            memories_per_component_max: 4,
            instance_bytes_max: 512 << 10,
            hostcall_fuel: 64 << 10,
            arg_bytes_max: 64 << 10,
            text_result_bytes_max: 4 << 10,
            calls_per_instance_max: 1_000,
            start_fuel: 1_000_000,
            fuel_max: 1_000_000_000,
            time_ms_max: 100,
            failures_max: 20,
            failure_lost_ms_max: 50,
            failure_window_ms: 10_000,
            quarantine_ms: 60_000,
            purity_check_every: 10_000,
            memo_answers: 1_024,
            memo_bytes_max: 512,
        }
    }
}

/// Whether calls can share an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// An instance serves many calls. State in its memory is present at the next call.
    #[default]
    Reused,
    /// Each call gets a fresh instance: 10 to 25 µs slower, and no state remains.
    PerCall,
}

/// The limits of one call of a function, as declared in its `extern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Units of work, roughly one for each instruction. This is the main limit.
    pub fuel: u64,
    /// Milliseconds on the wall clock, the second limit. A call that used hardly any fuel in this
    /// time gets it a second time, because its thread was probably not running.
    pub time_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Whether calls can share an instance.
    pub isolation: Isolation,
}

impl Default for CallLimits {
    /// Returns the defaults: 50,000 fuel (about 50 µs), 5 ms, 1 MiB, reused.
    fn default() -> Self {
        Self { fuel: 50_000, time_ms: 5, memory_bytes: 1 << 20, isolation: Isolation::Reused }
    }
}
