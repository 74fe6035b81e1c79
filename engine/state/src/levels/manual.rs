//! Manual levels: set by an operator until a time, for all sites or for one site.
//!
//! They are stored by name and not by number, because an edited policy numbers its levels anew.
//! There is at most one for all sites and one for each site.

mod codec;

use std::collections::HashMap;

use parking_lot::Mutex;
use seawall_model::Tick;

use crate::levels::LEVEL_SITES_MAX;

/// A manual level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualLevel {
    /// Its name; `normal` is valid.
    pub level: Box<str>,
    /// The time at which it ends.
    pub until: Tick,
}

/// By site; the empty name stands for all sites.
#[derive(Debug, Default)]
pub(crate) struct ManualLevels(Mutex<HashMap<Box<str>, ManualLevel>>);

impl ManualLevels {
    /// Sets a manual level. Returns whether there was space for it.
    pub(crate) fn set(&self, site: &str, held: ManualLevel) -> bool {
        let mut all = self.0.lock();
        let has_room = all.len() <= LEVEL_SITES_MAX || all.contains_key(site);
        if has_room {
            all.insert(site.into(), held);
        }
        has_room
    }

    /// Removes a manual level. Returns whether it existed.
    pub(crate) fn end(&self, site: &str) -> bool {
        self.0.lock().remove(site).is_some()
    }

    pub(crate) fn of(&self, site: &str, now: Tick) -> Option<ManualLevel> {
        self.0.lock().get(site).filter(|held| now < held.until).cloned()
    }

    /// Returns the sites with a manual level, with ended ones.
    pub(crate) fn sites(&self) -> Vec<Box<str>> {
        self.0.lock().keys().filter(|site| !site.is_empty()).cloned().collect()
    }

    /// Removes and returns the ended manual levels.
    pub(crate) fn drop_ended(&self, now: Tick) -> Vec<(Box<str>, ManualLevel)> {
        let mut all = self.0.lock();
        let ended: Vec<_> = all
            .iter()
            .filter(|(_, held)| now >= held.until)
            .map(|(site, held)| (site.clone(), held.clone()))
            .collect();
        all.retain(|_, held| now < held.until);
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(level: &str, ms: u64) -> ManualLevel {
        ManualLevel { level: level.into(), until: Tick(ms) }
    }

    #[test]
    fn what_is_set_holds_until_its_time_and_is_told_once() {
        let by_hand = ManualLevels::default();
        assert!(by_hand.set("", held("attack", 100)) && by_hand.set("a", held("normal", 50)));
        assert_eq!(by_hand.of("a", Tick(49)), Some(held("normal", 50)));
        assert_eq!(by_hand.of("a", Tick(50)), None);
        assert_eq!(by_hand.of("b", Tick(0)), None);
        assert_eq!(by_hand.sites(), [Box::from("a")]);
        assert_eq!(by_hand.drop_ended(Tick(50)), [("a".into(), held("normal", 50))]);
        assert!(by_hand.drop_ended(Tick(50)).is_empty());
        assert!(by_hand.end("") && !by_hand.end(""));
        assert_eq!(by_hand.of("", Tick(0)), None);
    }
}
