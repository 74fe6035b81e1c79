//! Distinct values in a snapshot: single hashes, and registers without empty ones.

use super::{CardinalitySketch, EXACT_MAX, ExactSet, RANKS, REGISTERS, Registers, bit, union};
use crate::counters::sliding_window::cut_stays;
use crate::counters::table::Stored;
use crate::snapshot::{MappedTick, SnapshotDecoder, SnapshotEncoder};

/// Registers that share a byte of flags.
const MARKED: usize = 8;

impl ExactSet {
    /// Maps the values to another clock. If the border of buckets moves, all values count as
    /// current.
    fn moved(mut self, seen: MappedTick, overflowed: Option<MappedTick>) -> Self {
        self.overflowed = overflowed.map(|at| at.was);
        let overflows = self.is_overflowing();
        if !cut_stays(self.window_ms, seen) {
            self.current = self.taken;
        }
        self.seen = seen.is;
        self.overflowed = overflowed.map(|at| at.is);
        if overflows && !self.is_overflowing() {
            self.overflowed = Some(seen.is);
        }
        self
    }
}

impl Stored for ExactSet {
    fn store(&self, out: &mut SnapshotEncoder) {
        out.moment(self.seen);
        out.window(self.window_ms);
        out.number(u64::from(self.taken));
        out.number(u64::from(self.current));
        for (i, hash) in self.hashes.iter().enumerate() {
            if self.taken & bit(i) != 0 {
                out.raw(&hash.to_le_bytes());
            }
        }
        out.byte(u8::from(self.overflowed.is_some()));
        if let Some(at) = self.overflowed {
            out.moment(at);
        }
    }

    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self> {
        let (seen, window_ms) = (from.moment()?, from.window()?);
        let taken = u16::try_from(from.number()?).ok()?;
        let current = u16::try_from(from.number()?).ok()? & taken;
        let mut hashes = [0; EXACT_MAX];
        for (i, hash) in hashes.iter_mut().enumerate() {
            if taken & bit(i) != 0 {
                *hash = from.fixed()?;
            }
        }
        let overflowed = if from.byte()? == 0 { None } else { Some(from.moment()?) };
        let few = Self { seen: seen.was, window_ms, hashes, taken, current, overflowed: None };
        Some(few.moved(seen, overflowed))
    }
}

impl Stored for CardinalitySketch {
    fn store(&self, out: &mut SnapshotEncoder) {
        out.moment(self.seen);
        out.window(self.window_ms);
        store_registers(&self.before, out);
        store_registers(&self.current, out);
    }

    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self> {
        let (seen, window_ms) = (from.moment()?, from.window()?);
        let (before, current) = (load_registers(from)?, load_registers(from)?);
        let mut many = Self { seen: seen.is, window_ms, before, current };
        if !cut_stays(window_ms, seen) {
            many.current = union(&many.before, &many.current);
            many.before = [0; REGISTERS];
        }
        Some(many)
    }
}

fn store_registers(registers: &Registers, out: &mut SnapshotEncoder) {
    for eight in registers.chunks(MARKED) {
        let marks = eight.iter().rev().fold(0, |marks, n| (marks << 1) | u8::from(*n != 0));
        out.byte(marks);
        eight.iter().filter(|n| **n != 0).for_each(|n| out.byte(*n));
    }
}

fn load_registers(from: &mut SnapshotDecoder<'_>) -> Option<Registers> {
    let mut registers = [0; REGISTERS];
    for eight in registers.chunks_mut(MARKED) {
        let mut marks = from.byte()?;
        for register in eight {
            if marks & 1 != 0 {
                *register = from.byte().filter(|rank| usize::from(*rank) < RANKS)?;
            }
            marks >>= 1;
        }
    }
    Some(registers)
}
