//! One request and its response, between a client and an origin.
//!
//! The machine moves bytes in both directions until the response is complete, one of the sides
//! fails, or nothing can move. It keeps all of its state between polls, so that a future that drives
//! it can be dropped at any time.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use http::HeaderMap;

use super::body::{Body, BodyError, CHUNK_FRAMING_BYTES, LAST_CHUNK, chunk_line};
use super::buffer::{Buffer, with_header};
use super::response_error::ResponseError;
use super::response_header::{ResponseHeader, ResponseTo, read_response_header};
use super::{ByteStream, ClientStream};
use crate::ProxyLimits;
use crate::http1::chunked::ChunkFilter;

/// Bytes that one poll moves at most, so that a fast origin and a fast client cannot hold a worker.
const POLL_BYTES_MAX: usize = 256 * 1_024;

/// What an exchange depends on besides its two sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'t> {
    pub(crate) limits: &'t ProxyLimits,
    /// The addresses of the site's origins: a redirect to one of them becomes a path.
    pub(crate) origins: &'t [SocketAddr],
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client has the whole response.
    Complete {
        /// Another request may follow on the connection to the origin.
        origin_keeps: bool,
        /// Another request may follow on the connection to the client.
        client_keeps: bool,
    },
    /// The connection to the origin ended before a byte of a response. The request can be sent
    /// again if all of it is still buffered ([`Exchange::restart`]).
    Unanswered,
    /// The response cannot be forwarded, and no byte of its final header section was sent.
    Invalid(ResponseError),
    /// The request body is malformed, and no byte of a final header section was sent.
    MalformedRequest,
    /// The response ended before its end. The client must see that it is incomplete.
    Incomplete,
    /// The client is gone.
    ClientGone,
}

/// What an exchange waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The next bytes of the request body.
    RequestBody,
    /// An origin that takes no bytes of the request.
    OriginRead,
    /// The header section of the response.
    ResponseHeader,
    /// The next bytes of the response body.
    ResponseBody,
    /// A client that takes no bytes of the response.
    ClientRead,
    /// Either side of a tunnel.
    Tunnel,
}

/// The phase of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The final header section of the response is awaited.
    Header,
    /// The body of the response is forwarded.
    Body,
    /// Both sides send at will.
    Tunnel,
}

/// One direction of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Open,
    /// The sender has ended it; its last bytes may not be sent yet.
    Ended,
    /// The receiver has got the end.
    Shut,
}

/// The state of one exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    to: ResponseTo,
    phase: Phase,
    request: Buffer,
    request_body: Body,
    /// Where the request begins in its buffer; `None` once part of it cannot be sent again.
    request_start: Option<usize>,
    response: Buffer,
    response_body: Body,
    is_unchunked: bool,
    /// The body is sent in chunks of our own.
    is_rechunked: bool,
    origin_keeps: bool,
    client_keeps: bool,
    /// Nothing more can be sent to the origin. It may have responded before.
    is_origin_deaf: bool,
    /// The client has ended its direction.
    has_client_ended: bool,
    /// A byte of the final header section was sent.
    is_committed: bool,
    is_flushed: bool,
    from_client: Direction,
    from_origin: Direction,
    status: u16,
    interims: u32,
    header_reads: u32,
    /// Bytes of the header sections so far.
    header_bytes: usize,
    has_response_begun: bool,
    /// Bytes in each direction, as they were sent.
    bytes_up: u64,
    bytes_down: u64,
    /// The bytes of header sections among `bytes_down`, at the end of the exchange.
    header_bytes_down: u64,
}

/// The bytes that one direction moved in a step.
type Moved = Result<usize, Outcome>;

impl Exchange {
    /// An exchange whose request header section may be sent from `request`, with the first bytes of
    /// its body behind. Returns `None` if these bytes are malformed.
    pub(crate) fn new(mut request: Buffer, mut request_body: Body, to: ResponseTo) -> Option<Self> {
        let start = request.position();
        take(&mut request, &mut request_body, ChunkFilter::Chunks).ok()?;
        Some(Self {
            to,
            phase: Phase::Header,
            request,
            request_body,
            request_start: Some(start),
            response: Buffer::default(),
            response_body: Body::EMPTY,
            is_unchunked: false,
            is_rechunked: false,
            origin_keeps: false,
            client_keeps: false,
            is_origin_deaf: false,
            has_client_ended: false,
            is_committed: false,
            is_flushed: true,
            from_client: Direction::Open,
            from_origin: Direction::Open,
            status: 0,
            interims: 0,
            header_reads: 0,
            header_bytes: 0,
            has_response_begun: false,
            bytes_up: 0,
            bytes_down: 0,
            header_bytes_down: 0,
        })
    }

