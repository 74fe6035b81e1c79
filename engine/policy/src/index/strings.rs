//! Finds the whole values, prefixes and suffixes of a set that match a value.

use hashbrown::HashMap;

use crate::fuel::{Fuel, price};

use super::postings::Posting;

/// Postings by string.
type Map = HashMap<Box<[u8]>, Posting>;

/// Unique strings, all compared with or all without case.
#[derive(Debug, Default)]
pub(super) struct Strings {
    exact: Map,
    /// By length: one lookup for each length that occurs.
    beginnings: Box<[(usize, Map)]>,
    ends: Box<[(usize, Map)]>,
}

impl Strings {
    pub(super) fn new(
        exact: Vec<(Box<[u8]>, Posting)>,
        beginnings: Vec<(Box<[u8]>, Posting)>,
        ends: Vec<(Box<[u8]>, Posting)>,
    ) -> Self {
        Self {
            exact: exact.into_iter().collect(),
            beginnings: by_length(beginnings),
            ends: by_length(ends),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.beginnings.is_empty() && self.ends.is_empty()
    }

    /// Calls `visit` with the postings of the value, its prefixes and its suffixes.
    pub(super) fn each(&self, value: &[u8], fuel: &Fuel, mut visit: impl FnMut(Posting)) {
        let looks_up = |len: usize| fuel.take(price::LOOKUP.saturating_add(price::bytes(len)));
        if !self.exact.is_empty()
            && looks_up(value.len())
            && let Some(posting) = self.exact.get(value)
        {
            visit(*posting);
        }
        for (len, map) in &self.beginnings {
            let Some(head) = value.get(..*len) else { break };
            if !looks_up(*len) {
                return;
            }
            map.get(head).copied().into_iter().for_each(&mut visit);
        }
        for (len, map) in &self.ends {
            let Some(from) = value.len().checked_sub(*len) else { break };
            if !looks_up(*len) {
                return;
            }
            let tail = value.get(from..).unwrap_or_default();
            map.get(tail).copied().into_iter().for_each(&mut visit);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let maps = self.beginnings.iter().chain(&self.ends).map(|(_, map)| map);
        maps.chain([&self.exact])
            .map(|map| {
                let keys: usize = map.keys().map(|key| key.len()).sum();
                keys.saturating_add(map.capacity().saturating_mul(25))
            })
            .sum()
    }
}

/// Groups strings by length, in ascending order.
fn by_length(all: Vec<(Box<[u8]>, Posting)>) -> Box<[(usize, Map)]> {
    let mut lengths: Vec<(usize, Map)> = Vec::new();
    let mut sorted = all;
    sorted.sort_unstable_by_key(|(bytes, _)| bytes.len());
    for (bytes, posting) in sorted {
        match lengths.last_mut() {
            Some((len, map)) if *len == bytes.len() => {
                map.insert(bytes, posting);
            }
            _ => lengths.push((bytes.len(), Map::from_iter([(bytes, posting)]))),
        }
    }
    lengths.into()
}
