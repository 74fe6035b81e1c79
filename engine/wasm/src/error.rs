//! What can go wrong, by the moment at which it does: loading a component, binding one of its
//! functions, calling it.
//!
//! The first two are read by people and carry texts. A [`Failure`] happens while a request waits,
//! so it is one word without an allocation, and says nothing of the visitor.

use crate::Signature;

/// Why bytes are no component that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The machine does not give what the limits ask for, mostly address space.
    #[error("the sandbox cannot be set up: {0}")]
    Engine(String),
    /// More bytes than `component_bytes_max`.
    #[error("the component has {bytes} bytes, which is more than {max}")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        max: usize,
    },
    /// A core module, which has no typed exports.
    #[error("this is a core module, not a component; build it with the rule builder")]
    CoreModule,
    /// Truncated, damaged, not WebAssembly, or asking for what the sandbox does not allow.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// It is nested so deep that compiling it would take the machine.
    #[error("the component has more than {max} {what} inside each other")]
    Nested {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A function of it is longer than `function_bytes_max`.
    #[error("a function of the component has more than {max} bytes")]
    LongFunction {
        /// How many it may have.
        max: usize,
    },
    /// More core modules are put together in it than `core_instances_per_component_max`.
    #[error("the component puts together more than {max} core modules")]
    CoreInstances {
        /// How many it may.
        max: u32,
    },
    /// It asks for something from outside. A rule has nothing but its arguments.
    #[error("the component imports `{0}`, and a rule imports nothing")]
    Imports(String),
    /// It exports what no policy could call.
    #[error("the component exports `{name}`, which {why}")]
    Export {
        /// The export's name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Stored code is not what was made of this component, by this version and on this machine.
    #[error("the stored machine code is not this component's")]
    Stale,
    /// Compiling it took more than a process may use for it.
    #[error("compiling the component takes more than {0}")]
    TooDear(String),
    /// It is being compiled in a process of its own.
    #[error("the component is still being compiled; it takes effect when that is done")]
    Compiling,
    /// What another process that was to compile it said.
    #[error("{0}")]
    Told(String),
    /// It exports no function, or more than `exports_max`.
    #[error("the component exports {count} functions; 1 to {max} are allowed")]
    Exports {
        /// How many it exports.
        count: usize,
        /// How many it may export.
        max: usize,
    },
}

/// Why a component's function does not serve an `extern`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No such function.
    #[error("the component has no function `{name}`; it has {}", names(.has))]
    NoFunction {
        /// What was looked for.
        name: Box<str>,
        /// What there is.
        has: Vec<Box<str>>,
    },
    /// Other parameters or another result than declared.
    #[error("the policy declares `{want}`, but the component has `{have}`")]
    Signature {
        /// What the policy declares.
        want: Signature,
        /// What the component exports.
        have: Signature,
    },
    /// A limit that is zero or beyond what the sandbox allows.
    #[error("`{what}` is {asked}; 1 to {max} are allowed")]
    Limit {
        /// Which one.
        what: &'static str,
        /// What the `extern` asks for.
        asked: u64,
        /// The most it may ask for.
        max: u64,
    },
    /// The first instance did not come up within the limits.
    #[error("the component does not start within its limits: {0}")]
    Start(Failure),
}

fn names(has: &[Box<str>]) -> String {
    let quoted: Vec<String> = has.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Why a call gave no answer. The caller uses the `extern`'s `on_failure` value instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Failure {
    /// The rule used up its fuel.
    Fuel,
    /// The rule outran the clock without using up its fuel. Only then may a replay differ.
    Time,
    /// The rule was refused memory or table space and gave up.
    Memory,
    /// The rule trapped: a panic, a bad access, too deep a recursion.
    Trap,
    /// The rule's answer is not valid or is longer than `text_result_bytes_max`.
    Answer,
    /// An argument is longer than `arg_bytes_max`, or not what the function takes. Not the rule's
    /// fault, so it does not count towards quarantine.
    Argument,
    /// No instance is free. Not the rule's fault.
    Busy,
    /// The rule failed too often a short while ago and is not called.
    Quarantined,
    /// The rule answered otherwise on a fresh instance, so it keeps something between calls. Counted
    /// and never returned: the answer of the fresh instance stands.
    Impure,
    /// The calls of one request have used what they may together. Not the rule's fault.
    Budget,
}

impl Failure {
    /// All, in the order of [`crate::CallStats::failures`].
    pub const ALL: [Self; 10] = [
        Self::Fuel,
        Self::Time,
        Self::Memory,
        Self::Trap,
        Self::Answer,
        Self::Argument,
        Self::Busy,
        Self::Quarantined,
        Self::Impure,
        Self::Budget,
    ];

    /// One short word for metrics and logs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Trap => "trap",
            Self::Answer => "answer",
            Self::Argument => "argument",
            Self::Busy => "busy",
            Self::Quarantined => "quarantined",
            Self::Impure => "impure",
            Self::Budget => "budget",
        }
    }

    /// Whether the rule is to blame, so that repeating it leads to quarantine.
    #[must_use]
    pub const fn is_the_rules(self) -> bool {
        match self {
            Self::Fuel | Self::Time | Self::Memory | Self::Trap | Self::Answer | Self::Impure => {
                true
            }
            Self::Argument | Self::Busy | Self::Quarantined | Self::Budget => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::error::Error for Failure {}

/// The last and most telling sentence of an engine's error, on one line.
pub(crate) fn told(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
