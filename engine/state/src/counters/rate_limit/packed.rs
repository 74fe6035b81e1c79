//! A packed key of a limit: 44 bytes.
//!
//! Nothing is lost: the window as in [`PackedRequests`], the burst with all its parts, and both
//! ends of a hold to the millisecond. A hold has 32 bits (49 days); the longest of the language is
//! 30 days.

use seawall_model::Tick;

use super::{CheckAnswer, Penalty, Rate, RateLimitEntry};
use crate::counters::sliding_window::{PackedRequests, TABLE_COUNT_MAX, TABLE_WINDOW_MS_MAX};
use crate::counters::table::PackedEntry;

/// Longest hold of a table, in milliseconds. A longer hold is cut to this length.
pub const TABLE_HOLD_MS_MAX: u64 = u32::MAX as u64;

/// The bit beside the trigger of a hold that stores whether a newer pass was presented.
const ANSWERED_BITS: u32 = 1;

/// One key of a limit.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed(4))]
pub(crate) struct PackedCount {
    window: PackedRequests,
    reserve: u64,
    /// The trigger of the last hold, and whether a newer pass was presented.
    began_and_answered: u64,
    hold_ms: u32,
    burst: u32,
}

impl PackedEntry for PackedCount {
    type Entry = RateLimitEntry;

    fn pack(count: RateLimitEntry) -> Self {
        let answered = u64::from(count.answered == CheckAnswer::Yes);
        let began = count.hold_began.0.min(u64::MAX >> ANSWERED_BITS);
        Self {
            window: PackedRequests::of(&count.window),
            reserve: count.reserve,
            began_and_answered: (began << ANSWERED_BITS) | answered,
            hold_ms: u32::try_from(count.hold_ms).unwrap_or(u32::MAX),
            burst: count.burst,
        }
    }

    fn unpack(&self) -> RateLimitEntry {
        let both = self.began_and_answered;
        let window = self.window;
        RateLimitEntry {
            window: window.window(),
            reserve: self.reserve,
            hold_began: Tick(both >> ANSWERED_BITS),
            hold_ms: u64::from(self.hold_ms),
            burst: self.burst,
            answered: if both & 1 == 0 { CheckAnswer::No } else { CheckAnswer::Yes },
        }
    }
}

impl Rate {
    /// Returns the rate within the bounds of a table. Values beyond the bounds are cut to them, so
    /// that no count ends below its rate.
    pub(super) fn bounded(&self) -> Self {
        Self {
            n: self.n.min(TABLE_COUNT_MAX),
            window_ms: self.window_ms.min(TABLE_WINDOW_MS_MAX),
            burst: self.burst,
        }
    }
}

impl Penalty {
    /// Returns the hold within the bounds of a table.
    pub(super) fn bounded(&self) -> Self {
        Self {
            for_ms: self.for_ms.min(TABLE_HOLD_MS_MAX),
            doubling_to_ms: self.doubling_to_ms.map(|most_ms| most_ms.min(TABLE_HOLD_MS_MAX)),
        }
    }
}
