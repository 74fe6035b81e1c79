//! The core: an immutable rule set that decides about requests.
//!
//! [`RuleSetBuilder`] builds a [`RuleSet`] from sources, [`RuleSet::decide`] makes a decision about
//! a request, and [`RuleSet::run_tests`] runs the policy tests. The crate does no I/O and reads no
//! clock: the control plane reads files through [`SourceStore`], and time is an argument.

mod active;
mod build;
mod eval;
pub mod http;
mod inspect;
mod policy_tests;
mod ruleset;
#[cfg(test)]
mod tests;

pub use active::{ActiveGeneration, RuleSetHandle};
pub use build::compiler::{CompileJob, Compiler, InProcessCompiler};
pub use build::component_tests::{CASES_MAX, REHEARSAL_MS_MAX};
pub use build::list_file::ListFile;
pub use build::lists::{Guarded, LIST_LINE_BYTES_MAX, age_words};
pub use build::member_part::Member;
pub use build::memory_store::MemoryStore;
pub use build::parts::{LIST_SEARCH_BYTES_HOST_MAX, LIST_SEARCH_BYTES_MEMBER_MAX};
pub use build::settings::{ServerSettings, SiteHosts};
pub use build::signatures::{SIGNATURE_BYTES_MAX, SIGNATURE_ENDING, TrustedKey, verify_signature};
pub use build::sources::{
    COMPONENT_BYTES_MAX, CachedList, Entry, FILES_MAX, GLOB_ENTRIES_MAX, KeptLists, LIST_BYTES_MAX,
    MEMBER_COMPONENT_BYTES_MAX, MEMBER_ENTRIES_MAX, MEMBER_FILES_MAX, MEMBER_FOLDERS_MAX,
    MEMBER_LIST_BYTES_MAX, MEMBER_MATCH_STEPS_MAX, MEMBER_POLICY_BYTES_MAX, MEMBERS_BYTES_MAX,
    MemberLimit, MemberSources, Memo, POLICY_BYTES_MAX, Reached, ReadError, SourceStore, Sources,
    Stored, TOTAL_BYTES_MAX, entries_of, resolve,
};
pub use build::{
    BuildOutput, Effort, INCLUDE_DEPTH_MAX, MEMBER_CASES_MS_MAX, MEMBER_COMPLAINTS_KEPT_MAX,
    MEMBERS_COMPILE_BYTES_MAX, MEMBERS_REBUILD_BYTES_MAX, MEMBERS_TEST_REQUESTS_MAX, MemberPart,
    MemberState, RuleSetBuilder, START_EFFORTS, Terms,
};
pub use eval::context::{EXTERN_CALLS_MAX, Units};
pub use eval::decide::{Judged, Observer, RuleOutcome, Spent};
pub use eval::fuel::{FuelLimits, PartSummary};
pub use eval::index_plan::IndexSummary;
pub use eval::level_inputs::{LEVEL_TICK_MS, LevelInputs};
pub use eval::levels::{LevelCause, LevelEvent};
pub use eval::trace::EvaluatedTest;
pub use inspect::costs::CostLine;
pub use inspect::diagnostics::{
    COMPLAINTS_MAX, Diagnostic, Fix, Severity, Style, TEST_FAILED, render,
};
pub use inspect::diff::{FileChange, LIST_EXAMPLES_MAX, LineChange, PolicyDiff};
pub use inspect::explain::{
    ClientHints, ExplainRequest, Explanation, RuleTrace, UnknownLevel, VALUE_CHARS_MAX,
};
pub use inspect::fields::{
    EnumLine, FUNCTIONS, FieldLine, FunctionLine, alias, enum_lines, field_lines,
};
pub use policy_tests::budget::{MEMBER_TEST_LOOKS_MAX, Whose};
pub use policy_tests::result::{PolicyTestResult, Rehearsed};
pub use ruleset::{ExternSummary, ListSummary, RuleSet, Summary};
pub use seawall_policy::check::{LIST_RELOAD_MS_MIN, Purpose};
pub use seawall_policy::diagnostic::nearest;
pub use seawall_policy::outline::{Change, ClauseChange, How, Outline};
pub use seawall_policy::text::{bytes as bytes_text, duration_ms as duration_text};
pub use seawall_wasm::{Component, EPOCH_TICK_MS, LoadError, Sandbox, SandboxLimits};
