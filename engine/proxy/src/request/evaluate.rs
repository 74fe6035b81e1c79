//! Evaluates one request: from its header section to what happens next.
//!
//! All of it is synchronous and precedes forwarding, because a policy of this version only reads the
//! header section. So a rejection costs a parse, an evaluation and one write. The generation is
//! loaded once, so a reload does not affect a request in progress.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_model::{RuleId, Scheme, Tick};
use seawall_ruleset::{ActiveGeneration, Judged, Observer};

use crate::admission::trusted_proxies::ConnectionOwnership;
use crate::connection::Connection;
use crate::context::SharedContext;
use crate::fairness::site_client::SiteClient;
use crate::forward::outgoing::OutgoingRequest;
use crate::http1::head::{
    Framing, HeadError, Persistence, RequestHead, header_slots, is_left_out, normalized, parse_head,
};
use crate::metrics::count;
use crate::request::enforce::{Action, ResponseParams, enforce};
use crate::request::facts::{
    ClientGauges, ConnectionFacts, HeaderFields, NormalizedTarget, build_facts,
};
use crate::request::local_response::{BodyMode, LocalResponse};
use crate::request::record::{RequestRecord, RetainedHead};
use crate::routing::Site;

/// The first of so many requests of a connection records its client as known.
const KNOWN_CLIENT_SAMPLE_EVERY: u32 = 64;

/// What to do with the request at the front of the stream.
#[derive(Debug)]
pub(crate) struct RequestPlan {
    pub(crate) next: Action,
    pub(crate) framing: Framing,
    /// Whether the client may wait for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// Whether the client announced that it sends no more.
    pub(crate) client_closes: bool,
}

impl RequestPlan {
    fn last(status: u16, framing: Framing) -> Self {
        Self {
            next: Action::Respond(LocalResponse::last(status)),
            framing,
            expects_continue: false,
            client_closes: false,
        }
    }
}

/// Whether the connection may be kept after this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionMode {
    KeepAlive,
    /// This response is its last: the data plane stops, or the connection has reached a limit.
    LastResponse,
}

/// Number of the request on its connection, and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestOrdinal {
    pub(crate) requests: u32,
    pub(crate) mode: ConnectionMode,
    pub(crate) now: Tick,
    pub(crate) body: BodySource,
}

/// What tells the end of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodySource {
    /// The header section, as always in HTTP/1.
    Header,
    /// The end of the stream: HTTP/2 permits a body without a length.
    Stream,
}

/// Counts what rules do for one request, and writes the lines of their `log` actions.
struct Watching<'w> {
    edge: &'w SharedContext,
    live: &'w ActiveGeneration,
    site: &'w str,
    now: Tick,
}

impl Observer for Watching<'_> {
    fn shadowed(&self, rule: RuleId) {
        self.live.tally.shadowed(rule);
    }

    fn applied(&self, rule: RuleId) {
        self.live.tally.hit(rule);
    }

    fn logged(&self, rule: RuleId, text: Option<&str>) {
        let Self { edge, live, site, now } = self;
        edge.policy_log.write((live, &edge.counters), site, (rule, text), *now);
    }
}

/// Evaluates the request whose header section is the first `head_bytes` of `ahead`.
pub(crate) fn evaluate(
    edge: &Arc<SharedContext>,
    conn: &Connection,
    (ahead, head_bytes): (&[u8], usize),
    nth: &RequestOrdinal,
) -> RequestPlan {
    conn.mark_request_received();
    let bytes = ahead.get(..head_bytes).unwrap_or_default();
    let after = ahead.len() - bytes.len();
    if bytes.len() > edge.limits.settings.requests.max_request_header_bytes {
        return invalid_request(edge, HeadError::Bytes);
    }
    let mut room = header_slots();
    let head = match parse_head(bytes, &mut room, &edge.limits) {
        Ok(head) => head,
        Err(why) => return invalid_request(edge, why),
    };
    let is_normal = head.is_normal;
    let front = Front { bytes, head, after };
    if is_normal {
        judge_head(edge, conn, front, nth)
    } else {
        judge_normalized(edge, conn, front, nth)
    }
}

/// A header section of `bytes` at the front of a stream, and how much came after it.
struct Front<'h> {
    bytes: &'h [u8],
    head: RequestHead<'h>,
    after: usize,
}

/// Evaluates the normalized header section. In a function of its own, since it is rare and needs
/// much memory.
#[inline(never)]
fn judge_normalized(
    edge: &Arc<SharedContext>,
    conn: &Connection,
    front: Front<'_>,
    nth: &RequestOrdinal,
) -> RequestPlan {
    let fields = front.head.fields;
    let left_out = fields.iter().filter(|field| is_left_out(field.name)).count();
    edge.counters.requests.headers_removed.fetch_add(left_out as u64, Relaxed);
    let bytes = normalized(front.bytes, fields);
    let mut room = header_slots();
    match parse_head(&bytes, &mut room, &edge.limits) {
        Ok(head) => judge_head(edge, conn, Front { bytes: &bytes, head, ..front }, nth),
        Err(why) => invalid_request(edge, why),
    }
}

