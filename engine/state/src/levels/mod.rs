//! How bad it is right now: the memory of levels.
//!
//! Whether a level's condition holds is asked once a second and answered elsewhere; here is what
//! makes a level of that: it is entered when the condition has held without a break for
//! `sustained`, and left when it has not held for `leave after`. So a level neither flickers with a
//! spike nor ends because an attacker pauses for breath.
//!
//! The memory belongs to level names and outlives generations; the number of the level in force is
//! one generation's, since a number means nothing in another.

mod codec;
pub(crate) mod manual;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use seawall_model::Tick;

/// The most sites whose levels are remembered apart. Sites are configured, not asked for, so a
/// stranger cannot add any.
pub const LEVEL_SITES_MAX: usize = 100_000;

/// What makes a level of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelTiming {
    /// For how long the condition must hold before the level is entered.
    pub sustained_ms: u64,
    /// For how long it must not hold before the level is left.
    pub leave_after_ms: u64,
}

/// What one look at a level changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelChange {
    /// It was entered.
    Entered,
    /// It was left.
    Left,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct LevelState {
    is_on: bool,
    /// Since when the condition has been as it is.
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

/// The memory of one level.
type LevelStateBySite = HashMap<Box<str>, LevelState>;

/// The memory of all levels: by level, then by site; the host's own has the empty site.
#[derive(Debug, Default)]
pub(crate) struct LevelStates {
    all: Mutex<HashMap<Box<str>, LevelStateBySite>>,
    /// How often anything was changed.
    edits: AtomicU64,
}

impl LevelStates {
    /// Takes in whether a level's condition holds for a site, and says whether the level is on and
    /// what that changed.
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

/// The levels in force, as numbers of one generation.
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

    /// The worse of the host's level and the site's.
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
