//! The input of the checker.

use crate::diagnostic::{FileId, Files};
use crate::schema::Schema;
use crate::syntax::ast::Item;

/// The purpose for which a policy is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Only checked: features that cannot be enforced are noted.
    Check,
    /// To be enforced: features that cannot be enforced are errors.
    Run,
}

/// An item, in source order, with includes at their positions.
#[derive(Debug, Clone)]
pub struct Page {
    /// The file that contains it.
    pub file: FileId,
    /// The member whose file contains it; `None` for the operator.
    pub member: Option<Box<str>>,
    /// The item.
    pub item: Item,
}

/// The input of the checker, without the pages.
#[derive(Debug, Clone, Copy)]
pub struct Given<'g> {
    /// The fields and enumerations.
    pub schema: &'g Schema,
    /// The texts.
    pub files: &'g Files,
    /// The purpose.
    pub purpose: Purpose,
    /// Days since 1970-01-01, for `expires` and `shadow until`.
    pub today: u64,
}
