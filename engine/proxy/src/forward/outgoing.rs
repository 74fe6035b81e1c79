//! An admitted request as its origin will get it.

use std::cell::RefCell;

use crate::ProxyLimits;
use crate::admission::trusted_proxies::ResolvedClient;
use crate::forward::body::Body;
use crate::forward::buffer::{Buffer, LARGE_BYTES};
use crate::forward::exchange::Exchange;
use crate::forward::request_header::{ForwardedFor, is_body_unusual, write_request_header};
use crate::forward::response_header::ResponseTo;
use crate::http1::head::{Framing, RequestHead, RequestKind};
use crate::request::local_response::BodyMode;

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RetrySafety {
    /// It must not.
    Never,
    /// The method is idempotent (RFC 9110 §9.2.2).
    Idempotent,
    /// The method is safe: it only reads.
    Safe,
}

impl RetrySafety {
    fn of(method: &str) -> Self {
        match method {
            "GET" | "HEAD" | "OPTIONS" | "TRACE" => Self::Safe,
            "PUT" | "DELETE" => Self::Idempotent,
            _ => Self::Never,
        }
    }
}

thread_local! {
    /// Where a worker writes header sections before their size is known.
    static HEADER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A request header section for an origin, and what its response depends on.
#[derive(Debug)]
pub(crate) struct OutgoingRequest {
    header: Buffer,
    framing: Framing,
    to: ResponseTo,
    retry: RetrySafety,
}

impl OutgoingRequest {
    /// Rewrites the header section `head`, which was parsed from `bytes`.
    pub(crate) fn new(
        bytes: &[u8],
        head: &RequestHead<'_>,
        asker: &ResolvedClient,
        keep_alive: bool,
    ) -> Self {
        let client = ForwardedFor { ip: asker.client.ip, scheme: asker.scheme };
        let mut written = HEADER.take();
        write_request_header(bytes, head, client, &mut written);
        let mut header = Buffer::new(written.len());
        header.append(&written);
        header.release(written.len());
        HEADER.set(written);
        let to = ResponseTo {
            is_head: head.method == "HEAD",
            is_old: head.is_old,
            is_websocket: head.kind == RequestKind::WebSocket,
            keep_alive,
            closes_origin: is_body_unusual(head),
        };
        Self { header, framing: head.framing, to, retry: RetrySafety::of(head.method) }
    }

    /// Returns whether a response has a body.
    pub(crate) const fn body_mode(&self) -> BodyMode {
        if self.to.is_head { BodyMode::HeadersOnly } else { BodyMode::Send }
    }

    /// Returns whether it may be sent twice.
    pub(crate) const fn retry(&self) -> RetrySafety {
        self.retry
    }

    /// Returns the exchange, and how many bytes of `ahead` it has taken. `body_here` bytes of the
    /// body are at the front of `ahead`. Returns `None` if these are malformed.
    pub(crate) fn into_exchange(
        self,
        ahead: &[u8],
        body_here: usize,
        limits: &ProxyLimits,
    ) -> Option<(Exchange, usize)> {
        let Self { header, framing, to, .. } = self;
        let body = Body::of_request(framing, limits);
        if body.is_done() {
            return Some((Exchange::new(header, body, to)?, 0));
        }
        let written = header.ready().len();
        let size = written.saturating_add(body_here).max(LARGE_BYTES);
        let mut request = Buffer::new(size);
        request.append(header.ready());
        request.release(written);
        let taken = request.append(ahead.get(..body_here).unwrap_or(ahead));
        Some((Exchange::new(request, body, to)?, taken))
    }
}
