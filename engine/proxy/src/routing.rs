//! The sites, and the slots at their origins.
//!
//! Requests in flight are counted per site, so that one member's hanging origin cannot use the
//! slots of another's. They are also counted by kind, so that uploads and tunnels cannot use the
//! slots of ordinary requests. The use of shared resources is in `fairness`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use seawall_model::{HostMap, HostPattern, SiteId};
use seawall_ruleset::http::script_of;

use crate::fairness::SiteResources;
use crate::upstream::OriginSet;
use crate::upstream::slot_kind::SlotKind;
use crate::{BindError, ProxyLimits};

/// A site as it is configured.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// Its name: its first host.
    pub name: Box<str>,
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// Addresses of its origins, as `address:port` or `name:port`; 1 to 16.
    pub origins: Vec<Box<str>>,
    /// Path of the health check, if there is one.
    pub health: Option<Box<str>>,
    /// Its weight in fair sharing; the default is 1.
    pub share: u32,
    /// Maximum of concurrent requests at one of its origins; otherwise
    /// [`ProxyLimits::origin_inflight_max`] applies.
    pub inflight_max: Option<u32>,
    /// Timeouts of its origins by path prefix, where they differ from [`ProxyLimits`].
    pub timeouts: Vec<PathTimeouts>,
    /// Extensions of the scripts that its origins run, without a dot.
    pub scripts: Vec<Box<str>>,
}

/// Timeouts of origins for paths with this prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTimeouts {
    /// Prefix of the path as rules see it; empty for all paths.
    pub path_prefix: Box<str>,
    /// Milliseconds from the end of a request to the header section of its response.
    pub response_header_ms: Option<u32>,
    /// Milliseconds without a byte within a response.
    pub read_ms: Option<u32>,
}

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
    fn new(written: &[PathTimeouts], limits: &ProxyLimits) -> Self {
        let ms = |ms: u64| u32::try_from(ms).unwrap_or(u32::MAX);
        let usual = Timeouts {
            response_header_ms: ms(limits.origin_head_ms),
            read_ms: ms(limits.origin_read_ms),
        };
        let over = |below: Timeouts, said: &PathTimeouts| Timeouts {
            response_header_ms: said.response_header_ms.unwrap_or(below.response_header_ms),
            read_ms: said.read_ms.unwrap_or(below.read_ms),
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
            part: Arc::new(SiteResources::new(site.share)),
            timeouts: TimeoutTable::new(&site.timeouts, limits),
            scripts: site.scripts.clone(),
            uploads: SlotCounts::new(limits.origin_uploads_max),
            tunnels: SlotCounts::new(limits.origin_tunnels_max),
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

#[cfg(test)]
impl SiteConfig {
    /// Returns a table of one site with one host and one origin.
    pub(crate) fn test(host: &str, origin: &str) -> Self {
        Self {
            name: host.into(),
            hosts: vec![HostPattern::parse(host).unwrap()],
            origins: vec![origin.into()],
            health: None,
            share: 1,
            inflight_max: None,
            timeouts: Vec::new(),
            scripts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_requests_have_their_places_and_not_one_more() {
        let limits = ProxyLimits {
            origin_inflight_max: 3,
            origin_uploads_max: 2,
            origin_tunnels_max: 1,
            ..ProxyLimits::default()
        };
        let sites =
            SiteTable::resolve(&[SiteConfig::test("a.example", "127.0.0.1:9")], &limits).unwrap();
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
        let site =
            SiteConfig { inflight_max: Some(2), ..SiteConfig::test("a.example", "127.0.0.1:9") };
        let sites = SiteTable::resolve(&[site], &ProxyLimits::default()).unwrap();
        let route = sites.find("a.example").unwrap();
        assert_eq!((0..9).filter(|_| route.enter(SlotKind::Request)).count(), 2);
    }
}
