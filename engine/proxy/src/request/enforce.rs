//! From a decision to what happens: one arm per verdict.
//!
//! A [`AllowedRequest`] comes out of the admit arm and nowhere else, an [`AdmittedRequest`] out of that (their
//! fields are private to this file), and forwarding takes one, so what was not admitted has nothing
//! to be forwarded with. A verdict that this version cannot carry out is refused at load; should one
//! come all the same, it is our fault, and the request is refused rather than let in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_model::Verdict;
use seawall_ruleset::Units;

use crate::admission::concurrency_limit::{ConcurrencyPermit, SlotSource};
use crate::admission::trusted_proxies::{ConnectionOwnership, ResolvedClient};
use crate::context::SharedContext;
use crate::fairness::site_client::SiteClient;
use crate::http1::head::{Persistence, RequestKind};
use crate::http1::stream::BodyBuffered;
use crate::metrics::count;
use crate::request::local_response::{BodyMode, LocalResponse, RejectionCode};
use crate::request::record::RequestRecord;
use crate::routing::{Site, Timeouts};
use crate::upstream::queue::OriginSlot;
use crate::upstream::slot_kind::SlotKind;

/// A request that the policy lets in, before there is a place for it at its origin.
#[derive(Debug)]
pub(crate) struct AllowedRequest {
    case: RequestRecord,
    route: Arc<Site>,
    manner: ResponseParams,
}

impl AllowedRequest {
    pub(crate) fn edge(&self) -> &Arc<SharedContext> {
        self.case.edge()
    }

    /// Its connection's other requests took all the time that it could wait.
    pub(crate) fn reject_forward_timeout(self) -> LocalResponse {
        count(&self.edge().counters.h2_turns_late);
        local_response(self.case, self.manner, 503, Some(1_000))
    }

    /// Takes its places: one of its client's, and one of its site's, for which it may have to wait.
    /// A larger body is still to come where not all of the request is `here`.
    ///
    /// # Errors
    /// There is none; the answer says so.
    pub(crate) async fn acquire_slot(
        self,
        here: BodyBuffered,
    ) -> Result<AdmittedRequest, LocalResponse> {
        let Self { mut case, route, manner } = self;
        let edge = Arc::clone(case.edge());
        let second = Some(1_000);
        let client = manner.asker.client;
        let Ok(permit) = edge.forwarding.enter(Some(&client), SlotSource::Free) else {
            count(&edge.counters.forwards_refused);
            return Err(local_response(case, manner, 429, second));
        };
        let stay = match (manner.purpose, here) {
            (RequestKind::WebSocket, _) => SlotKind::Tunnel,
            (RequestKind::Plain, BodyBuffered::Partial) => SlotKind::Upload,
            (RequestKind::Plain, BodyBuffered::Complete) => SlotKind::Request,
        };
        let now = (edge.now)();
        if route.origins.is_down(now) {
            // Said here, it costs neither the connection nor a way through the engine.
            count(&edge.counters.origin_down);
            return Err(local_response(case, manner, 503, second));
        }
        let visit = SiteClient { route: &route, client: &client, state: &case.live.state, now };
        let under_way = || edge.forwarding.held(&client);
        let Ok(seat) = edge.shares.acquire(&visit, (stay, under_way)).await else {
            count(&edge.counters.origin_full);
            // A second from now some of those in flight will be done.
            return Err(local_response(case, manner, 503, second));
        };
        count(&edge.counters.admitted);
        count(&route.part.counts.admitted);
        let units = std::mem::take(&mut case.units);
        let stand = Stand::new(seat, (permit, units), edge);
        let ResponseParams { purpose, asker, is_noted, timeouts, is_normal, .. } = manner;
        Ok(AdmittedRequest { case, stand, purpose, asker, is_noted, timeouts, is_normal })
    }
}

/// A request that may go to its origin. Good for one.
#[derive(Debug)]
pub(crate) struct AdmittedRequest {
    case: RequestRecord,
    stand: Stand,
    purpose: RequestKind,
    asker: ResolvedClient,
    is_noted: bool,
    timeouts: Timeouts,
    is_normal: bool,
}

/// The places of a request at an origin: one of its site's, one of its client's, and what it counts as
/// under way in the limits of the policy. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Stand {
    seat: OriginSlot,
    _counted: (ConcurrencyPermit, Units),
    edge: Arc<SharedContext>,
}

