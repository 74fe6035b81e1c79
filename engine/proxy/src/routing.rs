//! The sites, and the slots at their origins.
//!
//! Requests in flight are counted per site, so that one member's hanging origin cannot use the
//! slots of another's. They are also counted by kind, so that uploads and tunnels cannot use the
//! slots of ordinary requests. The use of shared resources is in `fairness`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use seawall_config::{OriginTimeouts, SiteConfig};
use seawall_model::{HostMap, SiteId};
use seawall_ruleset::http::script_of;

use crate::fairness::SiteResources;
use crate::upstream::OriginSet;
use crate::upstream::slot_kind::SlotKind;
use crate::{BindError, ProxyLimits};

// The configuration's range must fit into what fair sharing counts with.
const _: () = assert!(seawall_config::SITE_WEIGHT_MAX <= seawall_state::WEIGHT_MAX);

/// Timeouts of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) response_header_ms: u32,
    pub(crate) read_ms: u32,
}

/// The timeouts of a site by path prefix.
#[derive(Debug)]
struct TimeoutTable {
    site: Timeouts,
    /// The longest prefixes first.
    paths: Vec<(Box<str>, Timeouts)>,
}

impl TimeoutTable {
    fn new(written: &[OriginTimeouts], limits: &ProxyLimits) -> Self {
        let usual = Timeouts {
            response_header_ms: short_millis(limits.settings.origins.response_header_timeout),
            read_ms: short_millis(limits.settings.origins.read_timeout),
        };
        let over = |below: Timeouts, own: &OriginTimeouts| Timeouts {
            response_header_ms: own.response_header.map_or(below.response_header_ms, short_millis),
            read_ms: own.read.map_or(below.read_ms, short_millis),
        };
        let own = written.iter().find(|said| said.path_prefix.is_empty());
        let site = own.map_or(usual, |said| over(usual, said));
        let paths = written.iter().filter(|said| !said.path_prefix.is_empty());
        let mut paths: Vec<_> =
            paths.map(|said| (said.path_prefix.clone(), over(site, said))).collect();
        paths.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { site, paths }
    }

    fn of(&self, path: &[u8]) -> Timeouts {
        let fits = |(prefix, _): &&(Box<str>, Timeouts)| path.starts_with(prefix.as_bytes());
        self.paths.iter().find(fits).map_or(self.site, |(_, timeouts)| *timeouts)
    }
}

/// Milliseconds of a timeout, whose range ends at an hour.
fn short_millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// A site at run time.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: SiteId,
    pub(crate) name: Box<str>,
    pub(crate) origins: OriginSet,
    pub(crate) part: Arc<SiteResources>,
    timeouts: TimeoutTable,
    scripts: Vec<Box<str>>,
    exchanges: SlotCounts,
    uploads: SlotCounts,
    tunnels: SlotCounts,
}

/// Slots of one kind: the number and the maximum.
#[derive(Debug)]
struct SlotCounts {
    most: u32,
    taken: AtomicU32,
}

impl SlotCounts {
    const fn new(most: u32) -> Self {
        Self { most, taken: AtomicU32::new(0) }
    }

