//! Manual levels in a snapshot.

use super::{ManualLevel, ManualLevels};
use crate::snapshot::{REMEMBERED_MS_MAX, SnapshotDecoder, SnapshotEncoder};

impl ManualLevels {
    /// Returns a number that differs after any change.
    pub(crate) fn edits(&self) -> u64 {
        let all = self.0.lock();
        all.values().fold(all.len() as u64, |sum, held| sum.wrapping_add(held.until.0))
    }

    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        for (site, ManualLevel { level, until }) in &*self.0.lock() {
            out.text(site);
            out.text(level);
            out.near(until.0, out.at.0);
        }
    }

    /// Restores the levels that have not ended.
    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>) -> Option<()> {
        while !from.is_at_end() {
            let (site, level) = (from.text()?, from.text()?);
            let left_ms = from.near(from.was.0)?.saturating_sub(from.was.0).min(REMEMBERED_MS_MAX);
            let until = from.is.plus_ms(left_ms);
            if until > from.now {
                // A level without space is dropped.
                let _set = self.set(site, ManualLevel { level: level.into(), until });
            }
        }
        Some(())
    }
}
