//! The stream of a client in HTTP/1, with its limits and deadlines.
//!
//! **The end of each request is found once**, from the framing that the evaluation of its header
//! section used. Bytes of the next request stay here or in the kernel.
//!
//! The stream also enforces the deadlines that depend on the client alone (header section, minimum
//! data rate, a client that does not read), because only it sees when bytes move. A violation resets
//! the connection: a normal close would cost memory and waiting.

use std::fmt::Debug;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, ReadBuf};
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::data_rate::{MinBodyRate, WriteStallTimer, later};
use crate::connection::io::DownstreamIo;
use crate::connection::io::ResettableIo;
use crate::connection::{Connection, ConnectionPhase};
use crate::http1::timer::DeadlineTimer;

use crate::forward::buffer::move_front;
use crate::forward::exchange::Waits;
use crate::forward::in_flight::{Downstream, Violation};
use crate::forward::{ByteStream, ClientStream};
pub(crate) use crate::http1::body_buffer::BodyBuffered;
use crate::http1::head::{HeadError, HeadScanner, Persistence};
use crate::metrics::{ProxyMetrics, count};
use crate::request::local_response;

/// Bytes per read into our own buffer.
const READ_BYTES: usize = 4096;

/// Bytes of a buffer that a connection may keep between requests.
const KEPT_BYTES: usize = 512;

/// A connection that is cancelled because of a ban is reset.
impl<S: ResettableIo> Drop for Http1Stream<S> {
    fn drop(&mut self) {
        if self.conn.is_aborted() {
            self.io.reset_on_drop();
        }
    }
}

/// Result of reading a header section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextRequest {
    /// A complete header section of this length is at the front.
    Complete(usize),
    /// The input is not a valid header section.
    Invalid(HeadError),
    /// The client has closed, was idle for too long, or was reset.
    Closed,
}

/// What a client may still be sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnreadInput {
    /// Nothing: it has closed.
    None,
    /// More than is read.
    Unread,
}

/// A client's stream with its limits and deadlines.
#[derive(Debug)]
pub(crate) struct Http1Stream<S: ResettableIo = DownstreamIo> {
    io: S,
    pub(crate) conn: Arc<Connection>,
    pub(crate) limits: Arc<ProxyLimits>,
    counters: Arc<ProxyMetrics>,
    /// Received bytes that were not passed on.
    pub(crate) ahead: BytesMut,
    pub(crate) body_pace: MinBodyRate,
    /// When the request began.
    since: Instant,
    pub(crate) read_alarm: DeadlineTimer,
    out: BytesMut,
    write_pace: WriteStallTimer,
    write_alarm: DeadlineTimer,
    aborted: bool,
}

impl<S: ResettableIo> Http1Stream<S> {
    pub(crate) fn new(
        io: S,
        conn: Arc<Connection>,
        limits: Arc<ProxyLimits>,
        counters: Arc<ProxyMetrics>,
    ) -> Self {
        Self {
            io,
            conn,
            limits,
            counters,
            ahead: BytesMut::new(),
            body_pace: MinBodyRate::new(),
            since: Instant::now(),
            read_alarm: DeadlineTimer::default(),
            out: BytesMut::new(),
            write_pace: WriteStallTimer::new(),
            write_alarm: DeadlineTimer::default(),
            aborted: false,
        }
    }

    /// Returns the received bytes that were not passed on.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Returns whether a next request has begun to arrive.
    pub(crate) fn has_begun(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Removes bytes from the front: a request, or the part of one that is forwarded.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.ahead.advance(bytes.min(self.ahead.len()));
    }