    fn take(&self, most: u32) -> bool {
        let more = |n: u32| if n < most { n.checked_add(1) } else { None };
        self.taken.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

impl Site {
    fn resolve(id: SiteId, site: &SiteConfig, limits: &ProxyLimits) -> Result<Self, BindError> {
        let (name, origins) = (site.name.clone(), OriginSet::resolve(site, limits)?);
        Ok(Self {
            id,
            name,
            exchanges: SlotCounts::new(origins.places()),
            origins,
            part: Arc::new(SiteResources::new(site.weight)),
            timeouts: TimeoutTable::new(&site.timeouts, limits),
            scripts: site.scripts.clone(),
            uploads: SlotCounts::new(limits.settings.origins.max_uploads_per_origin),
            tunnels: SlotCounts::new(limits.settings.origins.max_tunnels_per_origin),
        })
    }

    /// Returns the part of a normalized path that names the script which an origin runs.
    pub(crate) fn script_of<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        if self.scripts.is_empty() { None } else { script_of(path, &self.scripts) }
    }

    /// Returns the timeouts for this path.
    pub(crate) fn timeouts(&self, path: &[u8]) -> Timeouts {
        self.timeouts.of(path)
    }

    /// Returns the number of complete requests in flight to the site.
    pub(crate) fn in_flight(&self) -> u32 {
        self.exchanges.taken.load(Relaxed)
    }

    /// Returns their maximum.
    pub(crate) const fn in_flight_max(&self) -> u32 {
        self.exchanges.most
    }

    /// Returns the numbers of current uploads and tunnels.
    pub(crate) fn staying(&self) -> [u32; 2] {
        [&self.uploads, &self.tunnels].map(|places| places.taken.load(Relaxed))
    }

    const fn places(&self, stay: SlotKind) -> &SlotCounts {
        match stay {
            SlotKind::Request => &self.exchanges,
            SlotKind::Upload => &self.uploads,
            SlotKind::Tunnel => &self.tunnels,
        }
    }

    /// Takes a slot of this kind, and returns whether one was free.
    pub(crate) fn enter(&self, stay: SlotKind) -> bool {
        let places = self.places(stay);
        places.take(match stay {
            // While one of its origins is down, its requests must not go to the others in addition
            // to theirs.
            SlotKind::Request => places.most.min(self.origins.places()),
            SlotKind::Upload | SlotKind::Tunnel => places.most,
        })
    }

    /// Releases the slot.
    pub(crate) fn leave(&self, stay: SlotKind) {
        self.places(stay).taken.fetch_sub(1, Relaxed);
    }
}

/// Finds the site of a host.
#[derive(Debug)]
pub(crate) struct SiteTable {
    by_host: HostMap<Arc<Site>>,
    /// In the order of their numbers.
    all: Vec<Arc<Site>>,
}

impl SiteTable {
    /// Resolves every origin.
    ///
    /// # Errors
    /// Returns the first origin that cannot be resolved.
    pub(crate) fn resolve(sites: &[SiteConfig], limits: &ProxyLimits) -> Result<Self, BindError> {
        let (mut by_host, mut all) = (HostMap::default(), Vec::with_capacity(sites.len()));
        for (n, site) in sites.iter().enumerate() {
            let id = SiteId(u32::try_from(n).unwrap_or(u32::MAX));
            let route = Arc::new(Site::resolve(id, site, limits)?);
            for host in &site.hosts {
                by_host.insert(host, Arc::clone(&route));
            }
            all.push(route);
        }
        Ok(Self { by_host, all })
    }

    /// Returns the site of `host` (lower case, no port).
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Site>> {
        self.by_host.find(host)
    }
}

impl SiteTable {
    /// The site with this number.
    pub(crate) fn by_id(&self, id: SiteId) -> Option<&Arc<Site>> {
        self.all.get(usize::try_from(id.0).ok()?)
    }

    /// Returns all sites, by number.
    pub(crate) fn all(&self) -> &[Arc<Site>] {
        &self.all
    }
}

/// One site of one host and one origin, `address:port`.
#[cfg(test)]
pub(crate) fn test_site(host: &str, origin: &str) -> SiteConfig {
    SiteConfig {
        name: host.into(),
        hosts: vec![seawall_model::HostPattern::parse(host).unwrap()],
        origins: vec![test_origin(origin)],
        health_check_path: None,
        member: None,
        weight: 1,
        max_requests_per_origin: None,
        timeouts: Vec::new(),
        scripts: Vec::new(),
    }
}

/// An origin, `address:port`.
#[cfg(test)]
pub(crate) fn test_origin(address: &str) -> seawall_config::Origin {
    let (host, port) = address.rsplit_once(':').unwrap();
    let host = host.trim_matches(['[', ']']);
    seawall_config::Origin { host: host.into(), port: port.parse().unwrap() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_requests_have_their_places_and_not_one_more() {
        let mut limits = ProxyLimits::default();
        limits.settings.origins.max_requests_per_origin = 3;
        limits.settings.origins.max_uploads_per_origin = 2;
        limits.settings.origins.max_tunnels_per_origin = 1;
        let sites = SiteTable::resolve(&[test_site("a.example", "127.0.0.1:9")], &limits).unwrap();
        let route = sites.find("a.example").unwrap();
        for (stay, most) in [(SlotKind::Tunnel, 1), (SlotKind::Upload, 2), (SlotKind::Request, 3)] {
            assert_eq!((0..9).filter(|_| route.enter(stay)).count(), most, "{stay:?}");
            route.leave(stay);
            assert!(route.enter(stay) && !route.enter(stay), "{stay:?}");
        }
        assert_eq!((route.in_flight(), route.staying()), (3, [2, 1]));
    }

    #[test]
    fn a_site_that_says_what_its_origin_can_do_gets_no_more() {
        let site = SiteConfig {
            max_requests_per_origin: Some(2),
            ..test_site("a.example", "127.0.0.1:9")
        };
        let sites = SiteTable::resolve(&[site], &ProxyLimits::default()).unwrap();
        let route = sites.find("a.example").unwrap();
        assert_eq!((0..9).filter(|_| route.enter(SlotKind::Request)).count(), 2);
    }
}
