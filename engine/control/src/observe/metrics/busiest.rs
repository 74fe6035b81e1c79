//! Which sites have histograms of their own.
//!
//! A histogram is many series, so the busiest sites have their own and the rest share those of
//! `other`. Which sites are busy changes, and a counter may not fall: a site's series begin at zero
//! when it gets them, what came before stays in `other`, and what a site had under its own name when
//! it loses them is never told again. So the sum of all rates is that of all sites at any time.

use std::collections::BTreeMap;

use seawall_admin_api::{HistogramReport, SiteStatus};

/// Most sites with histograms of their own.
pub const HISTOGRAM_SITES_MAX: usize = 100;
/// What the rest is called.
pub(super) const OTHER: &str = "other";
/// Milliseconds between two looks at which sites are busy.
const RANK_EVERY_MS: u64 = 60_000;

/// How long requests took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Latency {
    /// From a request's header to the end of its response.
    pub(super) request: HistogramReport,
    /// Until the header of the origin's response.
    pub(super) origin: HistogramReport,
}

impl Latency {
    const fn of(site: &SiteStatus) -> Self {
        let counts = &site.traffic.counts;
        Self { request: counts.request_duration, origin: counts.origin_response }
    }

    fn plus(self, other: Self) -> Self {
        let (request, origin) = (self.request.plus(other.request), self.origin.plus(other.origin));
        Self { request, origin }
    }

    fn since(self, earlier: Self) -> Self {
        let request = self.request.since(earlier.request);
        Self { request, origin: self.origin.since(earlier.origin) }
    }
}

/// The sites with histograms of their own.
#[derive(Debug, Default)]
pub(crate) struct BusiestSites {
    /// By the site's place: what it had when it got them.
    named: BTreeMap<usize, Latency>,
    /// What sites had under their own names that have lost them.
    retired: Latency,
    /// Each site's requests at the last look, and when that was.
    requests: Vec<u64>,
    ranked_ms: Option<u64>,
}

