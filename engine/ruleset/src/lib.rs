//! The heart: one immutable value that judges.
//!
//! [`Workshop::assemble`] makes a [`RuleSet`] of sources, [`RuleSet::decide`] judges a request with
//! it, [`RuleSet::rehearse`] runs the tests that stand in the policy. No I/O and no clock: the
//! control plane reads files through [`Store`], and time is an argument.

mod answer;
mod assemble;
mod budget;
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
    Assembly, Effort, HostSettings, INCLUDE_DEPTH_MAX, MEMBER_CASES_MS_MAX,
    MEMBER_COMPLAINTS_KEPT_MAX, MEMBERS_COMPILE_BYTES_MAX, MEMBERS_REBUILD_BYTES_MAX,
    MEMBERS_TEST_REQUESTS_MAX, Member, MemberPart, MemberState, START_EFFORTS, SiteHosts, Terms,
    Workshop,
};
pub use budget::{MEMBER_TEST_LOOKS_MAX, Whose};
pub use cases::{Rehearsed, TestOutcome};
pub use compiler::{Compiler, InProcess, Job};
pub use context::{EXTERN_CALLS_MAX, Units};
pub use costs::CostLine;
pub use decide::{Fate, Judged, Observer, Spent};
pub use difference::{Difference, FileChange, LIST_EXAMPLES_MAX, LineChange};
pub use explain::{
    Considered, Explanation, Known, MadeTest, NoSuchLevel, Question, VALUE_CHARS_MAX,
};
pub use fields::{EnumLine, FUNCTIONS, FieldLine, FunctionLine, alias, enum_lines, field_lines};
pub use fuel::{FuelLimits, PartSummary};
pub use lists::{
    Guarded, LIST_LINE_BYTES_MAX, LIST_SEARCH_BYTES_HOST_MAX, LIST_SEARCH_BYTES_MEMBER_MAX,
    ListFile, age_words,
};
pub use live::{Handle, Live};
pub use memory::MemoryStore;
pub use plan::IndexSummary;
pub use rehearsal::{CASES_MAX, REHEARSAL_MS_MAX};
pub use report::{COMPLAINTS_MAX, Diagnostic, Fix, Severity, Style, TEST_FAILED, render};
pub use ruleset::{ExternSummary, ListSummary, RuleSet, Summary};
pub use seawall_policy::check::{LIST_RELOAD_MS_MIN, Purpose};
pub use seawall_policy::diagnostic::nearest;
pub use seawall_policy::outline::{Change, ClauseChange, How, Outline};
pub use seawall_policy::text::{bytes as bytes_text, duration_ms as duration_text};
pub use seawall_wasm::{Component, EPOCH_TICK_MS, LoadError, Sandbox, SandboxLimits};
pub use sources::{
    COMPONENT_BYTES_MAX, Entry, FILES_MAX, GLOB_ENTRIES_MAX, KeptList, KeptLists, LIST_BYTES_MAX,
    MEMBER_COMPONENT_BYTES_MAX, MEMBER_ENTRIES_MAX, MEMBER_FILES_MAX, MEMBER_FOLDERS_MAX,
    MEMBER_LIST_BYTES_MAX, MEMBER_MATCH_STEPS_MAX, MEMBER_POLICY_BYTES_MAX, MEMBERS_BYTES_MAX,
    MemberLimit, MemberSources, Memo, POLICY_BYTES_MAX, Reached, ReadError, Sources, Store, Stored,
    TOTAL_BYTES_MAX, entries_of, resolve,
};
pub use tick::{LEVEL_TICK_MS, LevelCause, LevelEvent, Pulse};
pub use trust::{SIGNATURE_BYTES_MAX, SIGNATURE_ENDING, TRUSTED_KEYS_MAX, TrustedKey, vouched};
