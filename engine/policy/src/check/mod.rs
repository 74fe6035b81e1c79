//! The checker: from syntax trees to one program, or to all diagnostics.
//!
//! There are two passes, because a policy can use a name before its declaration. The first pass
//! declares all names, the second builds the program. A part with an error is reported and skipped,
//! so that the rest is still checked. A program is returned only if there is no error.
//!
//! One `Builder` (`build`) makes both passes. Its methods are in one file for each kind of
//! declaration, so these files and `build` depend on each other.

mod action;
mod adjust;
mod breadth;
mod build;
mod compare;
mod cost;
mod counter_memory;
mod declaration;
mod expr;
mod habits;
mod input;
mod layer;
mod layered;
mod lint;
mod list;
mod literal;
mod member;
mod missing;
mod names;
mod operand;
mod policy_test;
mod quota;
mod refused;
mod regexes;
mod search;
mod unreachable;
mod worst;

pub use action::{
    LASTING_MAX_MS, LOG_TEXT_BYTES_MAX, PASS_VALID_DEFAULT_MS, SCORE_STEP_MAX, TARPIT_MAX_MS,
};
pub use breadth::{MEMBER_TESTS_PER_RULE, TESTS_MAX};
pub use cost::{Cost, FieldCost, costs, field_cost};
pub use counter_memory::{MEMBER_COUNTER_BYTES_SPARE, counters_memory};
pub use declaration::{
    COUNTER_KEYS_MAX, EXTERN_MEMORY_BYTES_MAX, EXTERN_PARAMS_MAX, EXTERN_TIME_DEFAULT_MS,
    EXTERN_TIME_MAX_MS, FUEL_MAX, LIMIT_KEYS_DEFAULT, WINDOW_MAX_MS,
};
pub use input::{Given, Page, Purpose};
pub use layer::{RATE_MAX, RULES_MAX};
pub use list::{
    LIST_MAX, LIST_RELOAD_MS_MIN, empty_set, host_bits_help, host_bits_words, wide_words,
};
pub use member::{MEMBER_KEYS_DEFAULT, MEMBER_RULES_DEFAULT};
pub use policy_test::TIMES_MAX;
pub use quota::{
    HOST_TEST_REQUESTS_MAX, MEMBER_COMPLAINTS_LOOKED_AT_MAX, MEMBER_PROGRAM_BYTES_MAX,
    MEMBER_SITES_MAX, MEMBER_TEST_REQUESTS_MAX, MEMBER_TESTS_MAX,
};
pub use refused::{REFUSED_RULES_MAX, SPARED_RANGES_MAX};
pub use regexes::{REGEX_BYTES_HOST_MAX, REGEX_BYTES_MAX, REGEX_BYTES_MEMBER_MAX};
pub use worst::HEAD_BYTES;

use crate::diagnostic::{Diagnostic, tidy};
use crate::part::Part;
use crate::program::Program;

/// The compiled pages of the operator. The pages of each member are compiled against them. They
/// depend on a member only through the `member` entry, so a member cannot change them.
#[derive(Debug)]
pub struct HostPolicy(build::Host);

/// The result for the operator's pages.
#[derive(Debug)]
pub struct HostChecked {
    /// The base for the pages of members. After an error, use it for further checks only.
    pub policy: HostPolicy,
    /// All diagnostics, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

/// The result for one member's pages.
#[derive(Debug)]
pub struct MemberChecked {
    /// The member's part, if there is no error.
    pub part: Option<Part>,
    /// All diagnostics, in source order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks the operator's pages and builds the program without members.
#[must_use]
pub fn check_host(pages: &[Page], given: Given<'_>) -> HostChecked {
    let mut builder = build::Builder::new(given);
    builder.collect(pages);
    builder.build_host(pages);
    let (host, mut diagnostics) = builder.finish();
    tidy(&mut diagnostics);
    HostChecked { policy: HostPolicy(host), diagnostics }
}

impl HostPolicy {
    /// Returns the program without members.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.0.program()
    }

    /// Returns the program without members, if no further member is to be compiled.
    #[must_use]
    pub fn into_program(self) -> Program {
        self.0.into_program()
    }

    /// Checks one member's pages. Returns the base for other members unchanged. The member's files
    /// follow those of the operator in `given`; `host_files` is the number of the operator's files.
    #[must_use]
    pub fn check_member(
        self,
        pages: &[Page],
        given: Given<'_>,
        host_files: u32,
    ) -> (Self, MemberChecked) {
        let mut builder = build::Builder::resume(given, self.0);
        let part = builder.build_member(pages, host_files);
        let (host, mut diagnostics) = builder.finish();
        tidy(&mut diagnostics);
        let failed = diagnostics.iter().any(Diagnostic::is_error);
        (Self(host), MemberChecked { part: (!failed).then_some(part), diagnostics })
    }
}
