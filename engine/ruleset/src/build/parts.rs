//! The lists and functions of a program, as a rule set stores them.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::program::List;
use seawall_policy::set::Set;
use seawall_policy::texts::{NoSearch, Search, Searches};
use seawall_wasm::{Component, Function};

/// The digest of a list without a file.
pub(crate) const NO_FILE: [u8; 32] = [0; 32];

/// Most bytes of the automata of all lists of the operator with text searches.
pub const LIST_SEARCH_BYTES_HOST_MAX: usize = 64 << 20;

/// Most bytes of the automata of all lists of one member.
pub const LIST_SEARCH_BYTES_MEMBER_MAX: usize = 4 << 20;

/// A loaded list.
#[derive(Debug)]
pub(crate) struct LoadedList {
    /// Digest of the bytes of its file; zero for a list in the policy.
    pub(crate) digest: [u8; 32],
    pub(crate) set: Set,
    /// Lines with an element; some elements can be merged.
    pub(crate) lines: usize,
    /// Lines without a valid element.
    pub(crate) bad_lines: usize,
    /// The previous number of elements, if more than half of them were lost.
    pub(crate) shrank_from: Option<usize>,
    /// Its elements, prepared for text searches.
    pub(crate) searches: Searches,
}

impl LoadedList {
    pub(crate) fn of(set: Set) -> Self {
        Self {
            digest: NO_FILE,
            set,
            lines: 0,
            bad_lines: 0,
            shrank_from: None,
            searches: Searches::default(),
        }
    }
}

/// Prepares a list for text searches.
pub(crate) fn ready(loaded: &LoadedList, searches: &[Search]) -> Result<(), NoSearch> {
    searches.iter().try_for_each(|search| loaded.searches.ready(*search, &loaded.set))
}

/// The identity of a bound function: its component, its full name and its extern. Equal keys mean
/// the same function, with its counts and its quarantine. Two externs never share a function, so
/// that a member's instances and quarantine are never those of another member.
pub(crate) type FunctionKey = ([u8; 32], Box<str>, Box<str>, seawall_wasm::Signature, BoundLimits);

/// The limits of a binding, as part of a key.
pub(crate) type BoundLimits = (u64, u64, usize, bool);

/// The lists of the same owner in the previous rule set.
#[derive(Clone, Copy, Default)]
pub(crate) struct ListsBefore<'p> {
    pub(crate) declared: &'p [List],
    pub(crate) loaded: &'p [Arc<LoadedList>],
}

/// Components by the digest of their bytes, for all owners in one assembly.
pub(crate) type Components = HashMap<[u8; 32], Component>;

/// The loaded lists and functions of one owner's program.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) lists: Vec<Arc<LoadedList>>,
    /// Functions in the order of the program, each with its identity.
    pub(crate) externs: Vec<(FunctionKey, Function)>,
    /// The used components, so that the next assembly can reuse them.
    pub(crate) components: Components,
}
