//! The sandbox: compiles components and calls their functions within limits.
//!
//! A rule is a component without imports that exports pure functions of bytes, integers and
//! Booleans (`rule-sdk/wit`). **Fuel is the limit; the clock is only a second one.** Fuel gives the
//! same result live, in a test and in a replay, and costs no more than counting epochs. The crate
//! does no I/O: the owner of a thread must call [`Sandbox::raise_epoch`] every [`EPOCH_TICK_MS`].
//!
//! Limitations: a guest sees its own earlier calls if its instances are reused
//! ([`Isolation::Reused`]). Side channels through caches and time are open. The result cache keeps
//! arguments, including addresses. Clients can drive a careless rule into quarantine, so choose its
//! `on_failure` value accordingly.

mod args;
mod budget;
mod call_value;
mod cases;
mod component;
mod error;
mod function;
mod headers;
mod instance;
mod instance_slots;
mod limits;
mod live_counts;
mod nesting_depth;
mod pools;
mod quarantine;
mod result_cache;
mod sandbox;
mod signature;
mod size_class;
mod stats;
mod store_limiter;
#[cfg(test)]
mod tests;
mod translator;
mod typed_call;

pub use args::{Arg, Args};
pub use budget::Budget;
pub use call_value::CallValue;
pub use cases::{
    CASES_BYTES_MAX, CASES_SECTION, Case, CaseCall, CaseError, cases_inside, parse_cases,
};
pub use component::Component;
pub use error::{BindError, Failure, LoadError};
pub use function::Function;
pub use headers::{TooLong, pack_headers};
pub use limits::{CallLimits, EPOCH_TICK_MS, Isolation, SandboxLimits};
pub use live_counts::LiveCounts;
pub use quarantine::Quarantine;
pub use sandbox::Sandbox;
pub use seawall_sys::{SEAL_KEY_BYTES, Seal};
pub use signature::{ParamKind, ResultKind, Signature};
pub use stats::CallStats;
pub use translator::Translator;
