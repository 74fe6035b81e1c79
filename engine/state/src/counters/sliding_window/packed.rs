//! A packed window: 20 bytes for counts of requests, 28 for counts of bytes.
//!
//! The omitted bits are never needed. A tick needs 41 bits until the year 2039 and has 48, which
//! last until the year 10889. A window needs 30 bits, because the longest of the language is a
//! week. 41 bits count 3.6 million requests a second for a week. A value beyond these bounds is cut
//! to the bound.

use seawall_model::Tick;

use super::SlidingWindow;
use crate::counters::table::PackedEntry;

const TICK_BITS: u32 = 48;
const WINDOW_BITS: u32 = 30;
const COUNT_BITS: u32 = 41;

/// The last tick that a table can store.
const TICK_MAX: Tick = Tick(mask(TICK_BITS));

/// Longest window of a table, in milliseconds (12 days). A longer window is cut to this length.
pub const TABLE_WINDOW_MS_MAX: u64 = mask(WINDOW_BITS);

/// Most requests that a table counts in one bucket of a window. A higher limit admits this number.
/// The language allows at most a billion.
pub const TABLE_COUNT_MAX: u64 = mask(COUNT_BITS);

/// Bits of the window's length that are stored with the tick.
const WINDOW_LOW_BITS: u32 = u64::BITS - TICK_BITS;
/// Bits of the current count that are stored with the previous one.
const CURRENT_LOW_BITS: u32 = u64::BITS - COUNT_BITS;
/// The other bits of the current count, which are stored with those of the window.
const CURRENT_HIGH_BITS: u32 = COUNT_BITS - CURRENT_LOW_BITS;

// The other bits of the window and of the current count fill the last word.
const _: () = assert!(WINDOW_BITS - WINDOW_LOW_BITS + CURRENT_HIGH_BITS == u32::BITS);

const fn mask(bits: u32) -> u64 {
    1_u64.wrapping_shl(bits).wrapping_sub(1)
}

/// A window that counts requests.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed(4))]
pub(crate) struct PackedRequests {
    /// The tick, and the low bits of the window.
    seen_and_window: u64,
    /// The previous bucket, and the low bits of the current one.
    before_and_current: u64,
    /// The high bits of the window and those of the current bucket.
    rest: u32,
}

/// A window that counts bytes, whose sums need all 64 bits.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed(4))]
pub(crate) struct PackedBytes {
    seen_and_window: u64,
    before: u64,
    current: u64,
    window_high: u32,
}

const fn at_most(value: u64, most: u64) -> u64 {
    if value < most { value } else { most }
}

/// Returns the tick with the low bits of the window, and the high bits of the window.
const fn pack_time(window: &SlidingWindow) -> (u64, u64) {
    let seen = at_most(window.seen.0, TICK_MAX.0);
    let length = at_most(window.window_ms, TABLE_WINDOW_MS_MAX);
    let low = (seen << WINDOW_LOW_BITS) | (length & mask(WINDOW_LOW_BITS));
    (low, length >> WINDOW_LOW_BITS)
}

/// Returns the tick and the length of the window.
const fn unpack_time(low: u64, high: u64) -> (Tick, u64) {
    let length = (high << WINDOW_LOW_BITS) | (low & mask(WINDOW_LOW_BITS));
    // An unused slot contains zeros; a window is never 0.
    (Tick(low >> WINDOW_LOW_BITS), if length == 0 { 1 } else { length })
}

impl PackedRequests {
    pub(crate) const fn of(window: &SlidingWindow) -> Self {
        let (seen_and_window, window_high) = pack_time(window);
        let before = at_most(window.before, TABLE_COUNT_MAX);
        let current = at_most(window.current, TABLE_COUNT_MAX);
        Self {
            seen_and_window,
            before_and_current: (before << CURRENT_LOW_BITS) | (current & mask(CURRENT_LOW_BITS)),
            // INVARIANT: both parts together have 32 bits, as is asserted above.
            rest: ((window_high << CURRENT_HIGH_BITS) | (current >> CURRENT_LOW_BITS)) as u32,
        }
    }

