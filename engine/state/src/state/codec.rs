//! A state in a snapshot: its secret, bans, levels, and each counter with its identity.

use std::collections::{HashMap, HashSet};

use seawall_model::Tick;

use super::{CarryOverReport, Counter, CounterShape, State, StateLimits, Table};
use crate::counters::table::Size;
use crate::counters::track::TrackKind;
use crate::key::Seed;
use crate::snapshot::{
    ChangeMark, REMEMBERED_MS_MAX, RestoreClock, RestoreReport, SNAPSHOT_BYTES_MAX, Snapshot,
    SnapshotDecoder, SnapshotEncoder, SnapshotError,
};
use crate::state::CounterSpec;

/// The version of the format.
const FORMAT: u8 = 2;
/// The first format, which is still readable: its tables contain whole keys.
const FORMAT_OF_WHOLE_KEYS: u8 = 1;
/// Kinds of sections.
const BANS: u8 = 1;
const LEVELS: u8 = 2;
const COUNTER: u8 = 3;
const BY_HAND: u8 = 4;
const EPOCH: u8 = 5;
const REGULARS: u8 = 6;
/// Milliseconds by which a request can be counted after its start. Use shortly before a mark counts
/// as use after it.
const LATE_MS: u64 = 1_000;

impl State {
    /// Returns the state at `now` as bytes. Requests continue meanwhile.
    #[must_use]
    pub fn snapshot(&self, now: Tick) -> Snapshot {
        let mut out = SnapshotEncoder::new(now, SNAPSHOT_BYTES_MAX);
        out.byte(FORMAT);
        out.raw(&now.0.to_le_bytes());
        out.raw(&self.seed.0);
        out.section(EPOCH, |out| out.number(self.epoch));
        out.section(BANS, |out| self.bans.store(out));
        out.section(LEVELS, |out| self.memory.store(out));
        out.section(BY_HAND, |out| self.by_hand.store(out));
        out.section(REGULARS, |out| self.regulars.store(out));
        let mut written = HashSet::new();
        for counter in &self.counters {
            // Requests in flight end with the server. Two specifications of one identity are one
            // counter.
            let lasts = counter.spec.shape != CounterShape::Concurrent;
            if lasts && written.insert(&*counter.spec.identity) {
                out.section(COUNTER, |out| counter.store(out));
            }
        }
        let SnapshotEncoder { bytes, entries, left_out, .. } = out;
        Snapshot { bytes, entries, left_out }
    }

    /// Returns a state for `specs` with the content of a snapshot.
    ///
    /// # Errors
    /// The bytes are not a valid snapshot. Then nothing is restored.
    pub fn restore(
        bytes: &[u8],
        specs: &[CounterSpec],
        limits: StateLimits,
        when: RestoreClock,
    ) -> Result<(Self, RestoreReport), SnapshotError> {
        let elapsed_ms = when.elapsed_ms.min(REMEMBERED_MS_MAX);
        let is = Tick(when.now.0.saturating_sub(elapsed_ms));
        let mut from = SnapshotDecoder::new(bytes, is, when.now);
        match from.byte() {
            Some(FORMAT) => {}
            Some(FORMAT_OF_WHOLE_KEYS) => from.has_whole_keys = true,
            Some(version) => return Err(SnapshotError::Version(version)),
            None => return Err(SnapshotError::Damaged),
        }
        restore(from, specs, limits).ok_or(SnapshotError::Damaged)
    }

    /// Returns a mark for [`is_changed_since`](Self::is_changed_since).
    #[must_use]
    pub fn mark(&self, now: Tick) -> ChangeMark {
        ChangeMark { at: Tick(now.0.saturating_sub(LATE_MS)), edits: self.edits() }
    }

    /// Returns whether a count, ban or level changed since `mark`.
    #[must_use]
    pub fn is_changed_since(&self, mark: &ChangeMark) -> bool {
        mark.edits != self.edits()
            || self.regulars.is_used_since(mark.at)
            || self.counters.iter().any(|counter| counter.used(mark.at))
    }

    fn edits(&self) -> u64 {
        let lifts = self.counters.iter().map(|counter| match &counter.table {
            Table::Limit(limit) => limit.lifts(),
            Table::Concurrent(_) | Table::Track(_) => 0,
        });
        let others = [self.epoch, self.bans.edits(), self.memory.edits(), self.by_hand.edits()];
        lifts.chain(others).fold(0, u64::wrapping_add)
    }
}