impl BusiestSites {
    /// The histograms by site, with those of `other` last.
    pub(crate) fn scrape<'s>(
        &mut self,
        sites: &'s [SiteStatus],
        now_ms: u64,
    ) -> Vec<(&'s str, Latency)> {
        let is_due = |last| now_ms.saturating_sub(last) >= RANK_EVERY_MS;
        if self.ranked_ms.is_none_or(is_due) || sites.len() <= HISTOGRAM_SITES_MAX {
            self.rank(sites);
            self.ranked_ms = Some(now_ms);
        }
        let all = sites.iter().map(Latency::of).fold(Latency::default(), Latency::plus);
        let own = |(at, before): (&usize, &Latency)| {
            let site = sites.get(*at)?;
            Some((&*site.name, Latency::of(site).since(*before)))
        };
        let mut told: Vec<_> = self.named.iter().filter_map(own).collect();
        let named = told.iter().fold(self.retired, |sum, (_, own)| sum.plus(*own));
        if sites.len() > HISTOGRAM_SITES_MAX {
            told.push((OTHER, all.since(named)));
        }
        told
    }

    /// Gives names to the busiest. A site that has one keeps it until another is twice as busy.
    fn rank(&mut self, sites: &[SiteStatus]) {
        let before = |at: usize| self.requests.get(at).copied().unwrap_or(0);
        let total = |site: &SiteStatus| site.traffic.counts.requests_total;
        let lately: Vec<u64> = sites
            .iter()
            .enumerate()
            .map(|(at, site)| total(site).saturating_sub(before(at)))
            .collect();
        self.requests = sites.iter().map(total).collect();
        let busy = |at: usize| lately.get(at).copied().unwrap_or(0);
        let is_free = |at: &usize| !self.named.contains_key(at) && busy(*at) > 0;
        let mut others: Vec<usize> = (0..sites.len()).filter(is_free).collect();
        others.retain(|at| sites.get(*at).is_some_and(|site| site.name != OTHER));
        others.sort_by_key(|at| std::cmp::Reverse(busy(*at)));
        let mut idlest: Vec<usize> = self.named.keys().copied().collect();
        idlest.sort_by_key(|at| busy(*at));
        let mut idlest = idlest.into_iter();
        for at in others {
            if self.named.len() >= HISTOGRAM_SITES_MAX {
                match idlest.next() {
                    Some(idle) if busy(at) > busy(idle).saturating_mul(2) => {
                        self.retire(idle, sites)
                    }
                    _ => return,
                }
            }
            self.name(at, sites);
        }
    }

    fn name(&mut self, at: usize, sites: &[SiteStatus]) {
        // At the first look nothing has been told yet that could stay in `other`.
        let now = sites.get(at).map(Latency::of).unwrap_or_default();
        let before = if self.ranked_ms.is_some() { now } else { Latency::default() };
        let before = if sites.len() <= HISTOGRAM_SITES_MAX { Latency::default() } else { before };
        self.named.insert(at, before);
    }

    fn retire(&mut self, at: usize, sites: &[SiteStatus]) {
        if let (Some(before), Some(site)) = (self.named.remove(&at), sites.get(at)) {
            self.retired = self.retired.plus(Latency::of(site).since(before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(count: usize) -> Vec<SiteStatus> {
        (0..count).map(|n| SiteStatus { name: format!("s{n}"), ..SiteStatus::default() }).collect()
    }

    fn requests(site: &mut SiteStatus, count: u64) {
        let counts = &mut site.traffic.counts;
        counts.requests_total += count;
        counts.request_duration.buckets[0] += count;
    }

    fn count(told: &[(&str, Latency)], name: &str) -> Option<u64> {
        told.iter().find(|(site, _)| *site == name).map(|(_, own)| own.request.count())
    }

    #[test]
    fn a_few_sites_have_histograms_from_their_first_request_on() {
        let (mut sites, mut busiest) = (sites(HISTOGRAM_SITES_MAX), BusiestSites::default());
        assert!(busiest.scrape(&sites, 0).is_empty());
        requests(&mut sites[7], 3);
        assert_eq!(count(&busiest.scrape(&sites, 1), "s7"), Some(3));
    }

    #[test]
    fn the_busiest_have_their_own_and_no_counter_falls() {
        let (mut sites, mut busiest) = (sites(HISTOGRAM_SITES_MAX + 2), BusiestSites::default());
        for (n, site) in sites.iter_mut().enumerate() {
            requests(site, 100 + n as u64);
        }
        let told = busiest.scrape(&sites, 0);
        assert_eq!(told.len(), HISTOGRAM_SITES_MAX + 1);
        assert_eq!((count(&told, "s0"), count(&told, "s1")), (None, None), "the idlest two");
        assert_eq!((count(&told, "s2"), count(&told, OTHER)), (Some(102), Some(201)));
        // One of the rest becomes busy; the others are as busy as they were.
        for (n, site) in sites.iter_mut().enumerate() {
            requests(site, if n == 0 { 500 } else { 100 + n as u64 });
        }
        let told = busiest.scrape(&sites, 1_000);
        assert_eq!((count(&told, "s0"), count(&told, OTHER)), (None, Some(802)), "not at once");
        let told = busiest.scrape(&sites, RANK_EVERY_MS);
        assert_eq!(count(&told, "s0"), Some(0), "its series begin at zero");
        assert_eq!(count(&told, "s2"), None, "the idlest has lost its own");
        assert_eq!(count(&told, OTHER), Some(802), "what it had stays told once");
        requests(&mut sites[0], 9);
        requests(&mut sites[2], 4);
        let told = busiest.scrape(&sites, RANK_EVERY_MS + 1);
        assert_eq!((count(&told, "s0"), count(&told, OTHER)), (Some(9), Some(806)));
    }

    #[test]
    fn a_site_that_is_called_as_the_rest_is_has_no_series_of_its_own() {
        let mut sites = sites(HISTOGRAM_SITES_MAX + 1);
        sites[3].name = OTHER.to_owned();
        requests(&mut sites[3], 5);
        let told = BusiestSites::default().scrape(&sites, 0);
        assert_eq!((told.len(), count(&told, OTHER)), (1, Some(5)));
    }
}