    /// Makes the same request ready for another connection. Returns whether all of it is buffered.
    pub(crate) fn restart(&mut self) -> bool {
        let Some(start) = self.request_start else { return false };
        if self.has_response_begun || !self.request_body.is_done() {
            return false;
        }
        self.request.rewind(start);
        self.is_origin_deaf = false;
        true
    }

    /// Returns the status of the final header section, or of a switch of protocols; 0 before.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the number of interim responses.
    pub(crate) const fn interims(&self) -> u32 {
        self.interims
    }

    /// Returns the bytes of the response body that were sent to the client.
    pub(crate) const fn body_bytes_down(&self) -> u64 {
        self.bytes_down.saturating_sub(self.header_bytes_down)
    }

    /// Returns the bytes that were moved in both directions.
    pub(crate) const fn bytes_moved(&self) -> u64 {
        self.bytes_up.saturating_add(self.bytes_down)
    }

    /// Returns whether the client has ended its direction.
    pub(crate) const fn has_client_ended(&self) -> bool {
        self.has_client_ended
    }

    /// Returns whether the final header section has come.
    pub(crate) fn has_answered(&self) -> bool {
        self.phase != Phase::Header
    }

    /// Returns whether a byte of a final header section was sent.
    pub(crate) const fn is_committed(&self) -> bool {
        self.is_committed
    }

