//! What all workers share.

use std::fmt;
use std::sync::Arc;

use seawall_model::{ClientUnits, Now};
use seawall_ruleset::Handle;

use crate::admission::concurrency_limit::Admission;
use crate::admission::connection_rate::Arrivals;
use crate::fairness::Shares;
use crate::fairness::cpu::Processor;
use crate::overload::Overload;
use crate::request::policy_log::PolicyLog;
use crate::routing::Sites;
use crate::{EdgeCounters, EdgeLimits, TrustedProxies};

/// The shared part of the data plane.
pub(crate) struct Edge {
    pub(crate) handle: Arc<Handle>,
    pub(crate) now: Now,
    pub(crate) units: ClientUnits,
    pub(crate) trusted: TrustedProxies,
    pub(crate) sites: Sites,
    pub(crate) shares: Arc<Shares>,
    pub(crate) arrivals: Arrivals,
    pub(crate) policy_log: PolicyLog,
    pub(crate) overload: Arc<Overload>,
    /// Connections, by client.
    pub(crate) connections: Arc<Admission>,
    /// Requests that are under way at an origin or wait for a place there, by client.
    pub(crate) forwarding: Arc<Admission>,
    pub(crate) limits: Arc<EdgeLimits>,
    pub(crate) counters: Arc<EdgeCounters>,
}

impl Edge {
    /// A worker's processor, for its sites to share.
    pub(crate) fn processor(&self) -> Processor {
        let weights: Vec<u32> = self.sites.all().iter().map(|of| of.part.weight()).collect();
        Processor::new(&self.limits, &weights)
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("limits", &self.limits).finish_non_exhaustive()
    }
}
