//! What the checker is given.

use crate::diagnostic::{FileId, Files};
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