    /// Returns whether the client can only see the end of the response at the end of the
    /// connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.is_unchunked || (matches!(self.response_body, Body::UntilClose) && !self.is_rechunked)
    }

    /// Returns whether the origin has the whole request, and owes more of its response.
    pub(crate) fn is_origin_at_work(&self) -> bool {
        let is_sent = self.request_body.is_done() && self.request.ready().is_empty();
        let is_owed = match self.phase {
            Phase::Header => true,
            Phase::Body => !self.response_body.is_done(),
            Phase::Tunnel => false,
        };
        is_sent && !self.is_origin_deaf && is_owed
    }

    /// Returns what is read of the next request.
    pub(crate) fn pipelined(&self) -> &[u8] {
        self.request.unread()
    }

    /// Returns bytes of interim responses that were not sent yet.
    pub(crate) fn unsent(&self) -> &[u8] {
        if self.phase == Phase::Header { self.response.ready() } else { &[] }
    }

    /// The connection to the client ends after the response.
    pub(crate) const fn end_keep_alive(&mut self) {
        self.to.keep_alive = false;
    }

    /// Returns what is waited for when [`poll`](Self::poll) is pending.
    pub(crate) fn waits(&self) -> Waits {
        match self.phase {
            Phase::Tunnel => Waits::Tunnel,
            Phase::Body if self.is_response_sent() => Waits::ResponseBody,
            Phase::Body => Waits::ClientRead,
            Phase::Header if self.is_origin_deaf => Waits::ResponseHeader,
            Phase::Header if !self.request.ready().is_empty() => Waits::OriginRead,
            Phase::Header if !self.request_body.is_done() => Waits::RequestBody,
            Phase::Header => Waits::ResponseHeader,
        }
    }

    /// Moves what can be moved. Ready when the exchange has ended.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientStream,
        origin: &mut impl ByteStream,
        terms: Terms<'_>,
    ) -> Poll<Outcome> {
        let mut left = POLL_BYTES_MAX;
        loop {
            let read = match self.step(cx, client, origin, terms) {
                Ok(read) => read,
                Err(outcome) => return Poll::Ready(outcome),
            };
            if read == 0 {
                return Poll::Pending;
            }
            left = left.saturating_sub(read);
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Sends what was read, then reads more. Returns what was read: it has to be sent.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientStream,
        origin: &mut impl ByteStream,
        terms: Terms<'_>,
    ) -> Moved {
        self.send_request(cx, origin);
        self.send_response(cx, client)?;
        self.end_directions(cx, client, origin)?;
        let read = self.read_response(cx, (client, origin), terms)?;
        // The client is only read when the origin has nothing: most requests need one read of each.
        if read > 0 && self.phase != Phase::Tunnel {
            return Ok(read);
        }
        Ok(read.saturating_add(self.read_request(cx, client)?))
    }

    /// Sends the request. An origin that takes no more may still respond.
    fn send_request(&mut self, cx: &mut Context<'_>, origin: &mut impl ByteStream) {
        while !self.is_origin_deaf && !self.request.ready().is_empty() {
            match origin.poll_write(cx, self.request.ready()) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.request.sent(count);
                    self.bytes_up = self.bytes_up.saturating_add(count as u64);
                }
                Poll::Ready(_) => self.is_origin_deaf = true,
                Poll::Pending => return,
            }
        }
        if !self.is_origin_deaf && matches!(origin.poll_flush(cx), Poll::Ready(Err(_))) {
            self.is_origin_deaf = true;
        }
    }

    /// Reads more of the request body once what was read before was sent. After the body it only
    /// learns whether the client is gone.
    fn read_request(&mut self, cx: &mut Context<'_>, client: &mut impl ClientStream) -> Moved {
        if self.has_client_ended {
            return Ok(0);
        }
        if self.request_body.is_done() {
            return self.watch_client(cx, client);
        }
        if self.is_origin_deaf || !self.request.ready().is_empty() {
            return Ok(0);
        }
        if self.request.is_empty() {
            // What was sent is no longer in the buffer.
            self.request_start = None;
            self.request.prepare();
        }
        let room = self.request.room();
        if room.is_empty() {
            return Ok(0);
        }
        let count = match client.poll_read(cx, room) {
            Poll::Pending => {
                self.request.rest();
                return Ok(0);
            }
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Err(Outcome::ClientGone),
        };
        if count == 0 {
            return self.client_ended();
        }
        self.request.came(count);
        self.request_came()?;
        Ok(count)
    }

    fn request_came(&mut self) -> Result<(), Outcome> {
        // Trailers of a request could change its meaning behind the policy.
        match take(&mut self.request, &mut self.request_body, ChunkFilter::Chunks) {
            Ok(()) => Ok(()),
            Err(_) if self.is_committed => Err(Outcome::Incomplete),
            Err(_) => Err(Outcome::MalformedRequest),
        }
    }

    fn watch_client(&mut self, cx: &mut Context<'_>, client: &mut impl ClientStream) -> Moved {
        match client.poll_closed(cx) {
            Poll::Pending => Ok(0),
            Poll::Ready(Ok(())) => self.client_ended(),
            Poll::Ready(Err(_)) => Err(Outcome::ClientGone),
        }
    }

    /// The client sends no more. One that has sent its whole request still gets its response.
    fn client_ended(&mut self) -> Moved {
        if self.phase == Phase::Tunnel {
            self.has_client_ended = true;
            self.from_client = Direction::Ended;
            return Ok(1);
        }
        if !self.request_body.is_done() {
            return Err(Outcome::ClientGone);
        }
        self.has_client_ended = true;
        Ok(0)
    }

    fn send_response(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientStream,
    ) -> Result<(), Outcome> {
        let is_last = self.phase == Phase::Body
            && self.response_body.is_done()
            && self.response_body.trailers().is_empty();
        while !self.response.ready().is_empty() {
            match client.poll_send(cx, self.response.ready(), is_last) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.response.sent(count);
                    self.bytes_down = self.bytes_down.saturating_add(count as u64);
                    self.is_committed |= self.phase != Phase::Header;
                    self.is_flushed = false;
                }
                Poll::Ready(_) => return Err(Outcome::ClientGone),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_flushed {
            match client.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => return Err(Outcome::ClientGone),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    fn is_response_sent(&self) -> bool {
        self.response.ready().is_empty() && self.is_flushed
    }

    /// Ends what has come to its end: the exchange, or a direction of a tunnel.
    fn end_directions(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ClientStream,
        origin: &mut impl ByteStream,
    ) -> Result<(), Outcome> {
        if self.phase == Phase::Body && self.response_body.is_done() && self.is_response_sent() {
            let ended = client.end_response(self.response_body.trailers());
            return Err(ended.map_or(Outcome::ClientGone, |()| self.complete()));
        }
        if self.phase != Phase::Tunnel {
            return Ok(());
        }
        if self.from_client == Direction::Ended
            && self.request.ready().is_empty()
            && origin.poll_shutdown(cx).is_ready()
        {
            self.from_client = Direction::Shut;
        }
        if self.from_origin == Direction::Ended
            && self.is_response_sent()
            && client.poll_shutdown(cx).is_ready()
        {
            self.from_origin = Direction::Shut;
        }
        if self.from_client == Direction::Shut && self.from_origin == Direction::Shut {
            return Err(Outcome::Complete { origin_keeps: false, client_keeps: false });
        }
        Ok(())
    }

    fn complete(&self) -> Outcome {
        let is_request_over =
            self.request_body.is_done() && self.request.ready().is_empty() && !self.is_origin_deaf;
        Outcome::Complete {
            // Bytes behind the response belong to no request.
            origin_keeps: self.origin_keeps && is_request_over && self.response.unread().is_empty(),
            client_keeps: self.client_keeps
                && self.request_body.is_done()
                && !self.has_client_ended,
        }
    }

    /// Reads more of the response once the client took what was read before.
    fn read_response(
        &mut self,
        cx: &mut Context<'_>,
        (client, origin): (&mut impl ClientStream, &mut impl ByteStream),
        terms: Terms<'_>,
    ) -> Moved {
        let is_over = self.phase == Phase::Body && self.response_body.is_done();
        if is_over || !self.response.ready().is_empty() || self.from_origin != Direction::Open {
            return Ok(0);
        }
        self.response.prepare();
        if self.response.room().len() <= CHUNK_FRAMING_BYTES {
            // Only a header section can fill a buffer without a byte that may be sent.
            let most = terms.limits.settings.origins.max_response_header_bytes;
            self.response.grow(most.saturating_add(1 + CHUNK_FRAMING_BYTES));
        }
        let room = self.response.room();
        // Room for the framing of a chunk of our own.
        let most = room.len().saturating_sub(CHUNK_FRAMING_BYTES);
        let room = room.get_mut(..most).unwrap_or_default();
        if room.is_empty() {
            return Err(Outcome::Invalid(ResponseError::Bytes));
        }
        match origin.poll_read(cx, room) {
            Poll::Pending => {
                self.response.rest();
                Ok(0)
            }
            Poll::Ready(Ok(count)) if count > 0 => {
                self.response.came(count);
                self.has_response_begun = true;
                self.response_came(client, terms)?;
                Ok(count)
            }
            Poll::Ready(Ok(_)) => self.origin_ended(),
            Poll::Ready(Err(_)) if self.phase == Phase::Header => self.origin_ended(),
            Poll::Ready(Err(_)) => Err(Outcome::Incomplete),
        }
    }

    fn origin_ended(&mut self) -> Moved {
        match self.phase {
            Phase::Header if !self.has_response_begun => Err(Outcome::Unanswered),
            Phase::Header => Err(Outcome::Invalid(ResponseError::Syntax)),
            Phase::Tunnel => {
                self.from_origin = Direction::Ended;
                Ok(1)
            }
            Phase::Body if matches!(self.response_body, Body::UntilClose) => {
                self.response_body = Body::EMPTY;
                if self.is_rechunked {
                    self.response.wrap(LAST_CHUNK, b"");
                }
                Ok(1)
            }
            Phase::Body => Err(Outcome::Incomplete),
        }
    }

    /// Reads header sections until the final one, then releases the body.
    fn response_came(
        &mut self,
        client: &mut impl ClientStream,
        terms: Terms<'_>,
    ) -> Result<(), Outcome> {
        if self.phase == Phase::Header {
            self.header_reads = self.header_reads.saturating_add(1);
        }
        while self.phase == Phase::Header {
            if !with_header(|header| self.read_header(client, header, terms))? {
                return Ok(());
            }
        }
        self.body_came()
    }

    /// Reads a header section and writes into `header` what its client gets. Returns whether it was
    /// complete.
    fn read_header(
        &mut self,
        client: &mut impl ClientStream,
        header: &mut Vec<u8>,
        terms: Terms<'_>,
    ) -> Result<bool, Outcome> {
        let keep_alive =
            self.to.keep_alive && self.request_body.is_done() && !self.has_client_ended;
        let to = ResponseTo { keep_alive, ..self.to };
        // Interim responses and the final one count together.
        let most = terms.limits.settings.origins.max_response_header_bytes;
        let bytes = (self.response.unread(), most.saturating_sub(self.header_bytes));
        match read_response_header(bytes, to, terms, header).map_err(Outcome::Invalid)? {
            None if self.header_reads >= terms.limits.max_response_header_reads => {
                Err(Outcome::Invalid(ResponseError::Drip))
            }
            None => Ok(false),
            Some(mut found) => {
                let fields = found.fields.take();
                self.check_interim(&found, terms.limits)?;
                match fields {
                    Some(fields) => self.send_fields(client, &found, fields)?,
                    None => self.write_header(&found, header)?,
                }
                self.header_came(found);
                Ok(true)
            }
        }
    }

    fn check_interim(
        &mut self,
        found: &ResponseHeader,
        limits: &ProxyLimits,
    ) -> Result<(), Outcome> {
        self.header_bytes = self.header_bytes.saturating_add(found.len);
        if found.is_interim() {
            self.interims = self.interims.saturating_add(1);
            self.header_reads = 0;
            if self.interims > limits.max_interim_responses {
                return Err(Outcome::Invalid(ResponseError::Interim));
            }
        }
        Ok(())
    }

    /// Puts the header section for the client in the place of the origin's.
    fn write_header(&mut self, found: &ResponseHeader, header: &[u8]) -> Result<(), Outcome> {
        if found.is_interim() && self.to.is_old {
            // HTTP/1.0 has no interim responses (RFC 9110 §15.2).
            self.response.discard(found.len);
            return Ok(());
        }
        if !self.response.replace(found.len, header) {
            return Err(Outcome::Invalid(ResponseError::Bytes));
        }
        self.header_bytes_down = self.header_bytes_down.saturating_add(header.len() as u64);
        Ok(())
    }

    fn send_fields(
        &mut self,
        client: &mut impl ClientStream,
        found: &ResponseHeader,
        fields: HeaderMap,
    ) -> Result<(), Outcome> {
        self.response.discard(found.len);
        let is_last = !found.is_interim() && found.body.is_done();
        client.send_fields(found.status, fields, is_last).map_err(|_| Outcome::ClientGone)?;
        self.is_committed |= !found.is_interim();
        Ok(())
    }

    /// Begins the body after the final header section.
    fn header_came(&mut self, found: ResponseHeader) {
        if found.is_interim() {
            return;
        }
        self.status = found.status;
        self.response_body = found.body;
        (self.is_unchunked, self.is_rechunked) = (found.is_unchunked, found.is_rechunked);
        (self.origin_keeps, self.client_keeps) = (found.origin_keeps, found.client_keeps);
        self.phase = Phase::Body;
        if found.status == 101 {
            self.phase = Phase::Tunnel;
            self.request_body = Body::UntilClose;
            self.request.release(self.request.unread().len());
            // What the client sent before its end is still to be read; the end then comes again.
            self.has_client_ended = false;
        }
        // No connection gets the request again.
        self.request_start = None;
        self.request.rest();
    }

    fn body_came(&mut self) -> Result<(), Outcome> {
        if self.is_rechunked {
            self.wrap_chunk();
            return Ok(());
        }
        let broken = match self.is_committed {
            true => Outcome::Incomplete,
            false => Outcome::Invalid(ResponseError::Framing),
        };
        let filter = match self.is_unchunked {
            true => ChunkFilter::Data,
            false => ChunkFilter::ChunksAndTrailers,
        };
        take(&mut self.response, &mut self.response_body, filter).map_err(|_| broken)
    }

    /// Makes a chunk of what was read of a body without a length.
    fn wrap_chunk(&mut self) {
        let read = self.response.unread().len();
        if read == 0 {
            return;
        }
        let (line, len) = chunk_line(read);
        self.response.wrap(line.get(..len).unwrap_or_default(), b"\r\n");
    }
}

/// Releases what was read of a body.
fn take(buffer: &mut Buffer, body: &mut Body, filter: ChunkFilter) -> Result<(), BodyError> {
    let (count, kept) = body.take(buffer.unread_mut(), filter)?;
    buffer.release(kept);
    if kept < count {
        buffer.discard(count - kept);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
