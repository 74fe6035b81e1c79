//! The sites behind the wall, and the places of their requests.
//!
//! In-flight requests are counted per site, so that one member's hanging origin cannot take the
//! places of another's; and by how long they may stay, so that those who come to stay cannot take
//! the places of those who come for a page.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use seawall_model::{HostMap, HostPattern, SiteId};

use crate::origins::Origins;
use crate::{BindError, EdgeLimits};

/// A site as it is configured.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its name: its first host.
    pub name: Box<str>,
    /// The hosts it answers to.
    pub hosts: Vec<HostPattern>,
    /// Where its origins listen, as `address:port` or `name:port`; 1 to 16.
    pub origins: Vec<Box<str>>,
    /// The path that they are asked for at intervals, where they are.
    pub health: Option<Box<str>>,
}

/// A site as requests reach it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) id: SiteId,
    pub(crate) name: Box<str>,
    pub(crate) origins: Origins,
    exchanges: AtomicU32,
    uploads: AtomicU32,
    tunnels: AtomicU32,
}

/// How long a request may stay at its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stay {
    /// As long as the origin takes: all of the request is here.
    Exchange,
    /// As long as its client takes to send the rest.
    Upload,
    /// As long as either side likes.
    Tunnel,
}

/// One request's place among those in flight to a site, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    route: Arc<Route>,
    stay: Stay,
}

impl Route {
    fn resolve(id: SiteId, site: &Site, limits: &EdgeLimits) -> Result<Self, BindError> {
        let (name, origins) = (site.name.clone(), Origins::resolve(site, limits)?);
        let [exchanges, uploads, tunnels] = [const { AtomicU32::new(0) }; 3];
        Ok(Self { id, name, origins, exchanges, uploads, tunnels })
    }

    /// Requests that are all here and in flight to the site now.
    pub(crate) fn in_flight(&self) -> u32 {
        self.exchanges.load(Relaxed)
    }

    const fn count(&self, stay: Stay) -> &AtomicU32 {
        match stay {
            Stay::Exchange => &self.exchanges,
            Stay::Upload => &self.uploads,
            Stay::Tunnel => &self.tunnels,
        }
    }

    /// A place in flight, while there is one for those who `stay` so.
    pub(crate) fn enter(self: &Arc<Self>, stay: Stay, limits: &EdgeLimits) -> Option<Seat> {
        let max = match stay {
            Stay::Exchange => limits.origin_inflight_max,
            Stay::Upload => limits.origin_uploads_max,
            Stay::Tunnel => limits.origin_tunnels_max,
        };
        let origins = u32::try_from(self.origins.addresses().len()).unwrap_or(u32::MAX);
        let max = max.saturating_mul(origins);
        let more = |n: u32| if n < max { n.checked_add(1) } else { None };
        self.count(stay).fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Seat { route: Arc::clone(self), stay })
    }
}

impl Seat {
    pub(crate) fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub(crate) const fn stay(&self) -> Stay {
        self.stay
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.route.count(self.stay).fetch_sub(1, Relaxed);
    }
}

/// From a host to its site.
#[derive(Debug)]
pub(crate) struct Sites {
    by_host: HostMap<Arc<Route>>,
    all: Vec<Arc<Route>>,
}

impl Sites {
    /// Resolves every origin.
    ///
    /// # Errors
    /// The first origin that cannot be found.
    pub(crate) fn resolve(sites: &[Site], limits: &EdgeLimits) -> Result<Self, BindError> {
        let mut by_host = HostMap::default();
        let mut all = Vec::with_capacity(sites.len());
        for (n, site) in sites.iter().enumerate() {
            let id = SiteId(u32::try_from(n).unwrap_or(u32::MAX));
            let route = Arc::new(Route::resolve(id, site, limits)?);
            for host in &site.hosts {
                by_host.insert(host, Arc::clone(&route));
            }
            all.push(route);
        }
        Ok(Self { by_host, all })
    }

    /// All of them, in the order of the configuration.
    pub(crate) fn all(&self) -> &[Arc<Route>] {
        &self.all
    }

    /// The site that answers to `host` (lower case, no port).
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Route>> {
        self.by_host.find(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(origins: &[&str]) -> Site {
        Site {
            name: "a.example".into(),
            hosts: vec![HostPattern::parse("a.example").unwrap()],
            origins: origins.iter().map(|o| (*o).into()).collect(),
            health: None,
        }
    }

    #[test]
    fn in_flight_requests_have_their_places_and_not_one_more() {
        let sites = Sites::resolve(&[site(&["127.0.0.1:9"])], &EdgeLimits::default()).unwrap();
        let route = sites.find("a.example").unwrap();
        let limits = EdgeLimits {
            origin_inflight_max: 3,
            origin_uploads_max: 2,
            origin_tunnels_max: 1,
            ..EdgeLimits::default()
        };
        for (stay, most) in [(Stay::Tunnel, 1), (Stay::Upload, 2), (Stay::Exchange, 3)] {
            let seats: Vec<_> = (0..most).map(|_| route.enter(stay, &limits).unwrap()).collect();
            assert!(route.enter(stay, &limits).is_none(), "{stay:?}");
            assert!(stay == Stay::Exchange || route.enter(Stay::Exchange, &limits).is_some());
            drop(seats);
            assert!(route.enter(stay, &limits).is_some(), "{stay:?}");
        }
        assert_eq!(route.in_flight(), 0);
    }
}
