//! Reports about a rule set: explanations of decisions, costs, diagnostics, and differences to
//! another rule set.

pub(crate) mod costs;
pub(crate) mod diagnostics;
pub(crate) mod diff;
mod display;
pub(crate) mod explain;
pub(crate) mod fields;
