//! The record of each decision.
//!
//! A [`RequestRecord`] is created with the decision and counts it when it is dropped. So every
//! decision is counted exactly once, however its request ends: response, reset, closed by the
//! client, or aborted at shutdown. A request that got no response is no response of its site.

use std::sync::Arc;

use seawall_model::{Decision, ResponseInfo, SiteId, Tick};
use seawall_ruleset::{ActiveGeneration, Units};

use crate::context::SharedContext;
use crate::http1::head::{header_slots, parse_head};
use crate::request::facts::{
    ClientGauges, ConnectionFacts, HeaderFields, NormalizedTarget, build_facts,
};

/// One decision and its result.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    edge: Arc<SharedContext>,
    /// A number and no reference: nothing is shared with other workers for its sake.
    site: SiteId,
    pub(crate) live: Arc<ActiveGeneration>,
    pub(crate) decision: Decision,
    began: Tick,
    /// Status of the response; 0 for none.
    pub(crate) status: u16,
    /// Bytes of the response's body.
    pub(crate) bytes_out: u64,
    /// The response came with the decision, without a duration.
    pub(crate) is_over: bool,
    /// What it counts as in the policy's limits on concurrent requests.
    pub(crate) units: Units,
    /// The header section for counters with `on response`.
    pub(crate) kept: Option<RetainedHead>,
}

/// A header section that is evaluated again after its response. It is only kept if the policy needs
/// it, and the limit on header sections bounds it.
#[derive(Debug)]
pub(crate) struct RetainedHead {
    pub(crate) head: Box<[u8]>,
    pub(crate) through: ConnectionFacts,
}

impl RequestRecord {
    pub(crate) fn new(
        (edge, site): (&Arc<SharedContext>, SiteId),
        live: Arc<ActiveGeneration>,
        decision: Decision,
        began: Tick,
    ) -> Self {
        let edge = Arc::clone(edge);
        Self {
            edge,
            site,
            live,
            decision,
            began,
            status: 0,
            bytes_out: 0,
            is_over: false,
            units: Units::new(),
            kept: None,
        }
    }

    /// Passes the response to the policy.
    fn feed_on_response(&self, kept: &RetainedHead, answered: ResponseInfo) {
        let mut room = header_slots();
        let Ok(head) = parse_head(&kept.head, &mut room, &self.edge.limits) else { return };
        let Ok(folded) = NormalizedTarget::of(&head) else { return };
        let route = folded.host.as_deref().and_then(|host| self.edge.sites.find(host));
        let Some(route) = route else { return };
        let fields = HeaderFields(head.fields);
        let gauges = ClientGauges { edge: &self.edge, through: &kept.through };
        let facts = build_facts((&head, &fields, &folded), route, &gauges);
        let ended = self.began.plus_ms(answered.latency_ms);
        self.live.rules.on_response(&facts, answered, &self.live.state, ended);
    }

    /// Counts the response at its site; a request that got none is no response.
    fn count_response(&self, took_ms: u64) {
        if let (Some(site), 1..) = (self.edge.sites.by_id(self.site), self.status) {
            let counts = &site.part.counts;
            counts.responses.count(self.status);
            // A WebSocket lasts as long as its client wants.
            if self.status != 101 {
                counts.request_duration.observe_ms(took_ms);
            }
        }
    }

    pub(crate) fn edge(&self) -> &Arc<SharedContext> {
        &self.edge
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        self.live.tally.decided(self.decision.verdict.kind());
        let took_ms = if self.is_over { 0 } else { (self.edge.now)().since_ms(self.began) };
        self.count_response(took_ms);
        if let (Some(kept), 1..) = (self.kept.take(), self.status) {
            let (status, bytes_out) = (self.status, self.bytes_out);
            self.feed_on_response(&kept, ResponseInfo { status, bytes_out, latency_ms: took_ms });
        }
    }
}
