//! Every limit of the sandbox, in one place, with its unit and the arithmetic behind it.

/// How often the edge raises the epoch. One millisecond: the finest step at which the thread that
/// does it costs nothing that can be measured.
pub const EPOCH_TICK_MS: u64 = 1;

/// Ticks that a deadline allows beyond a call's `time_ms`: the tick that was under way when the
/// call began. A single bulk operation runs to its end after that, which `memory_bytes_max` bounds.
pub(crate) const EPOCH_SLACK_TICKS: u64 = 1;

/// Fuel for each millisecond under which a call that the clock would end is taken for one whose thread
/// did not run. A thread that runs burns about 1,000,000 in a millisecond.
pub(crate) const IDLE_FUEL_PER_MS: u64 = 10_000;

/// What one sandbox holds and what one call may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of a component file that counts as small. 2 MiB: a rule in Rust or C has 3 to 60 KiB,
    /// one in JavaScript 1.6 MiB. A longer one is large: it carries a language's whole runtime.
    pub component_bytes_max: usize,
    /// Bytes of a large component file. 32 MiB: a rule in Python has 18.
    pub large_component_bytes_max: usize,
    /// Functions that a component may export. 32.
    pub exports_max: usize,
    /// Components inside components. 8: what builders make has 1 or 2, and 10,000 in 120 KB would take
    /// 2 GB to compile.
    pub component_depth_max: usize,
    /// Bytes of one function's body. 2 MiB: as much as a small file has, whatever a large one's.
    pub function_bytes_max: usize,
    /// Blocks inside blocks of one function. 2,000: a `match` has one for each arm.
    pub block_depth_max: usize,
    /// Loops inside loops of one function. 100: what compiling them takes grows by the square.
    pub loop_depth_max: usize,
    /// Bytes of linear memory that one instance may have in all its memories, whatever its `extern`
    /// asks. 16 MiB: a fill of that takes about 2 ms, and nothing interrupts a fill.
    pub memory_bytes_max: usize,
    /// The same for an instance of a large component. 64 MiB: Python begins with 12.
    pub large_memory_bytes_max: usize,
    /// Elements of one table. 16,384.
    pub table_elements_max: usize,
    /// Bytes of stack that a guest may use of its caller's. 256 KiB of the 2 MiB a thread has.
    pub stack_bytes_max: usize,
    /// Instances alive at once, over all components and generations. 1,024; each reserves 4 GiB of
    /// address space (not memory), which is what lets bounds checks be left to the processor.
    pub instances_max: u32,
    /// Instances alive at once of one bound function. 64: one for each worker of a large machine.
    pub instances_per_function_max: u32,
    /// The same for a function of a large component. 16: so many workers ask it at the same moment.
    pub large_instances_per_function_max: u32,
    /// Instances alive at once of all large components of all generations. 32, of 64 MiB at most: 2 GiB.
    pub large_instances_max: u32,
    /// Instances alive at once of all small components of one member. 64: as many as one busy function
    /// may have.
    pub instances_per_member_max: u32,
    /// Of these, as many as she has whatever other members have. 4. Beyond them members share a half of
    /// `instances_max`; an eighth of it is the host's.
    pub instances_per_member_min: u32,
    /// The same for large components. 8.
    pub large_instances_per_member_max: u32,
    /// The same for large components. 1.
    pub large_instances_per_member_min: u32,
    /// Core modules inside one component that may be instantiated. 16: a rule in JavaScript has 11.
    pub core_instances_per_component_max: u32,
    /// The same for a large component. 64: a rule in Python has 38.
    pub large_core_instances_per_component_max: u32,
    /// Memories of one instance. 4: what builders put together has up to 3, of which one is used.
    pub memories_per_component_max: u32,
    /// Bytes that the host keeps for one instance beside its memory. 512 KiB: Python takes 401 for its
    /// 8,000 functions.
    pub instance_bytes_max: usize,
    /// Bytes that one call may copy from guest to host. 64 KiB.
    pub hostcall_fuel: usize,
    /// Bytes of one argument. 64 KiB: twice what a request's head may have.
    pub arg_bytes_max: usize,
    /// Bytes of a text result. 4 KiB: results are counter keys and marks, not documents.
    pub text_result_bytes_max: usize,
    /// Calls after which an instance is replaced, so that what a guest hoards does not last. 1,000.
    pub calls_per_instance_max: u32,
    /// Fuel for instantiation, in which a guest's start function runs. 1,000,000: about 1 ms.
    pub start_fuel: u64,
    /// Fuel that an `extern` may ask for. 1,000,000,000: the clock ends a call
    /// before, unless it moves a gigabyte within its time.
    pub fuel_max: u64,
    /// Milliseconds that an `extern` may ask for. 100.
    pub time_ms_max: u64,
    /// Failures within `failure_window_ms` that put a function into quarantine. 20.
    pub failures_max: u32,
    /// Milliseconds that calls which the clock ended may have held threads within
    /// `failure_window_ms`, before the function goes into quarantine. 50: five calls of the usual time.
    pub failure_lost_ms_max: u64,
    /// Milliseconds over which failures are counted. 10,000.
    pub failure_window_ms: u64,
    /// Milliseconds of quarantine. 60,000.
    pub quarantine_ms: u64,
    /// Calls of one function on reused instances after which one is repeated on a fresh instance.
    /// 10,000: a fresh instance costs 10 to 25 µs, so this adds about 2 ns to a call.
    pub purity_check_every: u64,
    /// Answers of one function that are kept for arguments that come again. 1,024; 0 keeps none.
    pub memo_answers: usize,
    /// Bytes of all arguments of a call, and of its answer, beyond which it is not kept. 512, so that
    /// a function's memory of answers ends at about 1 MiB.
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

/// Whether calls may share an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// An instance answers many calls. What a guest keeps in its memory is there at the next call.
    #[default]
    Reused,
    /// Each call gets a fresh instance: 10 to 25 µs dearer, and nothing is ever kept.
    PerCall,
}

/// What one call of a function may use, as its `extern` declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Units of work, roughly one for each instruction. This is the limit that decides.
    pub fuel: u64,
    /// Milliseconds on the wall clock: the backstop. They are granted once more to a call that used
    /// hardly any fuel in them, whose thread then probably was not running.
    pub time_ms: u64,
    /// Bytes of linear memory.
    pub memory_bytes: usize,
    /// Whether calls may share an instance.
    pub isolation: Isolation,
}

impl Default for CallLimits {
    /// 50,000 fuel (about 50 µs), 5 ms, 1 MiB, reused: LANGUAGE §10.
    fn default() -> Self {
        Self { fuel: 50_000, time_ms: 5, memory_bytes: 1 << 20, isolation: Isolation::Reused }
    }
}
