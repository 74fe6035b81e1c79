//! Enforces a decision: one arm per verdict.
//!
//! An [`AllowedRequest`] only comes from the arm of the admit action, and an [`AdmittedRequest`]
//! only from that (their fields are private to this file). Forwarding takes an [`AdmittedRequest`],
//! so a request that was not admitted cannot be forwarded. A verdict that this version cannot
//! enforce is an error at load. If one came all the same, the request would be rejected.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_model::Verdict;
use seawall_ruleset::Units;

use crate::admission::concurrency_limit::{ConcurrencyPermit, SlotSource};
use crate::admission::trusted_proxies::{ConnectionOwnership, ResolvedClient};
use crate::context::SharedContext;
use crate::fairness::site_client::SiteClient;
use crate::forward::outgoing::OutgoingRequest;
use crate::http1::head::{Persistence, RequestKind};
use crate::http1::stream::BodyBuffered;
use crate::metrics::count;
use crate::request::local_response::{BodyMode, LocalResponse, RejectionCode};
use crate::request::record::RequestRecord;
use crate::routing::{Site, Timeouts};
use crate::upstream::queue::OriginSlot;
use crate::upstream::slot_kind::SlotKind;

/// A request that the policy admits, before it has an origin slot.
#[derive(Debug)]
pub(crate) struct AllowedRequest {
    case: RequestRecord,
    route: Arc<Site>,
    manner: ResponseParams,
    request: OutgoingRequest,
}

impl AllowedRequest {
    pub(crate) fn edge(&self) -> &Arc<SharedContext> {
        self.case.edge()
    }

    /// Notes the status with which it was answered before it got its place.
    pub(crate) const fn note_response(&mut self, status: u16) {
        self.case.status = status;
    }

    /// Returns the local response after the other requests of its connection used up its waiting
    /// time.
    pub(crate) fn reject_forward_timeout(self) -> LocalResponse {
        count(&self.edge().counters.requests.rejected.h2_forward_window_timeout);
        local_response(self.case, self.manner, 503, Some(1_000))
    }

    /// Acquires the request's permit and an origin slot, for which it may have to wait in the
    /// queue. `here` tells whether a part of the body is still to come.
    ///
    /// # Errors
    /// Returns the local response to send if no permit or slot is free, or none in time.
    pub(crate) async fn acquire_slot(
        self,
        here: BodyBuffered,
    ) -> Result<(AdmittedRequest, OutgoingRequest), LocalResponse> {
        let Self { mut case, route, manner, request } = self;
        let edge = Arc::clone(case.edge());
        let second = Some(1_000);
        let client = manner.asker.client;
        let Ok(permit) = edge.forwarding.enter(Some(&client), SlotSource::Free) else {
            count(&edge.counters.requests.rejected.max_concurrent_requests_per_client);
            return Err(local_response(case, manner, 429, second));
        };
        let stay = match (manner.purpose, here) {
            (RequestKind::WebSocket, _) => SlotKind::Tunnel,
            (RequestKind::Plain, BodyBuffered::Partial) => SlotKind::Upload,
            (RequestKind::Plain, BodyBuffered::Complete) => SlotKind::Request,
        };
        let now = (edge.now)();
        if route.origins.is_down(now) {
            // A local response here costs neither the connection nor the engine.
            count(&edge.counters.requests.rejected.no_healthy_origin);
            return Err(local_response(case, manner, 503, second));
        }
        let visit = SiteClient { route: &route, client: &client, state: &case.live.state, now };
        let under_way = || edge.forwarding.held(&client);
        let Ok(seat) = edge.shares.acquire(&visit, (stay, under_way)).await else {
            count(&edge.counters.requests.rejected.origin_busy);
            // In a second some of the requests in flight will have ended.
            return Err(local_response(case, manner, 503, second));
        };
        count(&edge.counters.requests.forwarded);
        count(&route.part.counts.requests_forwarded_total);
        let units = std::mem::take(&mut case.units);
        let stand = Stand::new(seat, (permit, units), edge);
        let ResponseParams { asker, is_noted, timeouts, .. } = manner;
        let admitted = AdmittedRequest { case, stand, asker, is_noted, timeouts };
        Ok((admitted, request))
    }
}

/// A request that may be forwarded to its origin, once.
#[derive(Debug)]
pub(crate) struct AdmittedRequest {
    case: RequestRecord,
    stand: Stand,
    asker: ResolvedClient,
    is_noted: bool,
    timeouts: Timeouts,
}

/// Origin slot, permit and policy counters of a request at an origin. Released when dropped.
#[derive(Debug)]
pub(crate) struct Stand {
    seat: OriginSlot,
    _counted: (ConcurrencyPermit, Units),
    edge: Arc<SharedContext>,
}

impl Stand {
    pub(crate) fn route(&self) -> &Arc<Site> {
        self.seat.route()
    }

    fn new(
        seat: OriginSlot,
        counted: (ConcurrencyPermit, Units),
        edge: Arc<SharedContext>,
    ) -> Self {
        count(&edge.counters.requests.active);
        Self { seat, _counted: counted, edge }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.edge.counters.requests.active.fetch_sub(1, Relaxed);
    }
}

impl AdmittedRequest {
    pub(crate) fn route(&self) -> &Arc<Site> {
        self.stand.seat.route()
    }

    pub(crate) const fn stay(&self) -> SlotKind {
        self.stand.seat.stay()
    }

    /// Returns the timeouts of its origin.
    pub(crate) const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn edge(&self) -> &Arc<SharedContext> {
        self.case.edge()
    }

    /// Returns the slot and permit, for as long as the origin works on it. The decision is recorded
    /// now.
    pub(crate) fn into_stand(self) -> Stand {
        self.stand
    }

