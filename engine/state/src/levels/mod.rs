//! The state of levels.
//!
//! The condition of a level is evaluated once a second, elsewhere. This module derives the state: a
//! level is entered when its condition has held without interruption for `sustained`. It is left
//! when the condition has not held for `leave after`. Neither a short peak nor a pause of the
//! attack therefore changes the level.
//!
//! The state belongs to level names and survives generations. The number of the active level
//! belongs to one generation, because numbers have no meaning in another.

mod codec;
pub(crate) mod manual;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use seawall_model::Tick;

/// Most sites with a state of their own. Sites are configured, so a client cannot add any.
pub const LEVEL_SITES_MAX: usize = 100_000;

/// The durations of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelTiming {
    /// Milliseconds for which the condition must hold before the level is entered.
    pub sustained_ms: u64,
    /// Milliseconds for which it must not hold before the level is left.
    pub leave_after_ms: u64,
}

/// The change of a level by one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelChange {
    /// The level was entered.
    Entered,
    /// The level was left.
    Left,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LevelState {
    is_on: bool,
    /// The last value of the condition, and the time since which it has this value.
    since: Option<(bool, Tick)>,
}

impl LevelState {
    fn look(&mut self, holds: bool, terms: &LevelTiming, now: Tick) -> Option<LevelChange> {
        let since = match self.since {
            Some((same, since)) if same == holds => since,
            _ => now,
        };
        self.since = Some((holds, since));
        let lasted_ms = now.since_ms(since);
        let (is_on, change) = match holds {
            true if lasted_ms >= terms.sustained_ms => (true, LevelChange::Entered),
            false if lasted_ms >= terms.leave_after_ms => (false, LevelChange::Left),
            _ => return None,
        };
        let changed = self.is_on != is_on;
        self.is_on = is_on;
        changed.then_some(change)
    }
}

/// The state of one level, by site.
type LevelStateBySite = HashMap<Box<str>, LevelState>;

/// The state of all levels: by level, then by site; the empty name stands for the server.
#[derive(Debug, Default)]
pub(crate) struct LevelStates {
    all: Mutex<HashMap<Box<str>, LevelStateBySite>>,
    /// Number of changes.
    edits: AtomicU64,
}

impl LevelStates {
    /// Updates a level of a site with the value of its condition. Returns whether the level is
    /// active, and the change.
    pub(crate) fn look(
        &self,
        (level, site): (&str, &str),
        holds: bool,
        terms: &LevelTiming,
        now: Tick,
    ) -> (bool, Option<LevelChange>) {
        let mut all = self.all.lock();
        let sites = all.entry(level.into()).or_default();
        if sites.len() >= LEVEL_SITES_MAX && !sites.contains_key(site) {
            return (false, None);
        }
        let memory = sites.entry(site.into()).or_default();
        let before = *memory;
        let change = memory.look(holds, terms, now);
        if *memory != before {
            self.edits.fetch_add(1, Ordering::Relaxed);
        }
        (memory.is_on, change)
    }
}

/// The active levels, as numbers of one generation.
#[derive(Debug, Default)]
pub(crate) struct ActiveLevels {
    host: AtomicU16,
    sites: RwLock<HashMap<Box<str>, u16>>,
    has_sites: AtomicU16,
}

impl ActiveLevels {
    pub(crate) fn set_host(&self, level: u16) {
        self.host.store(level, Ordering::Relaxed);
    }

    pub(crate) fn set_site(&self, site: &str, level: u16) {
        let mut sites = self.sites.write();
        if level == 0 {
            sites.remove(site);
        } else if sites.len() < LEVEL_SITES_MAX || sites.contains_key(site) {
            sites.insert(site.into(), level);
        }
        self.has_sites.store(u16::from(!sites.is_empty()), Ordering::Relaxed);
    }

    /// Returns the higher one of the server's level and the site's level.
    pub(crate) fn of(&self, site: &str) -> u16 {
        let host = self.host.load(Ordering::Relaxed);
        if self.has_sites.load(Ordering::Relaxed) == 0 {
            return host;
        }
        host.max(self.sites.read().get(site).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: LevelTiming = LevelTiming { sustained_ms: 20_000, leave_after_ms: 600_000 };

    fn look(memory: &mut LevelState, holds: bool, second: u64) -> Option<LevelChange> {
        memory.look(holds, &TERMS, Tick(second * 1_000))
    }

    #[test]
    fn a_level_is_entered_when_its_condition_lasts() {
        let mut memory = LevelState::default();
        assert_eq!(look(&mut memory, true, 0), None);
        assert_eq!(look(&mut memory, true, 19), None);
        assert_eq!(look(&mut memory, true, 20), Some(LevelChange::Entered));
        assert_eq!(look(&mut memory, true, 21), None);
    }

    #[test]
    fn a_break_starts_the_waiting_over() {
        let mut memory = LevelState::default();
        look(&mut memory, true, 0);
        look(&mut memory, false, 19);
        assert_eq!(look(&mut memory, true, 20), None);
        assert_eq!(look(&mut memory, true, 40), Some(LevelChange::Entered));
    }

    #[test]
    fn a_pause_for_breath_does_not_end_it() {
        let mut memory = LevelState::default();
        look(&mut memory, true, 0);
        look(&mut memory, true, 20);
        assert_eq!(look(&mut memory, false, 30), None);
        assert_eq!(look(&mut memory, true, 629), None);
        assert_eq!(look(&mut memory, false, 630), None);
        assert_eq!(look(&mut memory, false, 1_229), None);
        assert_eq!(look(&mut memory, false, 1_230), Some(LevelChange::Left));
    }

    #[test]
    fn without_terms_a_level_follows_its_condition() {
        let terms = LevelTiming { sustained_ms: 0, leave_after_ms: 0 };
        let mut memory = LevelState::default();
        assert_eq!(memory.look(true, &terms, Tick(1)), Some(LevelChange::Entered));
        assert_eq!(memory.look(false, &terms, Tick(2)), Some(LevelChange::Left));
    }

    #[test]
    fn the_worse_of_host_and_site_holds() {
        let now = ActiveLevels::default();
        now.set_host(1);
        now.set_site("a", 2);
        assert_eq!((now.of("a"), now.of("b")), (2, 1));
        now.set_site("a", 0);
        assert_eq!(now.of("a"), 1);
    }
}
