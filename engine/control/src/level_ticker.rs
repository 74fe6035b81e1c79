//! Evaluates the levels, and checks rules in quarantine, once a second, and logs changes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use seawall_model::Now;
use seawall_ruleset::{
    ActiveGeneration, LEVEL_TICK_MS, LevelCause, LevelEvent, LevelInputs, RuleSetHandle,
};

use crate::observe::quarantine_log::QuarantineLog;
use crate::util::periodic_task::PeriodicTask;

/// Returns the inputs of levels besides counters, of a site by its name, or of the whole server.
pub type LevelInputsFn = Arc<dyn Fn(Option<&str>) -> LevelInputs + Send + Sync>;

/// The levels and their inputs.
#[derive(Clone)]
pub(crate) struct Levels {
    pub(crate) sites: Vec<Box<str>>,
    pub(crate) inputs: LevelInputsFn,
    pub(crate) now: Now,
}

impl Levels {
    /// Evaluates now, for a generation that is active or about to be.
    pub(crate) fn evaluate(&self, live: &ActiveGeneration) {
        let sites: Vec<&str> = self.sites.iter().map(|site| &**site).collect();
        for event in live.rules.tick(&live.state, &sites, &*self.inputs, (self.now)()) {
            log::warn!(target: "seawall::levels", "{}", describe(&event));
        }
    }
}

fn describe(event: &LevelEvent) -> String {
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

/// Evaluates every second until dropped.
///
/// # Errors
/// The system provides no thread.
pub(crate) fn start(
    handle: Arc<RuleSetHandle>,
    levels: Levels,
    beats: Arc<AtomicU64>,
) -> io::Result<PeriodicTask> {
    let mut lookout = QuarantineLog::default();
    PeriodicTask::every(LEVEL_TICK_MS, move || {
        beats.fetch_add(1, Relaxed);
        let live = handle.load();
        levels.evaluate(&live);
        let at = (levels.now)();
        let mut lines = lookout.look(&live.rules.extern_summaries(), at);
        lines.extend(lookout.look_at_members(&live.rules.part_summaries(), at));
        lines.extend(lookout.look_at_host(live.rules.out_of_fuel(), at));
        for line in lines {
            log::warn!(target: "seawall::levels", "{line}");
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
        assert_eq!(describe(&event(None)), "level attack is entered");
        assert_eq!(describe(&event(Some("a.example"))), "level attack of a.example is entered");
        let over = LevelEvent { cause: LevelCause::HandOver, ..event(None) };
        assert!(describe(&over).contains("set by hand, is over"));
    }
}
