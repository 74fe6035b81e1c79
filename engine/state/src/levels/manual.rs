//! Levels that a person set, for the host or for one site, until a time.
//!
//! By name and not by number, since a policy that is edited meanwhile numbers its levels anew. One
//! for the host and one for each site at most, so there are no more than sites.

mod codec;

use std::collections::HashMap;

use parking_lot::Mutex;
use seawall_model::Tick;

use crate::levels::LEVEL_SITES_MAX;

/// A level that a person set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualLevel {
    /// Its name; `normal` is one too.
    pub level: Box<str>,
    /// Until when it holds.
    pub until: Tick,
}

/// By site; the host's own has the empty name.
#[derive(Debug, Default)]
pub(crate) struct ManualLevels(Mutex<HashMap<Box<str>, ManualLevel>>);

impl ManualLevels {
    /// Whether there was room for it.
    pub(crate) fn set(&self, site: &str, held: ManualLevel) -> bool {
        let mut all = self.0.lock();
        let has_room = all.len() <= LEVEL_SITES_MAX || all.contains_key(site);
        if has_room {
            all.insert(site.into(), held);
        }
        has_room
    }

    /// Whether there was one.
    pub(crate) fn end(&self, site: &str) -> bool {
        self.0.lock().remove(site).is_some()
    }

    pub(crate) fn of(&self, site: &str, now: Tick) -> Option<ManualLevel> {
        self.0.lock().get(site).filter(|held| now < held.until).cloned()
    }

    /// The sites for which one was set, those whose time is over too.
    pub(crate) fn sites(&self) -> Vec<Box<str>> {
        self.0.lock().keys().filter(|site| !site.is_empty()).cloned().collect()
    }

    /// Forgets those whose time is over, and says whose they were.
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