impl Stand {
    fn new(
        seat: OriginSlot,
        counted: (ConcurrencyPermit, Units),
        edge: Arc<SharedContext>,
    ) -> Self {
        count(&edge.counters.in_flight);
        Self { seat, _counted: counted, edge }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.edge.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

impl AdmittedRequest {
    pub(crate) fn route(&self) -> &Arc<Site> {
        self.stand.seat.route()
    }

    pub(crate) const fn stay(&self) -> SlotKind {
        self.stand.seat.stay()
    }

    pub(crate) const fn purpose(&self) -> RequestKind {
        self.purpose
    }

    /// Whether its head is forwarded as it came.
    pub(crate) const fn is_normal(&self) -> bool {
        self.is_normal
    }

    /// How long its origin is waited for.
    pub(crate) const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) const fn asker(&self) -> &ResolvedClient {
        &self.asker
    }

    pub(crate) fn edge(&self) -> &Arc<SharedContext> {
        self.case.edge()
    }

    /// Its places, for as long as its origin is at work for it. The decision is remembered now.
    pub(crate) fn into_stand(self) -> Stand {
        self.stand
    }

    /// Notes what was answered in the end; a client that was served is known to the site.
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

/// How a refused request is to be answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseParams {
    pub(crate) body: BodyMode,
    pub(crate) persistence: Persistence,
    pub(crate) purpose: RequestKind,
    pub(crate) asker: ResolvedClient,
    /// Whether its client counts as known once it is served: asked of some requests of a connection
    /// only, since the answer is the same.
    pub(crate) is_noted: bool,
    pub(crate) timeouts: Timeouts,
    /// Whether its head is forwarded as it came.
    pub(crate) is_normal: bool,
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Action {
    /// The request goes to its origin, if there is a place for it.
    Forward(AllowedRequest),
    /// It is answered here.
    Respond(LocalResponse),
    /// The connection is reset.
    Reset,
    /// The connection is held, then reset.
    Tarpit(TarpitGuard),
}

/// A place among those that are held, given back when dropped.
#[derive(Debug)]
pub(crate) struct TarpitGuard {
    case: RequestRecord,
    pub(crate) hold_ms: u64,
}

impl Drop for TarpitGuard {
    fn drop(&mut self) {
        self.case.edge().counters.tarpits.fetch_sub(1, Relaxed);
    }
}

/// Carries out a decision.
pub(crate) fn enforce(case: RequestRecord, route: &Arc<Site>, manner: ResponseParams) -> Action {
    match case.decision.verdict {
        Verdict::Allow if is_shed(&case, route, &manner) => reject(case, manner, 503, Some(1_000)),
        Verdict::Allow => {
            Action::Forward(AllowedRequest { case, route: Arc::clone(route), manner })
        }
        Verdict::Block { status, retry_after_ms } => reject(case, manner, status, retry_after_ms),
        Verdict::Throttle { retry_after_ms } => reject(case, manner, 429, Some(retry_after_ms)),
        Verdict::Drop => {
            count(&case.edge().counters.dropped);
            reset_connection(case, manner)
        }
        Verdict::Tarpit { hold_ms } => match manner.asker.line {
            ConnectionOwnership::Own => tarpit(case, hold_ms),
            // Held would be the hop, and with it everybody whom it would have sent next.
            ConnectionOwnership::Shared => reset_connection(case, manner),
        },
        // The ban itself is in the state already, and meets the client's next connections.
        Verdict::Ban { .. } => {
            count(&case.edge().counters.banned);
            reset_connection(case, manner)
        }
        Verdict::Challenge { .. } => {
            count(&case.edge().counters.unenforceable);
            reject(case, manner, 503, None)
        }
    }
}

/// Whether the host has too little of something to serve a client whom the site does not know.
fn is_shed(case: &RequestRecord, route: &Arc<Site>, manner: &ResponseParams) -> bool {
    let edge = case.edge();
    if !edge.overload.is_shedding() {
        return false;
    }
    let (client, state, now) = (&manner.asker.client, &case.live.state, (edge.now)());
    let is_shed = !SiteClient { route, client, state, now }.is_known(&edge.limits);
    if is_shed {
        count(&edge.counters.overload_shed);
        count(&route.part.counts.overload_shed);
        route.part.note_trouble(now, &edge.limits);
    }
    is_shed
}

/// Resets the client's connection. One that a hop shares among clients is not the client's: a
/// reset would cost others their places in it and let a stranger make the hop believe that we are
/// down, so it is told 403 instead.
fn reset_connection(case: RequestRecord, manner: ResponseParams) -> Action {
    match manner.asker.line {
        ConnectionOwnership::Own => Action::Reset,
        ConnectionOwnership::Shared => reject(case, manner, 403, None),
    }
}

/// Holding costs us a descriptor and the client its connection; so only so many are held, and who
/// comes then is not worth more than a reset.
fn tarpit(case: RequestRecord, hold_ms: u64) -> Action {
    let edge = Arc::clone(case.edge());
    if edge.counters.tarpits.fetch_add(1, Relaxed) >= edge.limits.max_tarpits {
        edge.counters.tarpits.fetch_sub(1, Relaxed);
        count(&edge.counters.tarpits_full);
        return Action::Reset;
    }
    count(&edge.counters.tarpitted);
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
    count(&case.edge().counters.refused);
    let code = Some(RejectionCode::of(case.live.generation, case.decision.reason));
    let ResponseParams { body, persistence, .. } = manner;
    let answer = LocalResponse { status, retry_after_ms, code, body, persistence };
    case.status = status;
    case.bytes_out = answer.bytes_out();
    answer
}
