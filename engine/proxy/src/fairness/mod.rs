//! The resources that the sites of a server share, and the use of each site.
//!
//! The rules and the arithmetic are in `seawall_state` (`SharedPool`, `TokenBuckets`, `Line`,
//! `KnownClients`); this folder applies them. Slots: connections, once the site is known, and
//! requests at origins ([`queue`](crate::upstream::queue)). Rates: CPU time ([`cpu`]) and egress
//! bandwidth ([`egress`]), both distributed by a [`scheduler`].
//!
//! **Load shedding** prefers cheap rejections: a connection is reset before its handshake or with
//! its first request, and a request without a slot gets a 503 of a hundred bytes. New clients are
//! rejected before known clients.
//!
//! Limitations: visitors of one site compete with each other if neither the policy nor their
//! history tells them apart. Traffic that is lost on a full link never arrives here.

pub(crate) mod accounting;
pub(crate) mod congestion;
pub(crate) mod cpu;
pub(crate) mod egress;
pub(crate) mod scheduler;
pub(crate) mod site_client;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use seawall_admin_api::SiteMetrics;
use seawall_model::{Now, Tick};
use seawall_state::{PoolMember, SharedPool};

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::connection::idle::IdleKind;
use crate::fairness::congestion::CongestionState;
use crate::fairness::congestion::WHOLE_SERVER;
use crate::fairness::site_client::SiteClient;
use crate::limits::millis;
use crate::metrics::count;
use crate::overload::OverloadManager;
use crate::routing::SiteTable;
use crate::upstream::queue::WaitQueues;
use egress::EgressScheduler;

/// What all sites share.
pub(crate) struct FairSharing {
    pub(crate) connections: SharedPool,
    pub(crate) forwards: SharedPool,
    /// The resources of each site, by its number.
    sites: Vec<Arc<SiteResources>>,
    pub(crate) lines: WaitQueues,
    pub(crate) egress: Option<EgressScheduler>,
    pub(crate) overload: Arc<OverloadManager>,
    pub(crate) limits: Arc<ProxyLimits>,
    now: Now,
}

impl fmt::Debug for FairSharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairSharing").field("sites", &self.sites.len()).finish_non_exhaustive()
    }
}

/// The resources of one site.
#[derive(Debug)]
pub(crate) struct SiteResources {
    pub(crate) connections: PoolMember,
    pub(crate) forwards: PoolMember,
    trouble: CongestionState,
    /// Requests that wait for a slot now.
    pub(crate) queued: AtomicU32,
    pub(crate) counts: SiteMetrics,
}

impl SiteResources {
    pub(crate) fn new(weight: u32) -> Self {
        Self {
            connections: PoolMember::new(weight),
            forwards: PoolMember::new(weight),
            trouble: CongestionState::default(),
            queued: AtomicU32::new(0),
            counts: SiteMetrics::default(),
        }
    }

    pub(crate) const fn weight(&self) -> u32 {
        self.connections.weight()
    }

    pub(crate) fn is_calm(&self, now: Tick, limits: &ProxyLimits) -> bool {
        self.trouble.has_cleared(now, millis(limits.settings.queue.congestion_cooldown))
    }

    pub(crate) fn note_trouble(&self, now: Tick, limits: &ProxyLimits) {
        self.trouble.note(now, millis(limits.settings.queue.congestion_cooldown));
    }
}