    /// Makes the stream close with a reset when it is dropped.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
        self.out.clear();
        self.io.reset_on_drop();
    }

    /// Reads until a complete header section is at the front.
    pub(crate) async fn next_head(&mut self) -> NextRequest {
        let began = Instant::now();
        self.conn.mark_idle(began);
        if self.ahead.is_empty() && self.ahead.capacity() > KEPT_BYTES {
            // An idle connection keeps next to no buffer.
            self.ahead = BytesMut::new();
        }
        let mut scan = HeadScanner::default();
        let mut reads = 0;
        let mut deadline = later(began, Duration::from_millis(self.conn.idle_ms(&self.limits)));
        loop {
            let begins = scan.is_empty() && !self.ahead.is_empty();
            if begins && self.ahead.starts_with(b"\r\n") {
                // Old clients may send one empty line before a request (RFC 9112 §2.2); a second
                // one is rejected below.
                self.ahead.advance(2);
            }
            match scan.advance(&self.ahead, &self.limits) {
                Ok(Some(len)) => return NextRequest::Complete(len),
                Ok(None) if reads >= self.limits.settings.requests.max_request_header_reads => {
                    return NextRequest::Invalid(HeadError::Drip);
                }
                Ok(None) => {}
                Err(why) => return NextRequest::Invalid(why),
            }
            // Most header sections come in one piece and need no deadline.
            if begins {
                let total = self.limits.settings.timeouts.request_header_timeout;
                deadline = later(Instant::now(), total);
            } else if !scan.is_empty() && deadline <= Instant::now() {
                self.head_timed_out();
                return NextRequest::Closed;
            }
            match std::future::poll_fn(|cx| self.poll_head(cx, deadline)).await {
                Ok(0) | Err(_) => return NextRequest::Closed,
                Ok(_) => reads += 1,
            }
        }
    }

    /// Reads more of a header section, until `deadline`.
    fn poll_head(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Result<usize>> {
        if let Poll::Ready(read) = self.poll_fill(cx) {
            return Poll::Ready(read);
        }
        ready!(self.read_alarm.poll(cx, deadline, Instant::now()));
        Poll::Ready(Err(self.head_timed_out()))
    }

    fn head_timed_out(&mut self) -> io::Error {
        if self.ahead.is_empty() {
            count(&self.counters.connections.closed.idle_timeout);
            return io::ErrorKind::TimedOut.into();
        }
        self.violation(|c| &c.connections.closed.request_header_timeout)
    }

    /// Puts back what was read of the next request.
    pub(crate) fn put_back(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let rest = std::mem::replace(&mut self.ahead, BytesMut::from(bytes));
            self.ahead.extend_from_slice(&rest);
        }
    }

    /// Begins the time of a request.
    pub(crate) fn start_request(&mut self) {
        self.conn.set_phase(ConnectionPhase::AwaitingResponse);
        self.body_pace = MinBodyRate::new();
        self.since = Instant::now();
    }

    fn violation(&mut self, counter: fn(&ProxyMetrics) -> &AtomicU64) -> io::Error {
        count(counter(&self.counters));
        self.abort();
        io::ErrorKind::TimedOut.into()
    }

    /// Reads available bytes into `ahead`. Before it waits, it sends pending output.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); READ_BYTES];
        let mut buf = ReadBuf::uninit(&mut room);
        match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                self.ahead.extend_from_slice(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
        }
    }

    pub(crate) fn poll_body_alarm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let (at, violation) = self.body_deadline(now);
        ready!(self.read_alarm.poll(cx, at, now));
        self.violated(violation);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns until when the next bytes of the request body must come.
    fn body_deadline(&mut self, now: Instant) -> (Instant, Violation) {
        let slow = self.body_pace.waits(now, &self.limits);
        let total = self.total_deadline();
        match slow <= total {
            true => (slow, Violation::MinBodyRate),
            false => (total, Violation::RequestTimeout),
        }
    }

    fn total_deadline(&self) -> Instant {
        later(self.since, self.limits.settings.timeouts.request_timeout)
    }

    /// Sends pending output.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let wrote = ready!(self.poll_send(cx, None))?;
            self.out.advance(wrote.min(self.out.len()));
        }
        // TLS holds a part back until it is flushed.
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => self.poll_stalled(cx).map(Err),
            flushed => flushed,
        }
    }

    /// Handles a blocked write; ready at the deadline.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = Instant::now();
        let stalled = self.write_pace.waits(now, &self.limits);
        self.conn.mark_send_stalled(now);
        ready!(self.write_alarm.poll(cx, stalled, now));
        Poll::Ready(self.violation(|c| &c.connections.closed.send_timeout))
    }

    /// Sends everything that is pending.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Sends everything that is pending, then the end of the connection.
    async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_end(cx)).await
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.aborted {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Sends `bytes`, or pending output, and enforces the minimum data rate.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: Option<&[u8]>) -> Poll<io::Result<usize>> {
        let bytes = bytes.unwrap_or(&self.out);
        let Poll::Ready(bytes) = self.conn.stake.poll_send(&self.conn, bytes, cx) else {
            self.conn.mark_send_progress();
            self.write_pace.pause(Instant::now());
            return Poll::Pending;
        };
        match Pin::new(&mut self.io).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(wrote)) => {
                if self.write_pace.is_running() {
                    self.write_pace.moved(wrote, Instant::now(), &self.limits);
                    self.conn.mark_send_progress();
                }
                self.conn.stake.note_sent(&self.conn, wrote);
                Poll::Ready(Ok(wrote))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_stalled(cx).map(Err),
        }
    }

    /// Sends a local response to the request at the front, which is `bytes` long. Returns whether
    /// the connection is kept.
    pub(crate) async fn answer(
        &mut self,
        answer: &local_response::LocalResponse,
        bytes: usize,
    ) -> bool {
        self.write_local_response(answer);
        if answer.persistence == Persistence::Close {
            self.close().await;
            return false;
        }
        self.skip(bytes);
        true
    }

    /// Sends a local response to a client that sends no more, and closes without waiting for the
    /// client.
    pub(crate) async fn close_lingering(&mut self, answer: &local_response::LocalResponse) {
        self.write_local_response(answer);
        self.finish().await;
    }

    /// Sends what is pending to a client that sends no more. It needs no end of its own, but TLS
    /// has one that must be sent.
    pub(crate) async fn finish(&mut self) {
        let _ = match self.conn.tls_info() {
            None => self.flush().await,
            Some(_) => self.shutdown().await,
        };
    }

    /// Closes the connection so that the client can read the last response. It sends the end, then
    /// reads and discards what the client still sends, within limits (RFC 9112 §9.6). Closing with
    /// unread bytes is a reset, which destroys the response at the client. So beyond the byte limit
    /// the rest of the time passes without reading.
    pub(crate) async fn close(&mut self) {
        if self.aborted
            || self.shutdown().await.is_err()
            || self.conn.phase() == ConnectionPhase::Tunnel
        {
            return;
        }
        let within = self.limits.lingering_timeout;
        // Boxed; otherwise every connection would reserve its buffer from the start.
        let discard = Box::pin(async {
            if self.discard().await == UnreadInput::Unread {
                std::future::pending::<()>().await;
            }
        });
        let _ = tokio::time::timeout(within, discard).await;
    }

    async fn discard(&mut self) -> UnreadInput {
        let mut room = [0; READ_BYTES];
        let mut left = self.limits.lingering_close_max_bytes.saturating_sub(self.ahead.len());
        while left > 0 {
            match self.io.read(&mut room).await {
                Ok(0) | Err(_) => return UnreadInput::None,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
        UnreadInput::Unread
    }

    /// Sends `100 Continue` to a client that may wait for it (RFC 9110 §10.1.1). A client that has
    /// begun to send the body does not wait.
    pub(crate) fn send_100_continue(&mut self, head_bytes: usize) {
        if self.ahead.len() <= head_bytes {
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Queues bytes of an interim response in front of a local response.
    pub(crate) fn queue(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Queues a local response; it is sent with the next read, flush or close.
    fn write_local_response(&mut self, answer: &local_response::LocalResponse) {
        answer.write_to(&mut self.out);
    }
}

impl<S: ResettableIo> ByteStream for Http1Stream<S> {
    /// Reads what was received already, then from the connection. Before it waits, it sends pending
    /// output.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.aborted {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !self.ahead.is_empty() {
            return Poll::Ready(Ok(move_front(&mut self.ahead, buffer)));
        }
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                let count = buffer.filled().len();
                self.body_pace.moved(count, Instant::now());
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if let Poll::Ready(Err(error)) = self.poll_drain(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Pending
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.aborted {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !self.out.is_empty() {
            ready!(self.poll_drain(cx))?;
        }
        self.poll_send(cx, Some(bytes))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_end(cx)
    }
}

impl<S: ResettableIo> ClientStream for Http1Stream<S> {
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let most = self.limits.settings.requests.request_buffer_bytes;
        let most = most.saturating_add(self.limits.max_pipelined_bytes);
        while self.ahead.len() < most {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(closed) => return Poll::Ready(closed.map(|_| ())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}

impl<S: ResettableIo> Downstream for Http1Stream<S> {
    fn client_deadline(&mut self, waits: Waits, since: Instant) -> Option<(Instant, Violation)> {
        match waits {
            Waits::Tunnel => {
                let idle = later(since, self.limits.settings.timeouts.tunnel_idle_timeout);
                Some((idle, Violation::TunnelIdle))
            }
            Waits::RequestBody => Some(self.body_deadline(Instant::now())),
            // `poll_stalled` enforces the deadline of a client that does not read.
            Waits::ClientRead | Waits::OriginRead | Waits::ResponseHeader | Waits::ResponseBody => {
                Some((self.total_deadline(), Violation::RequestTimeout))
            }
        }
    }

    fn alarm(&mut self) -> &mut DeadlineTimer {
        &mut self.read_alarm
    }

    fn violated(&mut self, violation: Violation) {
        let _error = self.violation(match violation {
            Violation::MinBodyRate => |c| &c.connections.closed.min_body_rate,
            Violation::RequestTimeout => |c| &c.connections.closed.request_timeout,
            Violation::SendTimeout => |c| &c.connections.closed.send_timeout,
            Violation::TunnelIdle => |c| &c.connections.closed.tunnel_idle_timeout,
        });
    }

    fn note_answered(&mut self, status: u16) {
        self.conn.set_phase(match status {
            101 => ConnectionPhase::Tunnel,
            _ => ConnectionPhase::SendingResponse,
        });
    }
}

#[cfg(test)]
mod tests;
