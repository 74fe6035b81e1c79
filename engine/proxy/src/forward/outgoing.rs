//! An admitted request as its origin will get it.

use crate::ProxyLimits;
use crate::admission::trusted_proxies::ResolvedClient;
use crate::forward::body::Body;
use crate::forward::buffer::{Buffer, LARGE_BYTES, with_header};
use crate::forward::exchange::Exchange;
use crate::forward::request_header::{
    ForwardedFor, end_request_header, is_body_expected, is_body_meaningless, is_body_unusual,
    write_request_header,
};
use crate::forward::response_header::ResponseTo;
use crate::http1::body_buffer::BodyBuffered;
use crate::http1::head::{Framing, RequestHead, RequestKind};
use crate::request::evaluate::BodySource;
use crate::request::local_response::BodyMode;

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Bytes of the fields that frame a body, and of the end of the header section.
const LATE_FRAMING_BYTES: usize = 96;

/// The end of a header section that depends on the length of the body.
#[derive(Debug, Clone, Copy)]
struct LateFraming {
    /// The method gives a body no meaning.
    is_unusual: bool,
    /// The method gives a body a meaning, so that its absence is told.
    needs_length: bool,
}

/// A request header section for an origin, and what its response depends on.
#[derive(Debug)]
pub(crate) struct OutgoingRequest {
    header: Buffer,
    framing: Framing,
    to: ResponseTo,
    retry: RetrySafety,
    late: Option<LateFraming>,
}

impl OutgoingRequest {
    /// Rewrites the header section `head`, which was parsed from `bytes`.
    pub(crate) fn new(
        (bytes, head): (&[u8], &RequestHead<'_>),
        asker: &ResolvedClient,
        (keep_alive, is_h2): (bool, bool),
        source: BodySource,
    ) -> Self {
        let client = ForwardedFor { ip: asker.client.ip, scheme: asker.scheme };
        let late = (source == BodySource::Stream).then(|| LateFraming {
            is_unusual: is_body_meaningless(head.method),
            needs_length: is_body_expected(head.method),
        });
        let header = with_header(|written| {
            write_request_header(bytes, head, client, written);
            if late.is_none() {
                end_request_header(head, written);
            }
            let mut header = Buffer::new(written.len().saturating_add(LATE_FRAMING_BYTES));
            let count = header.append(written);
            header.release(count);
            header
        });
        let to = ResponseTo {
            is_head: head.method == "HEAD",
            is_old: head.is_old,
            is_h2,
            is_websocket: head.kind == RequestKind::WebSocket,
            keep_alive,
            closes_origin: is_body_unusual(head),
        };
        Self { header, framing: head.framing, to, retry: RetrySafety::of(head.method), late }
    }

    /// Ends the header section of a request whose body has no length: of what is buffered of it,
    /// `bytes`, the length is known if that is all.
    pub(crate) fn framed(mut self, here: BodyBuffered, bytes: usize) -> Self {
        let Some(late) = self.late.take() else { return self };
        let is_empty = here == BodyBuffered::Complete && bytes == 0;
        let mut end = String::new();
        if here == BodyBuffered::Partial {
            self.framing = Framing::Chunked;
            end.push_str("Transfer-Encoding: chunked\r\n");
        } else if !is_empty || late.needs_length {
            self.framing = Framing::Length(bytes as u64);
            end = format!("Content-Length: {bytes}\r\n");
        }
        if late.is_unusual && !is_empty {
            self.to.closes_origin = true;
            end.push_str("Connection: close\r\n");
        }
        end.push_str("\r\n");
        let count = self.header.append(end.as_bytes());
        self.header.release(count);
        self
    }

    /// Returns whether its origin gets the body in chunks.
    pub(crate) fn is_in_chunks(&self) -> bool {
        self.framing == Framing::Chunked
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
