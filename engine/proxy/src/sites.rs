//! The sites behind the wall, and the places at their origins.
//!
//! In-flight requests are counted per site, so that one member's hanging origin cannot take the
//! places of another's; and by how long they may stay, so that those who come to stay cannot take
//! the places of those who come for a page. What a site has of what all share is in `shares`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use seawall_model::{HostMap, HostPattern, SiteId, Tick};

use crate::origins::Origins;
use crate::shares::Part;
use crate::shares::seats::Stay;
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
    /// What it weighs where things are shared; the usual is 1.
    pub share: u32,
    /// Requests that one of its origins can do at once, where that is known; else
    /// [`EdgeLimits::origin_inflight_max`].
    pub inflight_max: Option<u32>,
    /// The path that they are asked for at intervals, where they are.
    pub health: Option<Box<str>>,
}

/// A site as requests reach it.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) id: SiteId,
    pub(crate) name: Box<str>,
    pub(crate) origins: Origins,
    pub(crate) part: Arc<Part>,
    /// Requests under way, by how long they may stay.
    under_way: [AtomicU32; 3],
}

impl Route {
    fn resolve(id: SiteId, site: &Site, limits: &EdgeLimits) -> Result<Self, BindError> {
        let (name, origins) = (site.name.clone(), Origins::resolve(site, limits)?);
        let part = Arc::new(Part::new(site.share));
        Ok(Self { id, name, origins, part, under_way: [const { AtomicU32::new(0) }; 3] })
    }

    const fn count(&self, stay: Stay) -> &AtomicU32 {
        let [exchanges, uploads, tunnels] = &self.under_way;
        match stay {
            Stay::Exchange => exchanges,
            Stay::Upload => uploads,
            Stay::Tunnel => tunnels,
        }
    }

    /// Requests that will `stay` so and are under way to the site now.
    pub(crate) fn under_way(&self, stay: Stay) -> u32 {
        self.count(stay).load(Relaxed)
    }

    /// Takes a place for one that will `stay` so, of as many as the origins that are asked have; says
    /// whether there was one.
    pub(crate) fn enter(&self, stay: Stay, limits: &EdgeLimits, now: Tick) -> bool {
        let most = self.origins.places(stay, limits, now);
        let more = |n: u32| if n < most { n.checked_add(1) } else { None };
        self.count(stay).fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives it back.
    pub(crate) fn leave(&self, stay: Stay) {
        self.count(stay).fetch_sub(1, Relaxed);
    }
}

/// From a host to its site.
#[derive(Debug)]
pub(crate) struct Sites {
    by_host: HostMap<Arc<Route>>,
    /// In the order that gives them their numbers.
    all: Vec<Arc<Route>>,
}

impl Sites {
    /// Resolves every origin.
    ///
    /// # Errors
    /// The first origin that cannot be found.
    pub(crate) fn resolve(sites: &[Site], limits: &EdgeLimits) -> Result<Self, BindError> {
        let (mut by_host, mut all) = (HostMap::default(), Vec::with_capacity(sites.len()));
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

    /// The site that answers to `host` (lower case, no port).
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Route>> {
        self.by_host.find(host)
    }
}

impl Sites {
    /// All of them, by number.
    pub(crate) fn all(&self) -> &[Arc<Route>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::TEST_START;

    #[test]
    fn in_flight_requests_have_their_places_and_not_one_more() {
        let limits = EdgeLimits {
            origin_inflight_max: 3,
            origin_uploads_max: 2,
            origin_tunnels_max: 1,
            ..EdgeLimits::default()
        };
        let origins = vec!["127.0.0.1:9".into(), "127.0.0.1:10".into()];
        let site = Site { origins, ..Site::test("a.example", "127.0.0.1:9") };
        let sites = Sites::resolve(&[site], &limits).unwrap();
        let route = sites.find("a.example").unwrap();
        for (stay, most) in [(Stay::Tunnel, 2), (Stay::Upload, 4), (Stay::Exchange, 6)] {
            assert_eq!((0..9).filter(|_| route.enter(stay, &limits, NOW)).count(), most);
            route.leave(stay);
            assert!(route.enter(stay, &limits, NOW) && !route.enter(stay, &limits, NOW));
            assert_eq!(route.under_way(stay) as usize, most);
        }
    }

    #[test]
    fn a_site_that_says_what_its_origin_can_do_gets_no_more() {
        let limits = EdgeLimits::default();
        let site = Site { inflight_max: Some(2), ..Site::test("a.example", "127.0.0.1:9") };
        let sites = Sites::resolve(&[site], &limits).unwrap();
        let route = sites.find("a.example").unwrap();
        assert_eq!((0..9).filter(|_| route.enter(Stay::Exchange, &limits, NOW)).count(), 2);
    }
}

#[cfg(test)]
impl Site {
    /// One site of one host and one origin.
    pub(crate) fn test(host: &str, origin: &str) -> Self {
        Self {
            name: host.into(),
            hosts: vec![HostPattern::parse(host).unwrap()],
            origins: vec![origin.into()],
            share: 1,
            inflight_max: None,
            health: None,
        }
    }
}