fn judge_head(
    edge: &Arc<SharedContext>,
    conn: &Connection,
    Front { bytes, head, after }: Front<'_>,
    &RequestOrdinal { requests, mode, now, body: source }: &RequestOrdinal,
) -> RequestPlan {
    if head.says_https && conn.tls_info().is_none() {
        // It is ambiguous: the target and the connection name different schemes.
        return invalid_request(edge, HeadError::Target);
    }
    let folded = match NormalizedTarget::of(&head) {
        Ok(folded) => folded,
        Err(why) => return invalid_request(edge, why),
    };
    count(&edge.counters.requests.total);
    let Some(route) = folded.host.as_deref().and_then(|host| edge.sites.find(host)) else {
        count(&edge.counters.requests.rejected.unknown_host);
        return without_site(edge, 421, head.framing);
    };
    if !matches_sni(edge, conn, route) {
        count(&edge.counters.requests.rejected.sni_host_mismatch);
        return without_site(edge, 421, head.framing);
    }
    count(&route.part.counts.requests_total);
    let live = edge.handle.load();
    let fields = HeaderFields(head.fields);
    let spoken = conn.tls_info().cloned();
    let scheme = if spoken.is_some() { Scheme::Https } else { Scheme::Http };
    let asker = edge.resolve_client((conn.client, scheme), &fields);
    let (client, port, accepted) = (asker.client, conn.port, conn.accepted);
    let visit = SiteClient { route, client: &client, state: &live.state, now };
    if !charge_site(edge, conn, &visit, asker.line) {
        count(&edge.counters.connections.rejected.site_share);
        return RequestPlan { next: Action::Reset, ..RequestPlan::last(503, head.framing) };
    }
    let h2 = [&conn.streams, &conn.resets, &conn.glitches].map(|count| count.load(Relaxed));
    let h2 = h2.into();
    let through = ConnectionFacts {
        client,
        port,
        accepted,
        requests,
        now,
        spoken,
        h2,
        line: asker.line,
        scheme: asker.scheme,
        is_old: head.is_old,
    };
    let gauges = ClientGauges { edge, through: &through };
    let facts = build_facts((&head, &fields, &folded), route, &gauges);
    let watching = Watching { edge, live: &live, site: &route.name, now };
    let Judged { decision, units } = live.rules.judge(&facts, &live.state, now, &watching);
    let watched = live.rules.has_on_response();
    let kept = watched.then(|| RetainedHead { head: bytes.into(), through: through.clone() });
    let mut case = RequestRecord::new((edge, route.id), live, decision, now);
    case.units = units;
    case.kept = kept;
    let persistence = persistence(&head, after, mode);
    let is_noted =
        asker.line == ConnectionOwnership::Shared || requests % KNOWN_CLIENT_SAMPLE_EVERY == 1;
    let timeouts = route.timeouts(&folded.path);
    let body = if head.method == "HEAD" { BodyMode::HeadersOnly } else { BodyMode::Send };
    let purpose = head.kind;
    let manner = ResponseParams { body, persistence, purpose, asker, is_noted, timeouts };
    let keep_alive = head.persistence == Persistence::Keep && mode == ConnectionMode::KeepAlive;
    let request =
        || OutgoingRequest::new((bytes, &head), &asker, (keep_alive, conn.is_h2()), source);
    let next = enforce(case, route, manner, request);
    let is_final = head.persistence == Persistence::Close;
    RequestPlan {
        next,
        framing: head.framing,
        expects_continue: head.expects_continue,
        client_closes: is_final,
    }
}

/// Returns whether the connection's server name leads to the site of the request. A connection is
/// charged to the site of its name, and requests for another site must not use that account (RFC
/// 9110 §15.5.20). A connection without a name serves any site, but over HTTP/2 only the site of
/// its first request: the bytes of mixed streams cannot be charged to sites.
fn matches_sni(edge: &SharedContext, conn: &Connection, route: &Site) -> bool {
    if conn.is_h2() && conn.stake.is_bound_elsewhere(route.id) {
        return false;
    }
    let sni = conn.tls_info().and_then(|spoken| spoken.sni.as_deref());
    sni.is_none_or(|sni| edge.sites.find(sni).is_some_and(|named| named.id == route.id))
}

/// Charges the connection to the site of its request, and returns whether it is within the limits.
/// A trusted proxy's connection brings many clients to many sites and is charged to none.
fn charge_site(
    edge: &SharedContext,
    conn: &Connection,
    visit: &SiteClient<'_>,
    line: ConnectionOwnership,
) -> bool {
    match line {
        ConnectionOwnership::Own => edge.shares.charge_connection(conn, visit),
        ConnectionOwnership::Shared => {
            let _is_other = conn.stake.set_active_site(visit.route.id);
            true
        }
    }
}

/// The response to a request that belongs to no site.
fn without_site(edge: &SharedContext, status: u16, framing: Framing) -> RequestPlan {
    edge.counters.requests.responses_without_site.count(status);
    RequestPlan::last(status, framing)
}

/// Returns the response to an invalid or ambiguous header section.
pub(crate) fn invalid_request(edge: &SharedContext, why: HeadError) -> RequestPlan {
    edge.counters.requests.header_errors.count(why as usize);
    without_site(edge, why.status(), Framing::Length(0))
}

/// Returns whether the connection is kept after a rejection: only if the whole request is here.
fn persistence(head: &RequestHead<'_>, bytes_after: usize, mode: ConnectionMode) -> Persistence {
    let is_all_here = match head.framing {
        Framing::Length(body) => body <= bytes_after as u64,
        Framing::Chunked => false,
    };
    let keep = is_all_here && mode == ConnectionMode::KeepAlive;
    if keep { head.persistence } else { Persistence::Close }
}
