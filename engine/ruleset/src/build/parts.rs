//! What a program is given beside itself, as a ruleset holds it: lists, and functions of components.

use std::collections::HashMap;
use std::sync::Arc;

use seawall_policy::program::List;
use seawall_policy::set::Set;
use seawall_policy::texts::{NoSearch, Search, Searches};
use seawall_wasm::{Component, Function};

/// The digest of what no file gave.
pub(crate) const NO_FILE: [u8; 32] = [0; 32];

/// The most bytes that the automata of all lists of the host take whose elements are looked for in
/// texts.
pub const LIST_SEARCH_BYTES_HOST_MAX: usize = 64 << 20;

/// The same of all lists of one member.
pub const LIST_SEARCH_BYTES_MEMBER_MAX: usize = 4 << 20;

/// A list as it is held.
#[derive(Debug)]
pub(crate) struct LoadedList {
    /// Digest of the bytes it was read from; zero for one written out.
    pub(crate) digest: [u8; 32],
    pub(crate) set: Set,
    /// Lines that were an element; some of the elements may have been merged.
    pub(crate) lines: usize,
    /// Lines that were no element.
    pub(crate) bad_lines: usize,
    /// How many elements it had before, where it lost more than half of them.
    pub(crate) shrank_from: Option<usize>,
    /// Its elements, made ready to be looked for in texts.
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

/// Makes a list's elements ready to be looked for in texts.
pub(crate) fn ready(loaded: &LoadedList, searches: &[Search]) -> Result<(), NoSearch> {
    searches.iter().try_for_each(|search| loaded.searches.ready(*search, &loaded.set))
}

/// What a function was bound from and for which extern, by its full name: the same of all means the
/// same function, counts and quarantine included. Two externs never share one, so that neither a
/// member's instances nor her quarantine are another's.
pub(crate) type FunctionKey = ([u8; 32], Box<str>, Box<str>, seawall_wasm::Signature, BoundLimits);

/// The limits of a binding, as a key.
pub(crate) type BoundLimits = (u64, u64, usize, bool);

/// The lists of the same owner in the ruleset before.
#[derive(Clone, Copy, Default)]
pub(crate) struct ListsBefore<'p> {
    pub(crate) declared: &'p [List],
    pub(crate) loaded: &'p [Arc<LoadedList>],
}

/// Components by the digest of their bytes, for all owners of one assembly.
pub(crate) type Components = HashMap<[u8; 32], Component>;

/// What one owner's program needs, loaded.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) lists: Vec<Arc<LoadedList>>,
    /// In the order of the program, each with what it was bound from.
    pub(crate) externs: Vec<(FunctionKey, Function)>,
    /// Those that were used, so that the next assembly need not make them.
    pub(crate) components: Components,
}
