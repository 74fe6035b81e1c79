//! What each site has of the shared resources, for the status.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_admin_api::{Live, SiteTraffic};

use crate::context::SharedContext;
use crate::routing::Site;

/// Reports on sites while the data plane lives.
#[derive(Debug, Clone)]
pub struct SiteReporter(Arc<SharedContext>);

impl SiteReporter {
    pub(crate) const fn new(edge: Arc<SharedContext>) -> Self {
        Self(edge)
    }

    /// Every site, in the order of the configuration.
    #[must_use]
    pub fn report(&self) -> Vec<SiteTraffic> {
        self.0.sites.all().iter().map(|route| self.of(route)).collect()
    }

    fn of(&self, route: &Site) -> SiteTraffic {
        let (edge, part) = (&self.0, &route.part);
        let [uploads, tunnels] = route.staying();
        let fair_share = edge.shares.connections.fair_share(&part.connections);
        SiteTraffic {
            weight: part.weight(),
            congested: !part.is_calm((edge.now)(), &edge.limits),
            connections_active: part.connections.taken().into(),
            connections_fair_share: fair_share.into(),
            requests_active: route.in_flight().into(),
            requests_limit: route.in_flight_max().into(),
            uploads_active: uploads.into(),
            tunnels_active: tunnels.into(),
            queue_length: part.queued.load(Relaxed).into(),
            counts: part.counts.report(),
        }
    }
}