impl FairSharing {
    pub(crate) fn new(
        sites: &SiteTable,
        overload: &Arc<OverloadManager>,
        (limits, now): (&Arc<ProxyLimits>, &Now),
    ) -> Self {
        let parts: Vec<_> = sites.all().iter().map(|route| Arc::clone(&route.part)).collect();
        let weights = || parts.iter().map(|part| part.weight());
        let most = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            connections: SharedPool::new(most(limits.connections_shared()), weights()),
            forwards: SharedPool::new(
                most(limits.settings.requests.max_concurrent_requests),
                weights(),
            ),
            lines: WaitQueues::default(),
            egress: EgressScheduler::new(limits, weights()),
            overload: Arc::clone(overload),
            limits: Arc::clone(limits),
            now: now.clone(),
            sites: parts,
        }
    }

    /// Records that a client was served: for its site unless the site is congested, and for the
    /// server unless the server is.
    pub(crate) fn note_served(&self, visit: &SiteClient<'_>) {
        if !visit.route.part.is_calm(visit.now, &self.limits) {
            return;
        }
        visit.note_served(&visit.route.name);
        if self.overload.is_uncongested(visit.now, &self.limits) {
            visit.note_served(WHOLE_SERVER);
        }
    }

    /// Charges a connection to its site. Returns whether the connection may stay: over the fair
    /// share only a known client's may.
    pub(crate) fn charge_connection(&self, conn: &Connection, visit: &SiteClient<'_>) -> bool {
        let (part, limits) = (&visit.route.part, &self.limits);
        if conn.stake.set_active_site(visit.route.id) {
            // Each site knows only its own clients.
            conn.stake.note_known(visit.is_known(limits));
        }
        if conn.stake.billed_site().is_some() {
            return true;
        }
        let is_known = conn.stake.is_known();
        if self.connections.assign(&part.connections).is_err() {
            part.note_trouble(visit.now, limits);
            let stays = is_known && self.connections.charge_reserved(&part.connections).is_ok();
            if !stays {
                count(&part.counts.connections_closed.over_share);
                return false;
            }
        }
        let is_settled = conn.stake.bind(visit.route.id);
        if !is_settled {
            // Another request of the connection was faster; or the connection has ended, and this
            // is one of its streams that has not noticed yet.
            self.connections.give_back(&part.connections);
        }
        is_settled || conn.stake.billed_site().is_some()
    }

    /// Returns the kind of an idle connection, for its timeout.
    pub(crate) fn waits(&self, conn: &Connection) -> IdleKind {
        match (conn.has_received_request(), self.is_over(conn)) {
            (false, _) => IdleKind::NoRequestYet,
            (true, true) => IdleKind::OverShare,
            (true, false) => IdleKind::WithinShare,
        }
    }

    /// Returns whether the connection's site is over its fair share, or the connection has no site
    /// yet: there may be thousands of these.
    pub(crate) fn is_over(&self, conn: &Connection) -> bool {
        match conn.stake.billed_site() {
            Some(part) => self.connections.is_over(&part.connections),
            None => !conn.has_received_request(),
        }
    }
}

/// Counts a connection among those that sites share, until it ends.
#[derive(Debug)]
pub(crate) struct SiteConnectionGuard {
    shares: Arc<FairSharing>,
    conn: Arc<Connection>,
}

impl SiteConnectionGuard {
    pub(crate) fn new(shares: &Arc<FairSharing>, conn: &Arc<Connection>) -> Self {
        conn.stake.join(shares);
        Self { shares: Arc::clone(shares), conn: Arc::clone(conn) }
    }
}

impl Drop for SiteConnectionGuard {
    fn drop(&mut self) {
        if let Some(part) = self.conn.stake.leave_home() {
            self.shares.connections.give_back(&part.connections);
        }
        self.conn.notify_accounting_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_lasts_until_it_was_calm_for_a_while_and_keeps_its_beginning() {
        let (trouble, calm_ms) = (CongestionState::default(), 10_000);
        let start = Tick::TEST_START;
        assert_eq!(trouble.since(start, calm_ms), start);
        trouble.note(start, calm_ms);
        trouble.note(start.plus_ms(9_000), calm_ms);
        assert_eq!(trouble.since(start.plus_ms(18_999), calm_ms), start);
        let calm = start.plus_ms(19_000);
        assert_eq!(trouble.since(calm, calm_ms), calm);
        trouble.note(calm, calm_ms);
        assert_eq!(trouble.since(calm.plus_ms(5), calm_ms), calm);
    }
}
