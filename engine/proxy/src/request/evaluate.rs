//! See, judge, enforce: one request from its head to what happens next.
//!
//! All of it is synchronous and happens before pingora's machinery, because in HTTP/1 the head is
//! all that a policy of this version can ask about: a refusal costs a parse, a judgement and one
//! write. The generation is loaded once, so a reload in mid-request changes nothing for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use seawall_model::{RuleId, Scheme, Tick};
use seawall_ruleset::{Judged, Live, Observer};

use crate::admission::trusted_proxies::Line;
use crate::connection::Conn;
use crate::context::Edge;
use crate::fairness::site_client::Visit;
use crate::http1::head::{
    BadHead, Framing, Head, Persistence, field_room, is_left_out, normalized, vet,
};
use crate::metrics::count;
use crate::request::enforce::{Manner, Next, enforce};
use crate::request::facts::{ClientGauges, Folded, Through, WireFields, facts_of};
use crate::request::local_response::{Answer, BodyWanted};
use crate::request::record::{Case, Kept};
use crate::routing::Route;

/// Requests of a connection, of which the first is asked whether its client is known from then on.
const NOTED_EVERY: u32 = 64;

/// What to do with the request at the front of the stream.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) next: Next,
    pub(crate) framing: Framing,
    /// Whether the body may not come before it is invited.
    pub(crate) waits: bool,
    /// Whether its client said that it will send no more.
    pub(crate) is_final: bool,
}

impl Step {
    fn last(status: u16, framing: Framing) -> Self {
        Self { next: Next::Answer(Answer::last(status)), framing, waits: false, is_final: false }
    }
}

/// Whether the connection goes on after this request, as far as we are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Serving,
    /// This answer is its last: the data plane stops, or the connection has had its share.
    Last,
}

/// Which request of its connection, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nth {
    pub(crate) requests: u32,
    pub(crate) mode: Mode,
    pub(crate) now: Tick,
}

/// Counts what rules do for one request, and writes the lines that they ask for.
struct Watching<'w> {
    edge: &'w Edge,
    live: &'w Live,
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

/// Judges the request whose head is the first `head_bytes` of `ahead`.
pub(crate) fn judge(
    edge: &Arc<Edge>,
    conn: &Conn,
    (ahead, head_bytes): (&[u8], usize),
    nth: &Nth,
) -> Step {
    conn.note_asked();
    let bytes = ahead.get(..head_bytes).unwrap_or_default();
    let after = ahead.len() - bytes.len();
    if bytes.len() > edge.limits.head_bytes_max {
        return refused(edge, BadHead::Bytes);
    }
    let mut room = field_room();
    let head = match vet(bytes, &mut room, &edge.limits) {
        Ok(head) => head,
        Err(why) => return refused(edge, why),
    };
    let is_normal = head.is_normal;
    let front = Front { bytes, head, after, is_normal };
    if is_normal {
        judge_head(edge, conn, front, nth)
    } else {
        judge_normalized(edge, conn, front, nth)
    }
}

/// A head at the front of a stream, of `bytes`, and how much came behind it.
struct Front<'h> {
    bytes: &'h [u8],
    head: Head<'h>,
    after: usize,
    /// Whether it is as it came.
    is_normal: bool,
}

/// Judges what a head becomes, and not what came. Apart, since it is rare and needs much room.
#[inline(never)]
fn judge_normalized(edge: &Arc<Edge>, conn: &Conn, front: Front<'_>, nth: &Nth) -> Step {
    let fields = front.head.fields;
    let left_out = fields.iter().filter(|field| is_left_out(field.name)).count();
    edge.counters.dropped_headers_with_underscores.fetch_add(left_out as u64, Relaxed);
    let bytes = normalized(front.bytes, fields);
    let mut room = field_room();
    match vet(&bytes, &mut room, &edge.limits) {
        Ok(head) => judge_head(edge, conn, Front { bytes: &bytes, head, ..front }, nth),
        Err(why) => refused(edge, why),
    }
}

