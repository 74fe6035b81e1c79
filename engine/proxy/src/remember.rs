//! What is remembered of each decision.
//!
//! A [`Case`] is made with the decision and remembers itself when it is dropped, so that every
//! decision is remembered exactly once, whichever way its request ends: answered, reset, broken off
//! by the client, cut at shutdown. A full ring loses its oldest record; nobody waits.

use std::sync::Arc;

use seawall_model::{Decision, DecisionRecord, Reason, SiteId, Tick};
use seawall_ruleset::Live;

use crate::edge::Edge;

/// One decision and what came of it.
#[derive(Debug)]
pub(crate) struct Case {
    edge: Arc<Edge>,
    pub(crate) live: Arc<Live>,
    site: SiteId,
    pub(crate) decision: Decision,
    began: Tick,
    /// What was answered; 0 for nothing.
    pub(crate) status: u16,
    /// Bytes of the answer's body.
    pub(crate) bytes_out: u64,
}

impl Case {
    pub(crate) fn new(
        edge: &Arc<Edge>,
        live: Arc<Live>,
        site: SiteId,
        decision: Decision,
        began: Tick,
    ) -> Self {
        Self { edge: Arc::clone(edge), live, site, decision, began, status: 0, bytes_out: 0 }
    }

    pub(crate) fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let Decision { verdict, reason } = self.decision;
        self.live.tally.decided(verdict.kind());
        if let Reason::Rule(rule) = reason {
            self.live.tally.hit(rule);
        }
        let took_ms = (self.edge.now)().since_ms(self.began);
        self.edge.records.push(DecisionRecord {
            at: self.began,
            generation: self.live.generation,
            site: Some(self.site),
            verdict: verdict.kind(),
            reason,
            status: self.status,
            bytes_out: self.bytes_out,
            latency_ms: u32::try_from(took_ms).unwrap_or(u32::MAX),
        });
    }
}
