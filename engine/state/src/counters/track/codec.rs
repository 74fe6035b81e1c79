//! A track in a snapshot: its sums or distinct values, and its heavy hitters.

use seawall_model::Tick;

use super::{Counts, TrackTable};
use crate::counters::table::Size;
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

/// Kinds of sections.
const ENTRIES: u8 = 1;
const REGISTERS: u8 = 2;
const HEAVY: u8 = 3;

impl TrackTable {
    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        match &self.shared.counts {
            Counts::Requests(requests) => out.section(ENTRIES, |out| requests.store(out)),
            Counts::Bytes(bytes) => out.section(ENTRIES, |out| bytes.store(out)),
            Counts::Distinct(distinct) => {
                out.section(ENTRIES, |out| distinct.few.store(out));
                out.section(REGISTERS, |out| distinct.many.store(out));
            }
        }
        if let Some(heavy) = &self.heavy {
            out.section(HEAVY, |out| heavy.store(out));
        }
    }

    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>, size: Size) -> Option<()> {
        while !from.is_at_end() {
            let (kind, section) = from.section()?;
            match (kind, &self.shared.counts, &self.heavy) {
                (ENTRIES, Counts::Requests(requests), _) => requests.load(section, size)?,
                (ENTRIES, Counts::Bytes(bytes), _) => bytes.load(section, size)?,
                (ENTRIES, Counts::Distinct(distinct), _) => distinct.few.load(section, size)?,
                (REGISTERS, Counts::Distinct(distinct), _) => distinct.many.load(section, size)?,
                (HEAVY, _, Some(heavy)) => heavy.load(section)?,
                _ => {}
            }
        }
        Some(())
    }

    pub(crate) fn is_used_since(&self, at: Tick) -> bool {
        match &self.shared.counts {
            Counts::Requests(requests) => requests.is_used_since(at),
            Counts::Bytes(bytes) => bytes.is_used_since(at),
            Counts::Distinct(distinct) => distinct.few.is_used_since(at),
        }
    }
}
