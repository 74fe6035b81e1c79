//! The sandbox: component bytes in, bounded calls out.
//!
//! A rule is a component that imports nothing and exports pure functions of bytes, integers and
//! booleans (`rule-sdk/wit`). This room compiles it, holds its signature against what a policy
//! declares, and calls it so that whatever it does costs no more than its limits say. The one
//! decision made here: **fuel decides, the clock only backs it up**, because fuel gives the same
//! answer live, in a test and in a replay, and costs no more than counting epochs.
//!
//! Files, processes and clocks stay outside: bytes and ticks are handed in, and whoever owns a
//! thread calls [`Sandbox::raise_epoch`] every [`EPOCH_TICK_MS`].
//!
//! Where this does not protect: a guest sees its own earlier calls when its instances are reused
//! ([`Isolation::Reused`]); side channels through caches and time are not closed
//! (an answer from memory comes sooner); the arguments of the last calls stay in memory, addresses
//! included, until others take their place; a visitor whose
//! bytes make a careless rule run out of fuel can drive it into quarantine, so a rule's
//! `on_failure` value must be one that its owner can live with.

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
