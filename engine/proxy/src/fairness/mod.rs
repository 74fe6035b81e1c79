//! What the sites of this host share, and what each has of it.
//!
//! Rules and reckoning are in `seawall_state` (`SlotCounts`, `Sheet`, `Line`, `Regulars`); here is what
//! they are applied to. Places: connections, from the moment that a site is known, and requests at
//! origins ([`queue`](crate::upstream::queue)). Flow: the processor ([`cpu`]) and what is sent to visitors
//! ([`egress`]), dealt out by a [`scheduler`].
//!
//! **Shedding** goes from cheap to dear: a connection that nobody knows is reset before its
//! handshake or with its first request, a request that finds no place is told 503 in a hundred
//! bytes; and new clients are refused before those that the site knew while it was calm.
//!
//! Where this does not protect you: one's own visitors against each other, where neither the policy
//! nor a history tells them apart; and what is lost before it reaches us, in a pipe that is full.

pub(crate) mod accounting;
pub(crate) mod congestion;
pub(crate) mod cpu;
pub(crate) mod egress;
pub(crate) mod scheduler;
pub(crate) mod site_client;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

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
    /// Each site's, by number.
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

/// One site's part.
#[derive(Debug)]
pub(crate) struct SiteResources {
    pub(crate) connections: PoolMember,
    pub(crate) forwards: PoolMember,
    trouble: CongestionState,
    pub(crate) counts: SiteMetrics,
}

/// What is counted for each site.
#[derive(Debug, Default)]
pub(crate) struct SiteMetrics {
    /// Requests that were judged.
    pub(crate) requests: AtomicU64,
    /// Requests that went to an origin.
    pub(crate) admitted: AtomicU64,
    /// Requests that wait for a place now.
    pub(crate) queued: AtomicU32,
    /// Requests that had to wait and then got a place.
    pub(crate) waited: AtomicU64,
    /// Requests that found the queue full of others.
    pub(crate) queue_full: AtomicU64,
    /// Requests that lost their place in the queue to a known client's.
    pub(crate) queue_displaced: AtomicU64,
    /// Requests that waited too long.
    pub(crate) queue_late: AtomicU64,
    /// Requests whose client left while an origin was at work for them.
    pub(crate) given_up: AtomicU64,
    /// Uploads and WebSockets beyond their places.
    pub(crate) stays_full: AtomicU64,
    /// Connections beyond the site's share.
    pub(crate) connections_shed: AtomicU64,
    /// Requests of new clients that were refused because the host had too little of something.
    pub(crate) overload_shed: AtomicU64,
    /// Times that a connection, or a request over HTTP/2, waited for the processor.
    pub(crate) cpu_waits: AtomicU64,
    /// Microseconds of processor that its connections took.
    pub(crate) cpu_us: AtomicU64,
    /// Times that a connection waited to send.
    pub(crate) egress_waits: AtomicU64,
    /// Bytes that were sent to its visitors.
    pub(crate) egress_bytes: AtomicU64,
}

impl SiteResources {
    pub(crate) fn new(weight: u32) -> Self {
        Self {
            connections: PoolMember::new(weight),
            forwards: PoolMember::new(weight),
            trouble: CongestionState::default(),
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

    /// Notes that a client was served: for its site where that is calm, and for the host where all of
    /// it is.
    pub(crate) fn note_served(&self, visit: &SiteClient<'_>) {
        if !visit.route.part.is_calm(visit.now, &self.limits) {
            return;
        }
        visit.note_served(&visit.route.name);
        if self.overload.is_uncongested(visit.now, &self.limits) {
            visit.note_served(WHOLE_SERVER);
        }
    }

    /// Charges a connection to the site that it turns out to be for. Says whether it may stay: one
    /// beyond the site's share may where the site knows its client.
    pub(crate) fn charge_connection(&self, conn: &Connection, visit: &SiteClient<'_>) -> bool {
        let (part, limits) = (&visit.route.part, &self.limits);
        if conn.stake.set_active_site(visit.route.id) {
            // Each site knows its own visitors only.
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
                count(&part.counts.connections_shed);
                return false;
            }
        }
        let is_settled = conn.stake.bind(visit.route.id);
        if !is_settled {
            // Another request of its was quicker; or the connection has gone, and this is one of its
            // streams that has not heard of it.
            self.connections.give_back(&part.connections);
        }
        is_settled || conn.stake.billed_site().is_some()
    }

    /// What would be lost with a connection that waits for a request.
    pub(crate) fn waits(&self, conn: &Connection) -> IdleKind {
        match (conn.has_received_request(), self.is_over(conn)) {
            (false, _) => IdleKind::NoRequestYet,
            (true, true) => IdleKind::OverShare,
            (true, false) => IdleKind::WithinShare,
        }
    }

    /// Whether a connection is one of a site that holds more than its share; or one that never said
    /// for whom it is, of which there may be thousands.
    pub(crate) fn is_over(&self, conn: &Connection) -> bool {
        match conn.stake.billed_site() {
            Some(part) => self.connections.is_over(&part.connections),
            None => !conn.has_received_request(),
        }
    }
}

/// A connection as it counts among those that sites share, until it ends.
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
