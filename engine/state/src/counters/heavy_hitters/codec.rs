//! Heavy hitters in a snapshot: both summaries.

use super::{HEAVY_KEYS_MAX, HeavyHitters, SpaceSaving, TrackedKey, WindowBuckets};
use crate::counters::sliding_window::cut_stays;
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

impl HeavyHitters {
    /// Writes both summaries. They are copied under the lock and written without it.
    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        let (seen, window_ms, summaries) = {
            let WindowBuckets { seen, window_ms, before, current } = &*self.0.lock();
            let copies = [before, current].map(|of| (of.total, of.hefts.clone()));
            (*seen, *window_ms, copies)
        };
        out.moment(seen);
        out.window(window_ms);
        for (total, hefts) in summaries {
            out.number(total);
            out.number(hefts.len() as u64);
            for heft in hefts {
                out.key(heft.key);
                out.number(heft.count);
                out.number(heft.error);
            }
        }
    }

    /// Restores the output of [`store`](Self::store). If the border between the buckets moves, only
    /// the current one is known, as after a change of the window.
    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>) -> Option<()> {
        let (seen, window_ms) = (from.moment()?, from.window()?);
        let (before, current) = (load_summary(&mut from)?, load_summary(&mut from)?);
        let before = if cut_stays(window_ms, seen) { before } else { SpaceSaving::new() };
        *self.0.lock() = WindowBuckets { seen: seen.is, window_ms, before, current };
        Some(())
    }
}

fn load_summary(from: &mut SnapshotDecoder<'_>) -> Option<SpaceSaving> {
    let mut summary = SpaceSaving::new();
    summary.total = from.number()?;
    let hefts = usize::try_from(from.number()?).ok().filter(|n| *n <= HEAVY_KEYS_MAX)?;
    for place in 0..hefts {
        let key = from.key()?;
        let (count, error) = (from.number()?, from.number()?);
        if summary.places.insert(key, place).is_some() {
            return None;
        }
        summary.hefts.push(TrackedKey { key, count, error });
    }
    Some(summary)
}
