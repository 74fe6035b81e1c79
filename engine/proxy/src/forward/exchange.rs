//! One request and its response, between a client and an origin.
//!
//! The machine moves bytes in both directions until the response is complete, one of the sides
//! fails, or nothing can move. It keeps all of its state between polls, so that a future that drives
//! it can be dropped at any time.

use std::task::{Context, Poll};

use super::ByteStream;
use super::body::Body;
use super::buffer::Buffer;
use super::response_header::{ResponseError, ResponseHeader, ResponseTo, read_response_header};
use crate::ProxyLimits;

/// Bytes that one poll moves at most, so that a fast origin and a fast client cannot hold a worker.
const POLL_BYTES_MAX: usize = 256 * 1_024;

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
    /// The origin's connection ended before a byte of its response. The request can be sent again
    /// where all of it is still at hand.
    Unanswered { is_whole_request_here: bool },
    /// The response cannot be passed on, and the client has not got a byte of its final header.
    Invalid(ResponseError),
    /// The request's body is malformed, and the client has not got a byte of a final header.
    MalformedRequest,
    /// The response ends before its end. The client must see that it is incomplete.
    Incomplete,
    /// The client is gone.
    ClientGone,
}

/// What an exchange is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The final header of the response is awaited.
    Header,
    /// The body of the response passes.
    Body,
    /// Both sides talk freely.
    Tunnel,
}

/// One direction of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Open,
    /// The sender has ended it; what it sent may still be on its way.
    Ended,
    /// The receiver knows.
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
    origin_keeps: bool,
    client_keeps: bool,
    /// Nothing more can be sent to the origin. It may have responded before.
    is_origin_deaf: bool,
    /// The client has ended its direction.
    has_client_ended: bool,
    /// The client has got a byte of the final header.
    is_committed: bool,
    is_flushed: bool,
    from_client: Direction,
    from_origin: Direction,
    /// Of the response: status, interim responses, reads for headers, bytes that the client took.
    pub(crate) status: u16,
    interims: u32,
    header_reads: u32,
    has_response_begun: bool,
    pub(crate) bytes_out: u64,
    header: Vec<u8>,
}

/// What one direction did in a poll.
type Moved = Result<usize, Outcome>;

impl Exchange {
    /// An exchange whose request header is ready in `request`, with what came of its body behind.
    /// Returns `None` if that part of the body is malformed.
    pub(crate) fn new(
        mut request: Buffer,
        mut request_body: Body,
        response: Buffer,
        to: ResponseTo,
    ) -> Option<Self> {
        let start = request.position();
        let count = request_body.take(request.unread()).ok()?;
        request.release(count);
        Some(Self {
            to,
            phase: Phase::Header,
            request,
            request_body,
            request_start: Some(start),
            response,
            response_body: Body::EMPTY,
            is_unchunked: false,
            origin_keeps: false,
            client_keeps: false,
            is_origin_deaf: false,
            has_client_ended: false,
            is_committed: false,
            is_flushed: false,
            from_client: Direction::Open,
            from_origin: Direction::Open,
            status: 0,
            interims: 0,
            header_reads: 0,
            has_response_begun: false,
            bytes_out: 0,
            header: Vec::new(),
        })
    }

    /// Makes the same request ready for another origin. Returns whether all of it is at hand.
    pub(crate) fn restart(&mut self) -> bool {
        let Some(start) = self.request_start else { return false };
        if self.has_response_begun || !self.request_body.is_done() {
            return false;
        }
        self.request.rewind(start);
        self.is_origin_deaf = false;
        true
    }

    /// Both buffers. What is unread in the first one is the beginning of the next request.
    pub(crate) fn into_buffers(self) -> (Buffer, Buffer) {
        (self.request, self.response)
    }

