//! The checker: trees in, one program or every complaint out.
//!
//! Two passes, because a policy may use a name before the page declares it: the first files every
//! name, the second builds. A part that cannot be built is left out after it has been complained
//! about, so that the rest is still checked; a program comes out only where nothing was an error.

mod action;
mod breadth;
mod build;
mod cases;
mod compare;
mod cost;
mod decl;
mod expr;
mod layer;
mod lint;
mod literal;
mod member;
mod memory;
mod names;
mod operand;
mod reach;
mod regexes;
mod worst;

pub use action::{LASTING_MAX_MS, PASS_VALID_DEFAULT_MS, SCORE_STEP_MAX, TARPIT_MAX_MS};
pub use breadth::{MEMBER_TESTS_PER_RULE, TESTS_MAX};
pub use cases::TIMES_MAX;
pub use cost::{Cost, FieldCost, costs, field_cost};
pub use decl::{
    COUNTER_KEYS_MAX, EXTERN_MEMORY_BYTES_MAX, EXTERN_PARAMS_MAX, EXTERN_TIME_DEFAULT_MS,
    EXTERN_TIME_MAX_MS, FUEL_MAX, LIMIT_KEYS_DEFAULT, LIST_MAX, WINDOW_MAX_MS, list_element,
    list_set,
};
pub use layer::{RATE_MAX, RULES_MAX};
pub use member::{MEMBER_KEYS_DEFAULT, MEMBER_RULES_DEFAULT};
pub use regexes::{REGEX_BYTES_HOST_MAX, REGEX_BYTES_MAX, REGEX_BYTES_MEMBER_MAX};
pub use worst::HEAD_BYTES;

use crate::diagnostic::{Diagnostic, FileId, Files, tidy};
use crate::program::Program;
use crate::schema::Schema;
use crate::syntax::ast::Item;

/// What the policy is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at: what cannot be enforced is noted.
    Check,
    /// To be enforced: what cannot be is refused.
    Run,
}

/// An item, in reading order, includes in their place.
#[derive(Debug, Clone)]
pub struct Page {
    /// The file where it stands.
    pub file: FileId,
    /// The member in whose files it stands; `None` for the host's own.
    pub member: Option<Box<str>>,
    /// The item.
    pub item: Item,
}

/// What the checker is given beside the pages.
#[derive(Debug, Clone, Copy)]
pub struct Given<'g> {
    /// What there is to look at.
    pub schema: &'g Schema,
    /// The texts.
    pub files: &'g Files,
    /// Enforced or looked at.
    pub purpose: Purpose,
    /// Days since 1970-01-01, for `expires` and `shadow until`.
    pub today: u64,
}

/// What came out.
#[derive(Debug)]
pub struct Checked {
    /// The program, where nothing was an error.
    pub program: Option<Program>,
    /// Every complaint, in reading order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks the pages and builds the program.
#[must_use]
pub fn check(pages: &[Page], given: Given<'_>) -> Checked {
    let mut builder = build::Builder::new(given);
    builder.collect(pages);
    builder.build(pages);
    let build::Builder { program, mut diagnostics, .. } = builder;
    tidy(&mut diagnostics);
    let failed = diagnostics.iter().any(Diagnostic::is_error);
    Checked { program: (!failed).then_some(program), diagnostics }
}
