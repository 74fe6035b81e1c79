//! What each site has of what all share, for whoever shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::context::SharedContext;
use crate::fairness::SiteResources;
use crate::routing::Site;

/// The sites' parts, while the data plane lives.
#[derive(Debug, Clone)]
pub struct SiteReporter(Arc<SharedContext>);

/// One site's part at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteSnapshot {
    /// Its name.
    pub name: Box<str>,
    /// What it weighs.
    pub share: u32,
    /// Whether nobody has been waiting or refused for want of something for a while.
    pub is_calm: bool,
    /// Its gauges, by name: what it has now.
    pub now: Vec<(&'static str, u64)>,
    /// Its counters, by name: what has happened so far.
    pub total: Vec<(&'static str, u64)>,
}

impl SiteReporter {
    pub(crate) const fn new(edge: Arc<SharedContext>) -> Self {
        Self(edge)
    }

    /// Every site, in the order of the configuration.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SiteSnapshot> {
        self.0.sites.all().iter().map(|route| self.of(route)).collect()
    }

    fn of(&self, route: &Site) -> SiteSnapshot {
        let (edge, part) = (&self.0, &route.part);
        SiteSnapshot {
            name: route.name.clone(),
            share: part.weight(),
            is_calm: part.is_calm((edge.now)(), &edge.limits),
            now: self.now(route),
            total: total(part),
        }
    }

    fn now(&self, route: &Site) -> Vec<(&'static str, u64)> {
        let (shares, part) = (&self.0.shares, &route.part);
        let [uploads, tunnels] = route.staying();
        let of = |n: u32| u64::from(n);
        vec![
            ("connections", of(part.connections.taken())),
            ("connections_share", of(shares.connections.fair_share(&part.connections))),
            ("in_flight", of(route.in_flight())),
            ("in_flight_max", of(route.in_flight_max())),
            ("uploads", of(uploads)),
            ("tunnels", of(tunnels)),
            ("queued", of(part.counts.queued.load(Relaxed))),
        ]
    }
}

fn total(part: &SiteResources) -> Vec<(&'static str, u64)> {
    let counts = &part.counts;
    let of = |count: &AtomicU64| count.load(Relaxed);
    vec![
        ("requests", of(&counts.requests)),
        ("admitted", of(&counts.admitted)),
        ("waited", of(&counts.waited)),
        ("queue_full", of(&counts.queue_full)),
        ("queue_displaced", of(&counts.queue_displaced)),
        ("queue_late", of(&counts.queue_late)),
        ("stays_full", of(&counts.stays_full)),
        ("given_up", of(&counts.given_up)),
        ("connections_shed", of(&counts.connections_shed)),
        ("overload_shed", of(&counts.overload_shed)),
        ("cpu_us", of(&counts.cpu_us)),
        ("cpu_waits", of(&counts.cpu_waits)),
        ("egress_bytes", of(&counts.egress_bytes)),
        ("egress_waits", of(&counts.egress_waits)),
    ]
}
