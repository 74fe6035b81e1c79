//! The memory of the counters of a policy. Counter tables are allocated in full at load, so a
//! policy above the limit is rejected at load.
//!
//! The counters of a member count against the member's quota, and not against the operator's limit.

use std::collections::HashSet;

use super::build::Builder;
use super::member::MemberEntry;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::program::{Counter, Counts};
use crate::schema::CounterMemory;
use crate::span::Span;
use crate::text::bytes;

/// Most counters that a diagnostic names.
const NAMED_MAX: usize = 3;

/// Bytes of a member's counters in addition to those of the keys: for tracks that `share` or `top`
/// reads, which take about 20 KB more each.
pub const MEMBER_COUNTER_BYTES_SPARE: usize = 1 << 20;

/// Returns the memory of all counters.
#[must_use]
pub fn counters_memory(counters: &[Counter], per: &CounterMemory) -> usize {
    counters.iter().map(|counter| weight(counter, per)).fold(0, usize::saturating_add)
}

impl Builder<'_> {
    /// Reports counters of a member that take more memory than the member's keys can need.
    pub(super) fn weigh_members_counters(&mut self, entry: &MemberEntry) {
        let per = self.given.schema.counters;
        let keys = usize::try_from(entry.keys).unwrap_or(0);
        let (limits, tracks) = ([per.limit_key, per.concurrent_key], [per.requests_key]);
        let tracks = tracks.into_iter().chain([per.bytes_key, per.distinct_key]);
        let dearest = limits.into_iter().chain(tracks).max();
        let most =
            keys.saturating_mul(dearest.unwrap_or(0)).saturating_add(MEMBER_COUNTER_BYTES_SPARE);
        let mut sum = 0_usize;
        let over = entry.counters.iter().find(|used| {
            let counter = self.program.counters.get(used.counter.0 as usize);
            sum = sum.saturating_add(counter.map_or(0, |counter| weight(counter, &per)));
            sum > most
        });
        let Some((file, span)) = over.map(|used| used.place) else { return };
        let message = format!(
            "the counters of the member `{}` need {} up to here; the maximum for {keys} keys is {}",
            entry.name,
            bytes(sum),
            bytes(most)
        );
        self.complain(
            Diagnostic::error(Code::MemberQuota, file, span, message)
                .label("this exceeds the limit")
                .help(
                    "use `share` and `top` for fewer tracks, or ask the operator for a larger \
                    quota",
                ),
        );
    }

    /// Reports counters of the operator that together exceed the limit.
    pub(super) fn weigh_counters(&mut self) {
        let per = self.given.schema.counters;
        let members = self.entries.iter().flat_map(|entry| &entry.counters);
        let members: HashSet<usize> = members.map(|used| used.counter.0 as usize).collect();
        let mut all: Vec<(usize, Box<str>)> = self
            .program
            .counters
            .iter()
            .enumerate()
            .filter(|(at, _)| !members.contains(at))
            .map(|(_, counter)| (weight(counter, &per), counter.name.clone()))
            .collect();
        let sum = all.iter().fold(0_usize, |sum, (weight, _)| sum.saturating_add(*weight));
        if sum <= per.most {
            return;
        }
        all.sort_by(|(a, _), (b, _)| b.cmp(a));
        let place = all.first().and_then(|(_, name)| self.place_of_counter(name));
        let (file, span) = place.unwrap_or_default();
        let largest: Vec<String> = all
            .iter()
            .take(NAMED_MAX)
            .map(|(weight, name)| format!("`{name}` ({})", bytes(*weight)))
            .collect();
        let message = format!(
            "the counters of this policy need {}; the maximum is {}",
            bytes(sum),
            bytes(per.most)
        );
        self.complain(
            Diagnostic::error(Code::Memory, file, span, message)
                .label("the largest")
                .help(format!("reduce `keys` of the largest counters: {}", largest.join(", "))),
        );
    }

    /// Returns the position of the limit, track or `throttle` rule of a counter.
    fn place_of_counter(&self, name: &str) -> Option<(FileId, Span)> {
        let rule = name.strip_suffix(".throttle").unwrap_or(name);
        let rule = self.program.rules.iter().find(|known| &*known.name == rule);
        rule.map(|rule| (rule.file, rule.span)).or_else(|| self.place("track", name))
    }
}

/// Returns the memory of one counter. A track without `per` has a single key.
fn weight(counter: &Counter, per: &CounterMemory) -> usize {
    let (key, keys) = match counter.counts {
        Counts::Limit => (per.limit_key, counter.keys),
        Counts::Concurrent => (per.concurrent_key, counter.keys),
        Counts::Requests => (per.requests_key, track_keys(counter)),
        Counts::Bytes(_) => (per.bytes_key, track_keys(counter)),
        Counts::Distinct(_) => (per.distinct_key, track_keys(counter)),
    };
    let more = if counter.heavy { per.heavy } else { 0 };
    key.saturating_mul(keys).saturating_add(more)
}

fn track_keys(counter: &Counter) -> usize {
    if counter.per.is_empty() { 1 } else { counter.keys }
}
