//! The errors of loading a component, of binding one of its functions, and of calling it.
//!
//! The errors of loading and binding are for people and contain texts. A [`Failure`] occurs while a
//! request waits, so it needs no allocation and contains nothing of the client.

use crate::Signature;

/// Why bytes cannot be loaded as a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The machine lacks resources for the limits, mostly address space.
    #[error("the sandbox cannot be created: {0}")]
    Engine(String),
    /// More bytes than `component_bytes_max`.
    #[error("the component has {bytes} bytes; the maximum is {max}")]
    TooLong {
        /// The number of bytes.
        bytes: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// A core module, which has no typed exports.
    #[error("the file is a core module, not a component; build it with `seawall rule build`")]
    CoreModule,
    /// The bytes are truncated, damaged, not WebAssembly, or need a feature that the sandbox does
    /// not allow.
    #[error("the component is invalid: {0}")]
    Invalid(String),
    /// It is nested so deeply that compiling it would exhaust the machine.
    #[error("the component has more than {max} nested {what}")]
    Nested {
        /// What is nested.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A function of it is longer than `function_bytes_max`.
    #[error("a function of the component has more than {max} bytes")]
    LongFunction {
        /// The limit in bytes.
        max: usize,
    },
    /// More core modules are put together in it than `core_instances_per_component_max`.
    #[error("the component instantiates more than {max} core modules")]
    CoreInstances {
        /// The limit.
        max: u32,
    },
    /// It imports something. A rule has only its arguments.
    #[error("the component imports `{0}`; a rule cannot have imports")]
    Imports(String),
    /// It exports something that no policy can call.
    #[error("the component exports `{name}`, which {why}")]
    Export {
        /// The export's name.
        name: String,
        /// Why it cannot be called.
        why: String,
    },
    /// The stored code is of another component, version or machine.
    #[error("the stored machine code is of another component or version")]
    Stale,
    /// Compiling it exceeded the limits of the compiler process.
    #[error("compiling the component needs more than {0}")]
    TooDear(String),
    /// The compiler process is still compiling it.
    #[error("the component is still being compiled; the policy is reloaded afterwards")]
    Compiling,
    /// The error of the compiler process.
    #[error("{0}")]
    Told(String),
    /// It exports no function, or more than `exports_max`.
    #[error("the component exports {count} functions; 1 to {max} are allowed")]
    Exports {
        /// The number of exported functions.
        count: usize,
        /// The limit.
        max: usize,
    },
}

/// Why a function of a component does not match an `extern`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No such function.
    #[error("the component has no function `{name}`; it has {}", names(.has))]
    NoFunction {
        /// The name in the `extern`.
        name: Box<str>,
        /// The functions of the component.
        has: Vec<Box<str>>,
    },
    /// Other parameters or another result than declared.
    #[error("the policy declares `{want}`, but the component has `{have}`")]
    Signature {
        /// The declaration in the policy.
        want: Signature,
        /// The export of the component.
        have: Signature,
    },
    /// A limit is zero or above the maximum of the sandbox.
    #[error("`{what}` is {asked}; 1 to {max} are allowed")]
    Limit {
        /// The name of the limit.
        what: &'static str,
        /// The value in the `extern`.
        asked: u64,
        /// The maximum.
        max: u64,
    },
    /// The first instance did not start within the limits.
    #[error("the component does not start within its limits: {0}")]
    Start(Failure),
}

fn names(has: &[Box<str>]) -> String {
    let quoted: Vec<String> = has.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Why a call has no result. The caller then uses the `on_failure` value of the `extern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Failure {
    /// The fuel of the rule is exhausted.
    Fuel,
    /// The time is over before the fuel is exhausted. Only then can a replay differ.
    Time,
    /// The rule could not get more memory or table space, and stopped.
    Memory,
    /// The rule trapped: a panic, an invalid access, or too deep a recursion.
    Trap,
    /// The result is invalid or longer than `text_result_bytes_max`.
    Answer,
    /// An argument is longer than `arg_bytes_max`, or has another type. The rule is not the cause,
    /// so it does not count towards quarantine.
    Argument,
    /// No instance is free. The rule is not the cause.
    Busy,
    /// The rule is in quarantine after too many failures, and is not called.
    Quarantined,
    /// A fresh instance gave another result, so the rule keeps state between calls. Counted and
    /// never returned: the result of the fresh instance is used.
    Impure,
    /// The budget for the calls of one request is exhausted. The rule is not the cause.
    Budget,
}

impl Failure {
    /// All failures, in the order of [`crate::CallStats::failures`].
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

    /// Returns a short word for metrics and logs.
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

    /// Returns whether the rule is the cause, so that repetition leads to quarantine.
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

/// Returns the last and most specific sentence of an error of the engine, on one line.
pub(crate) fn told(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
