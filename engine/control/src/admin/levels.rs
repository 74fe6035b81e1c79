//! Levels on the admin socket.

use std::sync::Arc;

use seawall_admin_api::{LevelRequest, LevelResponse};
use seawall_ruleset::{RuleSetHandle, nearest};
use seawall_state::ManualLevel;

use crate::level_ticker::Levels;

/// Maximum duration of a manual level, in milliseconds: a week.
pub const LEVEL_HELD_MS_MAX: u64 = 7 * 86_400_000;

/// Sets and ends manual levels.
pub(crate) struct LevelAdmin {
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) levels: Levels,
}

impl LevelAdmin {
    pub(crate) fn obey(&self, order: &LevelRequest) -> LevelResponse {
        match self.carry_out(order) {
            Ok(done) => {
                // At once, and not with the next tick.
                self.levels.evaluate(&self.handle.load());
                done
            }
            Err(why) => LevelResponse::Rejected { reason: why },
        }
    }

    fn carry_out(&self, order: &LevelRequest) -> Result<LevelResponse, String> {
        let live = self.handle.load();
        let site = order.site.as_deref();
        if let Some(site) = site
            && !self.levels.sites.iter().any(|known| **known == *site)
        {
            return Err(format!("there is no site `{}`", site.escape_debug()));
        }
        let whose = site.map(|site| format!(" of {site}")).unwrap_or_default();
        let Some(level) = &order.level else {
            if !live.state.clear_manual_level(site) {
                return Err(format!("no level{whose} is set by hand"));
            }
            log::warn!(
                target: "seawall::levels",
                "the level{whose} that was set by hand is ended: the conditions decide",
            );
            return Ok(LevelResponse::Cleared);
        };
        if !live.rules.level_names().any(|known| known == level) {
            let near = nearest(level, live.rules.level_names());
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("the policy has no level `{}`{near}", level.escape_debug()));
        }
        if !(1..=LEVEL_HELD_MS_MAX).contains(&order.for_ms) {
            return Err("a level must be set for more than 0 s and at most 7 days".to_owned());
        }
        let until = (self.levels.now)().plus_ms(order.for_ms);
        if !live.state.set_manual_level(site, ManualLevel { level: level.as_str().into(), until }) {
            return Err("too many levels are set by hand already".to_owned());
        }
        let s = order.for_ms.div_ceil(1_000);
        log::warn!(target: "seawall::levels", "level {level}{whose} is set by hand for {s} s");
        Ok(LevelResponse::Set)
    }
}