    pub(crate) const fn window(self) -> SlidingWindow {
        let rest = self.rest as u64;
        let (seen, window_ms) = unpack_time(self.seen_and_window, rest >> CURRENT_HIGH_BITS);
        let both = self.before_and_current;
        let high = rest & mask(CURRENT_HIGH_BITS);
        let current = (high << CURRENT_LOW_BITS) | (both & mask(CURRENT_LOW_BITS));
        SlidingWindow { seen, window_ms, before: both >> CURRENT_LOW_BITS, current }
    }
}

impl PackedEntry for PackedRequests {
    type Entry = SlidingWindow;

    fn pack(window: SlidingWindow) -> Self {
        Self::of(&window)
    }

    fn unpack(&self) -> SlidingWindow {
        self.window()
    }
}

impl PackedEntry for PackedBytes {
    type Entry = SlidingWindow;

    fn pack(window: SlidingWindow) -> Self {
        let (seen_and_window, window_high) = pack_time(&window);
        let SlidingWindow { before, current, .. } = window;
        // INVARIANT: the high bits of a window are fewer than 32.
        Self { seen_and_window, before, current, window_high: window_high as u32 }
    }

    fn unpack(&self) -> SlidingWindow {
        let (seen, window_ms) = unpack_time(self.seen_and_window, u64::from(self.window_high));
        SlidingWindow { seen, window_ms, before: self.before, current: self.current }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates a number up to `most`, with its bounds more often than by chance.
    fn up_to(most: u64) -> impl Strategy<Value = u64> {
        prop_oneof![2 => 0..=most, 1 => Just(0), 1 => most - 1..=most]
    }

    fn times() -> impl Strategy<Value = (Tick, u64)> {
        (up_to(TICK_MAX.0).prop_map(Tick), up_to(TABLE_WINDOW_MS_MAX).prop_map(|ms| ms.max(1)))
    }

    #[test]
    fn forms_have_their_bytes_and_room_for_the_language() {
        assert_eq!((size_of::<PackedRequests>(), size_of::<PackedBytes>()), (20, 28));
        let week_ms = 7 * 86_400_000;
        assert!(TABLE_WINDOW_MS_MAX >= week_ms);
        assert!(TABLE_COUNT_MAX / (week_ms / 1_000) >= 3_600_000);
        let year_ms = 365 * 86_400_000 + 86_400_000 / 4;
        assert_eq!(1970 + TICK_MAX.0 / year_ms, 10_889);
    }

    #[test]
    fn what_is_beyond_its_room_fills_it_and_nothing_else() {
        let most = u64::MAX;
        let window =
            SlidingWindow { seen: Tick(most), window_ms: most, before: most, current: most };
        let (seen, window_ms) = (TICK_MAX, TABLE_WINDOW_MS_MAX);
        let full =
            SlidingWindow { seen, window_ms, before: TABLE_COUNT_MAX, current: TABLE_COUNT_MAX };
        assert_eq!(PackedRequests::pack(window).unpack(), full);
        let full = SlidingWindow { before: most, current: most, ..full };
        assert_eq!(PackedBytes::pack(window).unpack(), full);
        let window = SlidingWindow { seen: Tick(0), window_ms: 1, before: 0, current: most };
        let full = SlidingWindow { current: TABLE_COUNT_MAX, ..window };
        assert_eq!(PackedRequests::pack(window).unpack(), full);
    }

    proptest! {
        #[test]
        fn requests_are_packed_without_loss(
            (seen, window_ms) in times(), before in up_to(TABLE_COUNT_MAX),
            current in up_to(TABLE_COUNT_MAX),
        ) {
            let window = SlidingWindow { seen, window_ms, before, current };
            prop_assert_eq!(PackedRequests::pack(window).unpack(), window);
        }

        #[test]
        fn bytes_are_packed_without_loss(
            (seen, window_ms) in times(), before in up_to(u64::MAX), current in up_to(u64::MAX),
        ) {
            let window = SlidingWindow { seen, window_ms, before, current };
            prop_assert_eq!(PackedBytes::pack(window).unpack(), window);
        }
    }
}