fn restore(
    mut from: SnapshotDecoder<'_>,
    specs: &[CounterSpec],
    limits: StateLimits,
) -> Option<(State, RestoreReport)> {
    from.was = Tick(from.fixed()?);
    let seed = Seed(from.raw(16)?.try_into().ok()?);
    let mut state = State::with_limits(seed, specs, limits);
    let mut restored = RestoreReport::default();
    let mut missing = places(specs);
    let ours = missing.clone();
    while !from.is_at_end() {
        let (kind, mut section) = from.section()?;
        match kind {
            EPOCH => state.epoch = section.number()?,
            BANS => restored.bans = state.bans.load(section)?,
            LEVELS => state.memory.load(section)?,
            BY_HAND => state.by_hand.load(section)?,
            REGULARS => state.regulars.load(section)?,
            COUNTER => {
                let identity = state.load_counter(section, &ours, &mut restored.counters)?;
                missing.remove(identity);
            }
            _ => {}
        }
    }
    let mut new: Vec<usize> = missing.into_values().collect();
    new.sort_unstable();
    let name = |place| specs.get(place).map(|spec: &CounterSpec| spec.name.clone());
    restored.counters.new = new.into_iter().filter_map(name).collect();
    Some((state, restored))
}

/// Returns the first position of each identity.
fn places(specs: &[CounterSpec]) -> HashMap<&str, usize> {
    specs.iter().enumerate().rev().map(|(place, spec)| (&*spec.identity, place)).collect()
}

impl State {
    /// Restores a counter if it is one of `ours`. Returns its identity.
    fn load_counter<'b>(
        &self,
        mut from: SnapshotDecoder<'b>,
        ours: &HashMap<&str, usize>,
        report: &mut CarryOverReport,
    ) -> Option<&'b str> {
        let (identity, name) = (from.text()?, from.text()?);
        let (shape, keys) = (from.byte()?, from.number()?);
        from.usual_ms = from.fixed()?;
        let found = ours.get(identity).and_then(|place| self.counters.get(*place));
        let same_kind = |counter: &&Counter| shape_byte(counter.spec.shape) == shape;
        let Some(counter) = found.filter(same_kind) else {
            report.removed.push(name.into());
            return Some(identity);
        };
        let size = if counter.spec.keys() as u64 == keys { Size::Same } else { Size::Other };
        let same = size == Size::Same && counter.spec.window_ms == from.usual_ms;
        let names = if same { &mut report.kept } else { &mut report.rescaled };
        names.push(counter.spec.name.clone());
        match &counter.table {
            Table::Limit(limit) => limit.load(from, size)?,
            Table::Concurrent(_) => {}
            Table::Track(track) => track.load(from, size)?,
        }
        Some(identity)
    }
}

impl Counter {
    fn store(&self, out: &mut SnapshotEncoder) {
        out.text(&self.spec.identity);
        out.text(&self.spec.name);
        out.byte(shape_byte(self.spec.shape));
        out.number(self.spec.keys() as u64);
        out.raw(&self.spec.window_ms.to_le_bytes());
        out.usual_ms = self.spec.window_ms;
        match &self.table {
            Table::Limit(limit) => limit.store(out),
            Table::Concurrent(_) => {}
            Table::Track(track) => track.store(out),
        }
    }

    fn used(&self, since: Tick) -> bool {
        match &self.table {
            Table::Limit(limit) => limit.is_used_since(since),
            Table::Concurrent(_) => false,
            Table::Track(track) => track.is_used_since(since),
        }
    }
}

/// Returns what a counter counts; `heavy` and `keyed` may change.
const fn shape_byte(shape: CounterShape) -> u8 {
    match shape {
        CounterShape::Limit => 0,
        CounterShape::Concurrent => 4,
        CounterShape::Track { counted: TrackKind::Requests, .. } => 1,
        CounterShape::Track { counted: TrackKind::Bytes, .. } => 2,
        CounterShape::Track { counted: TrackKind::Distinct, .. } => 3,
    }
}

#[cfg(test)]
mod tests;
