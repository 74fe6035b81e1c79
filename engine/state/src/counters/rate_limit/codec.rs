//! A key of a limit in a snapshot: its window, its burst, and its last hold.

use std::sync::atomic::Ordering;

use seawall_model::Tick;

use super::{CheckAnswer, RateLimitEntry, RateLimitTable, parts};
use crate::counters::sliding_window::SlidingWindow;
use crate::counters::table::{Entry, EvictionClass, Size, Stored};
use crate::snapshot::{REMEMBERED_MS_MAX, SnapshotDecoder, SnapshotEncoder};

/// The kind of the only section.
const ENTRIES: u8 = 1;
/// Flags of an entry.
const HAS_HOLD: u8 = 1;
const IS_ANSWERED: u8 = 2;

impl RateLimitEntry {
    fn full(&self) -> u64 {
        u64::from(self.burst).saturating_mul(parts(self.window.window_ms()))
    }
}

impl Stored for RateLimitEntry {
    fn store(&self, out: &mut SnapshotEncoder) {
        let hold = if self.hold_ms > 0 { HAS_HOLD } else { 0 };
        let answered = if self.answered == CheckAnswer::Yes { IS_ANSWERED } else { 0 };
        out.byte(hold | answered);
        self.window.store(out);
        out.number(u64::from(self.burst));
        // The used part, because most bursts are full.
        out.number(self.full().saturating_sub(self.reserve));
        if self.hold_ms > 0 {
            out.moment(self.hold_began);
            out.number(self.hold_ms);
        }
    }

    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self> {
        let marks = from.byte()?;
        let window = SlidingWindow::load(from)?;
        let burst = u32::try_from(from.number()?).ok()?;
        let missing = from.number()?;
        let mut count = Self::unspent(window, burst);
        count.reserve = count.reserve.saturating_sub(missing);
        if marks & HAS_HOLD != 0 {
            count.hold_began = from.moment()?.is;
            count.hold_ms = from.number()?.min(REMEMBERED_MS_MAX);
        }
        if marks & IS_ANSWERED != 0 {
            count.answered = CheckAnswer::Yes;
        }
        Some(count)
    }

    /// Returns whether the entry has an effect. An ended hold still doubles the next one.
    fn is_missed(&self, now: Tick) -> bool {
        let doubles = self.hold_ms > 0 && now.since_ms(self.hold_began) <= REMEMBERED_MS_MAX;
        doubles || self.standing(now) != EvictionClass::Idle
    }
}

impl RateLimitTable {
    /// Returns the number of ended holds.
    pub(crate) fn lifts(&self) -> u64 {
        self.shared.lifts.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        out.section(ENTRIES, |out| self.shared.counts.store(out));
    }

    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>, size: Size) -> Option<()> {
        while !from.is_at_end() {
            let (kind, section) = from.section()?;
            if kind == ENTRIES {
                self.shared.counts.load(section, size)?;
            }
        }
        Some(())
    }

    pub(crate) fn is_used_since(&self, at: Tick) -> bool {
        self.shared.counts.is_used_since(at)
    }
}
