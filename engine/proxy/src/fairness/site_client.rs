//! A client at a site: whether the site knew it before, and its priority in the queue.

use std::sync::Arc;

use seawall_model::{Client, Tick};
use seawall_state::{KnownClients, Priority, State};

use crate::ProxyLimits;
use crate::limits::millis;
use crate::routing::Site;

/// A client at a site, to look up whether it is a known client.
#[derive(Clone, Copy)]
pub(crate) struct SiteClient<'v> {
    pub(crate) route: &'v Arc<Site>,
    pub(crate) client: &'v Client,
    pub(crate) state: &'v State,
    pub(crate) now: Tick,
}

impl SiteClient<'_> {
    /// Returns whether the site knew the client before the congestion.
    pub(crate) fn is_known(&self, limits: &ProxyLimits) -> bool {
        let cooldown_ms = millis(limits.settings.queue.congestion_cooldown);
        let min_age_ms = millis(limits.settings.queue.known_client_min_age);
        let since = self.route.part.trouble.since(self.now, cooldown_ms);
        let key = KnownClients::key(self.state.key(), &self.route.name, &self.client.key);
        self.state.regulars().is_known_before(key, since, min_age_ms)
    }

    /// Records that the client was served, under a site's name or the server's.
    pub(crate) fn note_served(&self, name: &str) {
        let key = KnownClients::key(self.state.key(), name, &self.client.key);
        self.state.regulars().record(key, self.now);
    }

    /// Returns its priority in a queue.
    pub(crate) fn queue_priority(&self, under_way: u32, limits: &ProxyLimits) -> Priority {
        let class = Priority::of(self.is_known(limits));
        let most = limits.settings.queue.low_priority_above_requests;
        if under_way > most { class.demoted() } else { class }
    }
}
