//! The evaluation of levels, once a second.
//!
//! It is pure, like a decision: the same state and time give the same result. The server, tests and
//! replay call it every second of their own clock.

use seawall_model::{Client, ClientPrefixes, ConnectionInfo, Facts, Geo, HeaderView, Tick};
use seawall_policy::program::{Level, LevelId};
use seawall_state::{LevelChange, LevelTiming, State};

use crate::eval::context::{EvalContext, EvalOptions};
use crate::eval::level_inputs::LevelInputs;
use crate::ruleset::RuleSet;

/// A level that was entered or left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelEvent {
    /// Its name.
    pub level: Box<str>,
    /// The site; `None` for the whole server.
    pub site: Option<Box<str>>,
    /// The change.
    pub change: LevelChange,
    /// Its cause.
    pub cause: LevelCause,
}

/// The cause of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelCause {
    /// Its condition held, or did not hold, for the required time.
    Condition,
    /// The time of a manual level has ended.
    HandOver,
}

/// One evaluation of the levels of the server or of one site.
#[derive(Clone, Copy)]
struct LevelEvaluation<'l> {
    state: &'l State,
    site: Option<&'l str>,
    pulse: LevelInputs,
    now: Tick,
}

/// An empty request, because levels read no headers.
struct NoRequest;

impl HeaderView for NoRequest {
    fn any_value<'s>(&'s self, _: &str, _: &mut dyn FnMut(&'s [u8]) -> bool) -> bool {
        false
    }

    fn first(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}
}

impl RuleSet {
    /// Evaluates every level, for the server and for each of `sites`, and activates the highest one
    /// that applies. Returns the changes.
    pub fn tick(
        &self,
        state: &State,
        sites: &[&str],
        pulse: &dyn Fn(Option<&str>) -> LevelInputs,
        now: Tick,
    ) -> Vec<LevelEvent> {
        let mut events = Vec::new();
        // Their sites are still evaluated this time, which ends the level that was active there.
        let held: Vec<Box<str>> = state.sites_with_held_levels();
        events.extend(state.drop_ended_levels(now).into_iter().map(|(site, held)| LevelEvent {
            level: held.level,
            site,
            change: LevelChange::Left,
            cause: LevelCause::HandOver,
        }));
        if self.program.levels.is_empty() {
            return events;
        }
        self.look(LevelEvaluation { state, site: None, pulse: pulse(None), now }, &mut events);
        let has_sites = self.program.levels.iter().any(|level| level.per_site);
        for site in sites.iter().filter(|site| has_sites || held.iter().any(|h| **h == ***site)) {
            let look = LevelEvaluation { state, site: Some(site), pulse: pulse(Some(site)), now };
            self.look(look, &mut events);
        }
        events
    }

    fn look(&self, look: LevelEvaluation<'_>, events: &mut Vec<LevelEvent>) {
        let LevelEvaluation { state, site, now, .. } = look;
        let mut worst = 0;
        for (at, level) in self.program.levels.iter().enumerate() {
            if level.per_site != site.is_some() {
                continue;
            }
            let holds = self.level_holds(level, look);
            let terms = LevelTiming {
                sustained_ms: level.sustained_ms,
                leave_after_ms: level.leave_after_ms,
            };
            let (is_on, change) = state.evaluate_level((&level.name, site), holds, &terms, now);
            if is_on {
                worst = u16::try_from(at.saturating_add(1)).unwrap_or(u16::MAX);
            }
            events.extend(change.map(|change| LevelEvent {
                level: level.name.clone(),
                site: site.map(Box::from),
                change,
                cause: LevelCause::Condition,
            }));
        }
        // A manual level replaces the result of the conditions. A level unknown to this policy has
        // no effect.
        let by_hand = state.manual_level(site, now).and_then(|held| self.level_number(&held.level));
        state.set_level(site, by_hand.unwrap_or(worst));
    }

    fn level_holds(&self, level: &Level, look: LevelEvaluation<'_>) -> bool {
        let LevelEvaluation { state, site, pulse, now } = look;
        let nobody = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let facts = Facts {
            client: Client::of(nobody, &ClientPrefixes::default()),
            geo: Geo::default(),
            conn: ConnectionInfo::default(),
            method: "",
            host: "",
            site: site.unwrap_or_default(),
            path: b"",
            script: None,
            raw_path: b"",
            query: None,
            headers: &NoRequest,
            pass: None,
            pass_failures: 0,
            origin: pulse.origin,
            cpu_percent: pulse.cpu_percent,
        };
        let judging = EvalContext::new(self, &facts, state, now, EvalOptions::default());
        let holds = self.program.holds(Some(level.enter), &judging);
        if judging.has_stopped() {
            self.parts.note_refused();
            return false;
        }
        holds
    }

    /// Returns the names of the levels, the mildest first; `normal` is always included.
    pub fn level_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("normal").chain(self.program.levels.iter().map(|level| &*level.name))
    }

    /// Returns the number of a level of this policy; `normal` is 0.
    fn level_number(&self, name: &str) -> Option<u16> {
        let at = self.level_names().position(|known| known == name)?;
        u16::try_from(at).ok()
    }

    /// Returns the name of the active level of a site.
    #[must_use]
    pub fn level_name(&self, state: &State, site: &str) -> &str {
        let LevelId(at) = LevelId(state.level(site));
        self.level_names().nth(at.into()).unwrap_or("normal")
    }
}
