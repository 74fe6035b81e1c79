//! What all workers share.

use std::fmt;
use std::sync::Arc;

use seawall_config::TrustedProxies;
use seawall_model::{Client, ClientPrefixes, HeaderView, Now, Scheme};
use seawall_ruleset::RuleSetHandle;

use crate::admission::concurrency_limit::ConcurrencyLimiter;
use crate::admission::connection_rate::ConnectionRateLimiter;
use crate::admission::trusted_proxies::{ResolvedClient, resolve_client};
use crate::fairness::FairSharing;
use crate::fairness::cpu::CpuScheduler;
use crate::overload::OverloadManager;
use crate::request::policy_log::PolicyLog;
use crate::routing::SiteTable;
use crate::{ProxyLimits, ProxyMetrics};

/// The shared part of the data plane.
pub(crate) struct SharedContext {
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) now: Now,
    pub(crate) units: ClientPrefixes,
    pub(crate) trusted: TrustedProxies,
    pub(crate) sites: SiteTable,
    pub(crate) shares: Arc<FairSharing>,
    pub(crate) arrivals: ConnectionRateLimiter,
    pub(crate) policy_log: PolicyLog,
    pub(crate) overload: Arc<OverloadManager>,
    /// Concurrent connections, by client.
    pub(crate) connections: Arc<ConcurrencyLimiter>,
    /// Requests that are at an origin or wait for a slot there, by client.
    pub(crate) forwarding: Arc<ConcurrencyLimiter>,
    pub(crate) limits: Arc<ProxyLimits>,
    pub(crate) counters: Arc<ProxyMetrics>,
}

impl SharedContext {
    /// Returns a scheduler that shares one worker's CPU time among the sites.
    pub(crate) fn processor(&self) -> CpuScheduler {
        let weights: Vec<u32> = self.sites.all().iter().map(|of| of.part.weight()).collect();
        CpuScheduler::new(&self.limits, &weights)
    }

    /// Returns who asks in a request that came from `direct`.
    pub(crate) fn resolve_client(
        &self,
        direct: (Client, Scheme),
        fields: &dyn HeaderView,
    ) -> ResolvedClient {
        let entries_max = self.limits.max_forwarded_entries;
        resolve_client(&self.trusted, direct, fields, &self.units, entries_max)
    }
}

impl fmt::Debug for SharedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedContext").field("limits", &self.limits).finish_non_exhaustive()
    }
}
