//! The memory of levels in a snapshot.

use std::sync::atomic::Ordering;

use super::{LEVEL_SITES_MAX, LevelMemory, Memory};
use crate::snapshot::{Reader, Writer};

/// Marks of a level.
const IS_ON: u8 = 1;
const HAS_SINCE: u8 = 2;
const HOLDS: u8 = 4;

impl LevelMemory {
    /// How often anything was changed.
    pub(crate) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, out: &mut Writer) {
        // Only the look once a second waits for this lock, no request.
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

    pub(crate) fn load(&self, mut from: Reader<'_>) -> Option<()> {
        let mut all = self.all.lock();
        while !from.is_at_end() {
            let (level, site, marks) = (from.text()?, from.text()?, from.byte()?);
            let since = match marks & HAS_SINCE {
                0 => None,
                _ => Some((marks & HOLDS != 0, from.moment()?.is)),
            };
            let sites = all.entry(level.into()).or_default();
            if sites.len() < LEVEL_SITES_MAX {
                sites.insert(site.into(), Memory { is_on: marks & IS_ON != 0, since });
            }
        }
        Some(())
    }
}