    /// Records the final response; a client that was served becomes known to the site.
    pub(crate) fn record_response(&mut self, status: u16, bytes_out: u64) {
        if self.is_noted && (200..400).contains(&status) {
            let now = (self.edge().now)();
            let (route, state) = (self.route(), &self.case.live.state);
            let visit = SiteClient { route, client: &self.asker.client, state, now };
            self.edge().shares.note_served(&visit);
        }
        self.case.status = status;
        self.case.bytes_out = bytes_out;
    }
}

/// Parameters of the response to a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseParams {
    pub(crate) body: BodyMode,
    pub(crate) persistence: Persistence,
    pub(crate) purpose: RequestKind,
    pub(crate) asker: ResolvedClient,
    /// Whether its client counts as known once it is served. Only some requests of a connection
    /// record this, since the result is the same.
    pub(crate) is_noted: bool,
    pub(crate) timeouts: Timeouts,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Action {
    /// The request goes to its origin, if it gets a slot.
    Forward(AllowedRequest),
    /// The client gets a local response.
    Respond(LocalResponse),
    /// The connection is reset.
    Reset,
    /// The connection is kept in the tarpit, then reset.
    Tarpit(TarpitGuard),
}

/// A place in the tarpit, released when dropped.
#[derive(Debug)]
pub(crate) struct TarpitGuard {
    case: RequestRecord,
    pub(crate) hold_ms: u64,
}

impl Drop for TarpitGuard {
    fn drop(&mut self) {
        self.case.edge().counters.tarpits.active.fetch_sub(1, Relaxed);
    }
}

/// Carries out a decision.
pub(crate) fn enforce(
    case: RequestRecord,
    route: &Arc<Site>,
    manner: ResponseParams,
    request: impl FnOnce() -> OutgoingRequest,
) -> Action {
    match case.decision.verdict {
        Verdict::Allow if is_shed(&case, route, &manner) => reject(case, manner, 503, Some(1_000)),
        Verdict::Allow => {
            let (route, request) = (Arc::clone(route), request());
            Action::Forward(AllowedRequest { case, route, manner, request })
        }
        Verdict::Block { status, retry_after_ms } => reject(case, manner, status, retry_after_ms),
        Verdict::Throttle { retry_after_ms } => reject(case, manner, 429, Some(retry_after_ms)),
        Verdict::Drop => {
            count(&case.edge().counters.connections.closed.policy_drop);
            reset_connection(case, manner)
        }
        Verdict::Tarpit { hold_ms } => match manner.asker.line {
            ConnectionOwnership::Own => tarpit(case, hold_ms),
            // The tarpit would hold the trusted proxy's connection, and so its next clients.
            ConnectionOwnership::Shared => reset_connection(case, manner),
        },
        // The ban itself is in the state already, and applies to the client's next connections.
        Verdict::Ban { .. } => {
            count(&case.edge().counters.connections.closed.policy_ban);
            reset_connection(case, manner)
        }
        Verdict::Challenge { .. } => {
            count(&case.edge().counters.requests.rejected.unsupported_verdict);
            reject(case, manner, 503, None)
        }
    }
}

/// Returns whether the server is overloaded and the site does not know the client.
fn is_shed(case: &RequestRecord, route: &Arc<Site>, manner: &ResponseParams) -> bool {
    let edge = case.edge();
    if !edge.overload.is_shedding() {
        return false;
    }
    let (client, state, now) = (&manner.asker.client, &case.live.state, (edge.now)());
    let is_shed = !SiteClient { route, client, state, now }.is_known(&edge.limits);
    if is_shed {
        count(&edge.counters.requests.rejected.overload);
        count(&route.part.counts.rejected.overload);
        route.part.note_trouble(now, &edge.limits);
    }
    is_shed
}

/// Resets the client's connection. A trusted proxy's connection carries many clients: a reset would
/// abort the requests of others and could make the proxy consider the server down. So it gets a 403
/// instead.
fn reset_connection(case: RequestRecord, manner: ResponseParams) -> Action {
    match manner.asker.line {
        ConnectionOwnership::Own => Action::Reset,
        ConnectionOwnership::Shared => reject(case, manner, 403, None),
    }
}

/// Puts the connection into the tarpit. That costs a descriptor, so their number is limited; beyond
/// the limit the connection is reset.
fn tarpit(case: RequestRecord, hold_ms: u64) -> Action {
    let edge = Arc::clone(case.edge());
    if edge.counters.tarpits.active.fetch_add(1, Relaxed) >= edge.limits.max_tarpits {
        edge.counters.tarpits.active.fetch_sub(1, Relaxed);
        count(&edge.counters.tarpits.rejected);
        return Action::Reset;
    }
    count(&edge.counters.tarpits.total);
    Action::Tarpit(TarpitGuard { case, hold_ms })
}

fn reject(
    mut case: RequestRecord,
    manner: ResponseParams,
    status: u16,
    retry_after_ms: Option<u64>,
) -> Action {
    case.is_over = true;
    Action::Respond(local_response(case, manner, status, retry_after_ms))
}

fn local_response(
    mut case: RequestRecord,
    manner: ResponseParams,
    status: u16,
    retry_after_ms: Option<u64>,
) -> LocalResponse {
    count(&case.edge().counters.requests.local_responses);
    let code = Some(RejectionCode::of(case.live.generation, case.decision.reason));
    let ResponseParams { body, persistence, .. } = manner;
    let answer = LocalResponse { status, retry_after_ms, code, body, persistence };
    case.status = status;
    case.bytes_out = answer.bytes_out();
    answer
}