    /// Moves what can be moved. Ready when the exchange has ended.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ByteStream,
        origin: &mut impl ByteStream,
        limits: &ProxyLimits,
    ) -> Poll<Outcome> {
        let mut left = POLL_BYTES_MAX;
        loop {
            let moved = match self.step(cx, client, origin, limits) {
                Ok(moved) => moved,
                Err(outcome) => return Poll::Ready(outcome),
            };
            if moved == 0 {
                return Poll::Pending;
            }
            left = left.saturating_sub(moved);
            if left == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    fn step(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ByteStream,
        origin: &mut impl ByteStream,
        limits: &ProxyLimits,
    ) -> Moved {
        let mut moved = self.send_request(cx, origin);
        moved += self.read_request(cx, client)?;
        moved += self.send_response(cx, client)?;
        moved += self.end_directions(cx, client, origin)?;
        moved += self.read_response(cx, origin, limits)?;
        Ok(moved)
    }

    /// Sends what the client sent. An origin that takes no more may still respond.
    fn send_request(&mut self, cx: &mut Context<'_>, origin: &mut impl ByteStream) -> usize {
        let mut moved = 0;
        while !self.is_origin_deaf && !self.request.ready().is_empty() {
            match origin.poll_write(cx, self.request.ready()) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.request.sent(count);
                    moved += count;
                }
                Poll::Ready(_) => self.is_origin_deaf = true,
                Poll::Pending => return moved,
            }
        }
        if !self.is_origin_deaf && matches!(origin.poll_flush(cx), Poll::Ready(Err(_))) {
            self.is_origin_deaf = true;
        }
        moved
    }

    /// Reads more of the request's body once what was read before has left. Without a body to
    /// come, it reads to learn that the client is gone, one buffer at most.
    fn read_request(&mut self, cx: &mut Context<'_>, client: &mut impl ByteStream) -> Moved {
        let wants_body = !self.request_body.is_done();
        let is_due = if wants_body {
            self.request.ready().is_empty() && !self.is_origin_deaf
        } else {
            self.phase == Phase::Header
        };
        if !is_due || self.has_client_ended {
            return Ok(0);
        }
        if wants_body && self.request.is_empty() {
            // What was sent is gone from the buffer.
            self.request_start = None;
        }
        let room = if wants_body { self.request.room() } else { self.request.tail() };
        if room.is_empty() {
            return Ok(0);
        }
        let count = match client.poll_read(cx, room) {
            Poll::Pending => return Ok(0),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(_)) => return Err(Outcome::ClientGone),
        };
        if count == 0 {
            return self.client_ended();
        }
        self.request.came(count);
        let Ok(body) = self.request_body.take(self.request.unread()) else {
            return Err(if self.is_committed {
                Outcome::Incomplete
            } else {
                Outcome::MalformedRequest
            });
        };
        self.request.release(body);
        Ok(count)
    }

    /// The client sends no more. One that has sent its whole request still gets its response.
    fn client_ended(&mut self) -> Moved {
        self.has_client_ended = true;
        if self.phase == Phase::Tunnel {
            self.from_client = Direction::Ended;
            return Ok(1);
        }
        if self.request_body.is_done() { Ok(0) } else { Err(Outcome::ClientGone) }
    }

    fn send_response(&mut self, cx: &mut Context<'_>, client: &mut impl ByteStream) -> Moved {
        let mut moved = 0;
        while !self.response.ready().is_empty() {
            match client.poll_write(cx, self.response.ready()) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.response.sent(count);
                    self.bytes_out = self.bytes_out.saturating_add(count as u64);
                    self.is_committed |= self.phase != Phase::Header;
                    self.is_flushed = false;
                    moved += count;
                }
                Poll::Ready(_) => return Err(Outcome::ClientGone),
                Poll::Pending => return Ok(moved),
            }
        }
        if !self.is_flushed {
            match client.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => return Err(Outcome::ClientGone),
                Poll::Pending => {}
            }
        }
        Ok(moved)
    }

    /// Ends what has come to its end: the exchange, or a direction of a tunnel.
    fn end_directions(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl ByteStream,
        origin: &mut impl ByteStream,
    ) -> Moved {
        let is_sent = self.response.ready().is_empty() && self.is_flushed;
        if self.phase == Phase::Body && self.response_body.is_done() && is_sent {
            return Err(self.complete());
        }
        if self.phase != Phase::Tunnel {
            return Ok(0);
        }
        let mut moved = 0;
        if self.from_client == Direction::Ended
            && self.request.ready().is_empty()
            && origin.poll_shutdown(cx).is_ready()
        {
            self.from_client = Direction::Shut;
            moved += 1;
        }
        if self.from_origin == Direction::Ended && is_sent && client.poll_shutdown(cx).is_ready() {
            self.from_origin = Direction::Shut;
            moved += 1;
        }
        if self.from_client == Direction::Shut && self.from_origin == Direction::Shut {
            return Err(Outcome::Complete { origin_keeps: false, client_keeps: false });
        }
        Ok(moved)
    }

    fn complete(&self) -> Outcome {
        let is_request_over =
            self.request_body.is_done() && self.request.ready().is_empty() && !self.is_origin_deaf;
        Outcome::Complete {
            // Bytes behind the response belong to nobody's request.
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
        origin: &mut impl ByteStream,
        limits: &ProxyLimits,
    ) -> Moved {
        let is_over = self.phase == Phase::Body && self.response_body.is_done();
        if is_over || !self.response.ready().is_empty() || self.from_origin != Direction::Open {
            return Ok(0);
        }
        if self.response.room().is_empty() {
            // Only a header can fill a buffer without a byte that may be sent.
            self.response.grow(limits.origin_head_bytes_max.saturating_add(1));
        }
        let room = self.response.room();
        if room.is_empty() {
            return Err(Outcome::Invalid(ResponseError::Bytes));
        }
        match origin.poll_read(cx, room) {
            Poll::Pending => Ok(0),
            Poll::Ready(Ok(count)) if count > 0 => {
                self.response.came(count);
                self.has_response_begun = true;
                self.response_came(limits)?;
                Ok(count)
            }
            Poll::Ready(Ok(_)) => self.origin_ended(),
            Poll::Ready(Err(_)) if self.phase == Phase::Header => self.origin_ended(),
            Poll::Ready(Err(_)) => Err(Outcome::Incomplete),
        }
    }

    fn origin_ended(&mut self) -> Moved {
        match self.phase {
            Phase::Header if !self.has_response_begun => Err(Outcome::Unanswered {
                is_whole_request_here: self.request_start.is_some() && self.request_body.is_done(),
            }),
            Phase::Header => Err(Outcome::Invalid(ResponseError::Syntax)),
            Phase::Tunnel => {
                self.from_origin = Direction::Ended;
                Ok(1)
            }
            Phase::Body if matches!(self.response_body, Body::UntilClose) => {
                self.response_body = Body::EMPTY;
                Ok(1)
            }
            Phase::Body => Err(Outcome::Incomplete),
        }
    }

    /// Reads headers until the final one, then lets the body go.
    fn response_came(&mut self, limits: &ProxyLimits) -> Result<(), Outcome> {
        if self.phase == Phase::Header {
            self.header_reads = self.header_reads.saturating_add(1);
            if self.header_reads > limits.origin_head_reads_max {
                return Err(Outcome::Invalid(ResponseError::Bytes));
            }
        }
        while self.phase == Phase::Header {
            let keep_alive =
                self.to.keep_alive && self.request_body.is_done() && !self.has_client_ended;
            let to = ResponseTo { keep_alive, ..self.to };
            let mut header = std::mem::take(&mut self.header);
            let read = read_response_header(self.response.unread(), to, limits, &mut header);
            self.header = header;
            match read.map_err(Outcome::Invalid)? {
                None => return Ok(()),
                Some(found) => self.header_came(found, limits)?,
            }
        }
        self.body_came()
    }

    fn header_came(&mut self, found: ResponseHeader, limits: &ProxyLimits) -> Result<(), Outcome> {
        let is_interim = found.status < 200 && found.status != 101;
        if is_interim {
            self.interims = self.interims.saturating_add(1);
            self.header_reads = 0;
            if self.interims > limits.origin_interim_max {
                return Err(Outcome::Invalid(ResponseError::Interim));
            }
            if self.to.is_old {
                // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
                self.response.discard(found.len);
                return Ok(());
            }
        }
        if !self.response.replace(found.len, &self.header) {
            return Err(Outcome::Invalid(ResponseError::Bytes));
        }
        if is_interim {
            return Ok(());
        }
        self.status = found.status;
        self.response_body = found.body;
        self.is_unchunked = found.is_unchunked;
        (self.origin_keeps, self.client_keeps) = (found.origin_keeps, found.client_keeps);
        self.phase = Phase::Body;
        if found.status == 101 {
            self.phase = Phase::Tunnel;
            self.request_body = Body::UntilClose;
            self.request.release(self.request.unread().len());
            if self.has_client_ended {
                self.from_client = Direction::Ended;
            }
        }
        Ok(())
    }

    fn body_came(&mut self) -> Result<(), Outcome> {
        let broken = match self.is_committed {
            true => Outcome::Incomplete,
            false => Outcome::Invalid(ResponseError::Framing),
        };
        if !self.is_unchunked {
            let taken = self.response_body.take(self.response.unread());
            self.response.release(taken.map_err(|_| broken)?);
            return Ok(());
        }
        let taken = self.response_body.take_unchunked(self.response.unread_mut());
        let (count, kept) = taken.map_err(|_| broken)?;
        self.response.release(kept);
        self.response.discard(count - kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
