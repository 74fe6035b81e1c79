//! Looks at the levels, and at the rules in quarantine, once a second and says what changed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Now;
use seawall_ruleset::{Handle, LEVEL_TICK_MS, LevelCause, LevelEvent, Live, Pulse};

use crate::quarantine::Lookout;
use crate::ticker::Ticker;

/// Looks now, for a generation that is in force or is about to be.
pub(crate) fn look(live: &Live, sites: &[Box<str>], now: &Now) {
    let sites: Vec<&str> = sites.iter().map(|site| &**site).collect();
    // Origins and processors are not measured yet: what rests on them is absent, and so not bad.
    for event in live.rules.tick(&live.state, &sites, &|_| Pulse::default(), now()) {
        log::warn!("{}", told(&event));
    }
}

fn told(event: &LevelEvent) -> String {
    let site = event.site.as_ref().map(|site| format!(" of {site}")).unwrap_or_default();
    let verb = match event.change {
        seawall_state::LevelChange::Entered => "entered",
        seawall_state::LevelChange::Left => "left",
    };
    match event.cause {
        LevelCause::Condition => format!("level {}{site} is {verb}", event.level),
        LevelCause::HandOver => {
            format!("level {}{site}, set by hand, is over: the conditions decide", event.level)
        }
    }
}

/// Looks every second until dropped.
///
/// # Errors
/// The system has no thread to give.
pub(crate) fn watch(
    handle: Arc<Handle>,
    sites: Vec<Box<str>>,
    now: Now,
    beats: Arc<AtomicU64>,
) -> io::Result<Ticker> {
    let mut lookout = Lookout::default();
    Ticker::every(LEVEL_TICK_MS, move || {
        beats.fetch_add(1, Relaxed);
        let live = handle.load();
        look(&live, &sites, &now);
        let at = now();
        let mut lines = lookout.look(&live.rules.extern_summaries(), at);
        lines.extend(lookout.look_at_members(&live.rules.part_summaries(), at));
        lines.extend(lookout.look_at_host(live.rules.out_of_fuel(), at));
        for line in lines {
            log::warn!("{line}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_with_its_site() {
        let event = |site: Option<&str>| LevelEvent {
            level: "attack".into(),
            site: site.map(Box::from),
            change: seawall_state::LevelChange::Entered,
            cause: LevelCause::Condition,
        };
        assert_eq!(told(&event(None)), "level attack is entered");
        assert_eq!(told(&event(Some("a.example"))), "level attack of a.example is entered");
        let over = LevelEvent { cause: LevelCause::HandOver, ..event(None) };
        assert!(told(&over).contains("set by hand, is over"));
    }
}
