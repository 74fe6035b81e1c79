//! The heart: one immutable value that judges.
//!
//! [`Workshop::assemble`] makes a [`RuleSet`] of sources, [`RuleSet::decide`] judges a request with
//! it, [`RuleSet::rehearse`] runs the tests that stand in the policy. No I/O and no clock: the
//! control plane reads files through [`Store`], and time is an argument.

mod answer;
mod assemble;
mod cases;
mod compiler;
mod context;
mod costs;
mod decide;
mod difference;
mod explain;
mod fields;
mod fuel;
mod hosts;
pub mod http;
mod lists;
mod live;
mod memory;
mod pairs;
mod plan;
mod rehearsal;
mod report;
mod ruleset;
mod sources;
#[cfg(test)]
mod tests;
mod tick;
mod trust;

pub use assemble::{
    Assembly, HostSettings, INCLUDE_DEPTH_MAX, MemberPart, MemberState, SiteHosts, Workshop,
};
pub use cases::TestOutcome;
pub use compiler::{Compiler, InProcess, Job};
pub use context::EXTERN_CALLS_MAX;
pub use costs::CostLine;
pub use decide::{Fate, Observer, Spent};
pub use difference::{Difference, FileChange, LIST_EXAMPLES_MAX, LineChange};
pub use explain::{
    Considered, Explanation, Known, MadeTest, NoSuchLevel, Question, VALUE_CHARS_MAX,
};
pub use fields::{EnumLine, FUNCTIONS, FieldLine, FunctionLine, alias, enum_lines, field_lines};
pub use fuel::{FuelLimits, PartSummary};
pub use lists::{ListFile, age_words};
pub use live::{Handle, Live};
pub use memory::MemoryStore;
pub use plan::IndexSummary;
pub use rehearsal::{CASES_MAX, REHEARSAL_MS_MAX};
pub use report::{COMPLAINTS_MAX, Diagnostic, Fix, Severity, Style, TEST_FAILED, render};
pub use ruleset::{ExternSummary, ListSummary, RuleSet, Summary};
pub use seawall_policy::check::Purpose;
pub use seawall_policy::diagnostic::nearest;
pub use seawall_policy::outline::{Change, ClauseChange, How, Outline};
pub use seawall_policy::text::{bytes as bytes_text, duration_ms as duration_text};
pub use seawall_wasm::{Component, EPOCH_TICK_MS, LoadError, Sandbox, SandboxLimits};
pub use sources::{
    COMPONENT_BYTES_MAX, FILES_MAX, KeptList, LIST_BYTES_MAX, POLICY_BYTES_MAX, ReadError, Sources,
    Store, TOTAL_BYTES_MAX, resolve,
};
pub use tick::{LEVEL_TICK_MS, LevelCause, LevelEvent, Pulse};
pub use trust::{SIGNATURE_BYTES_MAX, SIGNATURE_ENDING, TRUSTED_KEYS_MAX, TrustedKey, vouched};
