//! A window in a snapshot.
//!
//! Buckets are aligned to the clock. A clock that differs by other than whole windows moves the
//! border between them. A small difference (the few milliseconds of a restart) moves the border
//! only. A larger one moves all counts to the current bucket, so that they count a little longer.
//! In both cases the window has no lower count when it is read.

use super::{SlidingWindow, elapsed_ms, scale_up};
use crate::counters::table::Stored;
use crate::snapshot::{MappedTick, SnapshotDecoder, SnapshotEncoder};

/// The part of a window by which its border can move while the buckets stay.
const DRIFT_PARTS: u64 = 16;

/// Returns whether the buckets can stay: the border has hardly moved.
pub(crate) fn cut_stays(window_ms: u64, seen: MappedTick) -> bool {
    let [was, is] = [seen.was, seen.is].map(|at| elapsed_ms(window_ms, at));
    was.abs_diff(is) <= window_ms / DRIFT_PARTS
}

impl SlidingWindow {
    /// Maps the window to another clock.
    fn moved(self, seen: MappedTick) -> Self {
        let is = Self { seen: seen.is, ..self };
        if !cut_stays(self.window_ms, seen) {
            return Self { before: 0, current: self.sum(), ..is };
        }
        let faded_ms = is.elapsed_ms().saturating_sub(self.elapsed_ms());
        let faded = scale_up(self.before, faded_ms, self.window_ms);
        Self { current: self.current.saturating_add(faded), ..is }
    }
}

impl Stored for SlidingWindow {
    fn store(&self, out: &mut SnapshotEncoder) {
        out.moment(self.seen);
        out.window(self.window_ms);
        out.number(self.before);
        out.number(self.current);
    }

    fn load(from: &mut SnapshotDecoder<'_>) -> Option<Self> {
        let (seen, window_ms) = (from.moment()?, from.window()?);
        let (before, current) = (from.number()?, from.number()?);
        Some(Self { seen: seen.was, window_ms, before, current }.moved(seen))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use seawall_model::Tick;

    use super::*;

    proptest! {
        #[test]
        fn another_clock_holds_no_less_and_little_more(
            window_ms in 1_u64..100_000, before in 0_u64..10_000, current in 0_u64..10_000,
            was in 0_u64..10_000_000, is in 0_u64..10_000_000,
        ) {
            let window = SlidingWindow { seen: Tick(was), window_ms, before, current };
            let moved = window.moved(MappedTick { was: Tick(was), is: Tick(is) });
            prop_assert_eq!(moved.seen, Tick(is));
            prop_assert!(moved.sum() >= window.sum());
            prop_assert!(moved.sum() <= window.sum() + before / DRIFT_PARTS + 2);
        }

        #[test]
        fn a_clock_that_differs_by_whole_windows_changes_nothing(
            window_ms in 1_u64..100_000, before in any::<u64>(), current in any::<u64>(),
            was in 0_u64..10_000_000, windows in 0_u64..100,
        ) {
            let window = SlidingWindow { seen: Tick(was), window_ms, before, current };
            let is = Tick(was + windows * window_ms);
            let moved = window.moved(MappedTick { was: Tick(was), is });
            prop_assert_eq!(moved, SlidingWindow { seen: is, ..window });
        }
    }
}
