//! Updates the counters at the end of a response.

use seawall_model::{Facts, ResponseInfo, Tick};
use seawall_policy::program::LevelId;
use seawall_state::State;

use crate::eval::context::{EvalContext, EvalOptions};
use crate::ruleset::RuleSet;

impl RuleSet {
    /// Returns whether any track counts `on response`. If not, the facts of a request need not be
    /// kept until the end of its response.
    #[must_use]
    pub fn has_on_response(&self) -> bool {
        let of_sites = self.program.sites.iter().flat_map(|site| &site.feeds);
        self.program.feeds.iter().chain(of_sites).any(|feed| feed.on_response)
    }

    /// Feeds the tracks that count `on response`.
    pub fn on_response(&self, facts: &Facts<'_>, answered: ResponseInfo, state: &State, now: Tick) {
        let given = EvalOptions::at(LevelId(state.level(facts.site)));
        self.answered_given(EvalContext::new(self, facts, state, now, given), answered);
    }

    pub(crate) fn answered_given<'j>(
        &'j self,
        mut judging: EvalContext<'j>,
        answered: ResponseInfo,
    ) {
        judging.answered = Some(answered);
        judging.find_site();
        self.feed_when(&judging, true);
        if judging.fuel.is_empty() && !judging.given.rehearsed {
            self.parts.note_refused();
        }
    }
}