fn judge_head(
    edge: &Arc<Edge>,
    conn: &Conn,
    Front { bytes, head, after, is_normal }: Front<'_>,
    &Nth { requests, mode, now }: &Nth,
) -> Step {
    if head.says_https && conn.spoken().is_none() {
        // It means two things: what the target says, and what the connection is.
        return refused(edge, BadHead::Target);
    }
    let folded = match Folded::of(&head) {
        Ok(folded) => folded,
        Err(why) => return refused(edge, why),
    };
    count(&edge.counters.requests);
    let Some(route) = folded.host.as_deref().and_then(|host| edge.sites.find(host)) else {
        count(&edge.counters.unknown_host);
        return Step::last(421, head.framing);
    };
    if !is_meant(edge, conn, route) {
        count(&edge.counters.misdirected);
        return Step::last(421, head.framing);
    }
    count(&route.part.counts.requests);
    let live = edge.handle.load();
    let fields = WireFields(head.fields);
    let spoken = conn.spoken().cloned();
    let scheme = if spoken.is_some() { Scheme::Https } else { Scheme::Http };
    let direct = (conn.client, scheme);
    let asker = edge.trusted.asker(direct, &fields, &edge.units, edge.limits.trusted_hops_max);
    let (client, port, accepted) = (asker.client, conn.port, conn.accepted);
    let visit = Visit { route, client: &client, state: &live.state, now };
    if !takes_part(edge, conn, &visit, asker.line) {
        count(&edge.counters.refused_by_share);
        return Step { next: Next::Reset, ..Step::last(503, head.framing) };
    }
    let h2 = [&conn.streams, &conn.resets, &conn.glitches].map(|count| count.load(Relaxed));
    let h2 = h2.into();
    let through = Through {
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
    let facts = facts_of((&head, &fields, &folded), route, &gauges);
    let watching = Watching { edge, live: &live, site: &route.name, now };
    let Judged { decision, units } = live.rules.judge(&facts, &live.state, now, &watching);
    let watched = live.rules.watches_answers();
    let kept = watched.then(|| Kept { head: bytes.into(), through: through.clone() });
    let mut case = Case::new(edge, live, decision, now);
    case.units = units;
    case.kept = kept;
    let persistence = persistence(&head, after, mode);
    let is_noted = asker.line == Line::Shared || requests % NOTED_EVERY == 1;
    let timeouts = route.timeouts(&folded.path);
    let body = if head.method == "HEAD" { BodyWanted::No } else { BodyWanted::Yes };
    let purpose = head.purpose;
    let manner = Manner { body, persistence, purpose, asker, is_noted, timeouts, is_normal };
    let next = enforce(case, route, manner);
    let is_final = head.persistence == Persistence::Close;
    Step { next, framing: head.framing, waits: head.waits, is_final }
}

/// Whether a connection's name leads to the site that a request is for. A connection is accounted to
/// the site of its name, and another site's requests may not travel on that account (RFC 9110
/// §15.5.20). One that named nobody is for any site, over HTTP/2 for that of its first request:
/// whose bytes come out of many streams nobody can tell.
fn is_meant(edge: &Edge, conn: &Conn, route: &Route) -> bool {
    if conn.is_h2() && conn.stake.is_anothers(route.id) {
        return false;
    }
    let sni = conn.spoken().and_then(|spoken| spoken.sni.as_deref());
    sni.is_none_or(|sni| edge.sites.find(sni).is_some_and(|named| named.id == route.id))
}

/// Charges the connection to the site that it turns out to be for, and says whether there is a place
/// for it. A hop's connection brings many clients to many sites and is charged to none.
fn takes_part(edge: &Edge, conn: &Conn, visit: &Visit<'_>, line: Line) -> bool {
    match line {
        Line::Own => edge.shares.settle_in(conn, visit),
        Line::Shared => {
            let _is_other = conn.stake.serve(visit.route.id);
            true
        }
    }
}

/// The answer to what is no head, or means two things.
pub(crate) fn refused(edge: &Edge, why: BadHead) -> Step {
    edge.counters.refuse_head(why);
    Step::last(why.status(), Framing::Length(0))
}

/// What becomes of the connection after a refusal: it is kept where the request's end is here.
fn persistence(head: &Head<'_>, bytes_after: usize, mode: Mode) -> Persistence {
    let is_all_here = match head.framing {
        Framing::Length(body) => body <= bytes_after as u64,
        Framing::Chunked => false,
    };
    let keep = is_all_here && mode == Mode::Serving;
    if keep { head.persistence } else { Persistence::Close }
}
