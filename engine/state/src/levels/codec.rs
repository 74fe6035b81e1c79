//! The state of levels in a snapshot.

use std::sync::atomic::Ordering;

use super::{LEVEL_SITES_MAX, LevelState, LevelStates};
use crate::snapshot::{SnapshotDecoder, SnapshotEncoder};

/// Most levels that are read from a snapshot; more than any policy has.
pub(crate) const LEVELS_RESTORED_MAX: usize = 1_024;
/// Flags of a level.
const IS_ON: u8 = 1;
const HAS_SINCE: u8 = 2;
const HOLDS: u8 = 4;

impl LevelStates {
    /// Returns the number of changes so far.
    pub(crate) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        // Only the evaluation once a second waits for this lock, no request.
        for (level, sites) in &*self.all.lock() {
            for (site, memory) in sites {
                out.text(level);
                out.text(site);
                let on = if memory.is_on { IS_ON } else { 0 };
                let since = match memory.since {
                    Some((true, _)) => HAS_SINCE | HOLDS,
                    Some((false, _)) => HAS_SINCE,
                    None => 0,
                };
                out.byte(on | since);
                if let Some((_, since)) = memory.since {
                    out.moment(since);
                }
            }
        }
    }

    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>) -> Option<()> {
        let mut all = self.all.lock();
        while !from.is_at_end() {
            let (level, site, marks) = (from.text()?, from.text()?, from.byte()?);
            let since = match marks & HAS_SINCE {
                0 => None,
                _ => Some((marks & HOLDS != 0, from.moment()?.is)),
            };
            if all.len() >= LEVELS_RESTORED_MAX && !all.contains_key(level) {
                continue;
            }
            let sites = all.entry(level.into()).or_default();
            if sites.len() < LEVEL_SITES_MAX {
                sites.insert(site.into(), LevelState { is_on: marks & IS_ON != 0, since });
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use seawall_model::Tick;

    use super::*;

    #[test]
    fn no_more_levels_are_taken_than_the_limit() {
        let levels = LevelStates::default();
        let terms = super::super::LevelTiming { sustained_ms: 0, leave_after_ms: 0 };
        for n in 0..=LEVELS_RESTORED_MAX {
            levels.look((&format!("level-{n}"), ""), true, &terms, Tick(5));
        }
        let mut out = SnapshotEncoder::new(Tick(5), 1 << 20);
        levels.store(&mut out);
        let again = LevelStates::default();
        again.load(SnapshotDecoder::new(&out.bytes, Tick(5), Tick(5))).unwrap();
        assert_eq!(again.all.lock().len(), LEVELS_RESTORED_MAX);
    }
}
