//! What the counters of a policy weigh. Their tables are taken whole when a policy is loaded, so a
//! policy that asks for more than there may be is refused while somebody is looking.

use super::build::Builder;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, FileId};
use crate::program::{Counter, Counts};
use crate::schema::CounterMemory;
use crate::span::Span;
use crate::text::bytes;

/// How many of the largest counters a complaint names.
const NAMED_MAX: usize = 3;

impl Builder<'_> {
    /// Complains where all counters together take more than they may.
    pub(super) fn weigh_counters(&mut self) {
        let per = self.given.schema.counters;
        let mut all: Vec<(usize, Box<str>)> = self
            .program
            .counters
            .iter()
            .map(|counter| (weight(counter, &per), counter.name.clone()))
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
            "the counters of this policy take {}; the most is {}",
            bytes(sum),
            bytes(per.most)
        );
        self.complain(
            Diagnostic::error(Code::Memory, file, span, message)
                .label("the largest")
                .help(format!("give fewer `keys` to the largest: {}", largest.join(", "))),
        );
    }

    /// Where the limit, the track or the rule with a `throttle` stands that counts so.
    fn place_of_counter(&self, name: &str) -> Option<(FileId, Span)> {
        let rule = name.strip_suffix(".throttle").unwrap_or(name);
        let rule = self.program.rules.iter().find(|known| &*known.name == rule);
        rule.map(|rule| (rule.file, rule.span)).or_else(|| self.place("track", name))
    }
}

/// The memory of one counter; a track without `per` has a single key.
fn weight(counter: &Counter, per: &CounterMemory) -> usize {
    let (key, keys) = match counter.counts {
        Counts::Limit => (per.limit_key, counter.keys),
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
