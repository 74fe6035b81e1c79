//! The client's side of one HTTP/2 request.
//!
//! The library keeps windows and frames. A body that comes without a length is read in chunks of our
//! own, because its origin gets it in HTTP/1.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::Instant;

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::connection::data_rate::later;
use crate::forward::body::{CHUNK_FRAMING_BYTES, LAST_CHUNK, chunk_line};
use crate::forward::buffer::move_front;
use crate::forward::exchange::Waits;
use crate::forward::in_flight::{Downstream, Violation};
use crate::forward::{ByteStream, ClientStream};
use crate::http1::body_buffer::BodyBuffered;
use crate::http1::timer::DeadlineTimer;
use crate::request::local_response::{BodyMode, LocalResponse};

/// Trailers of one response that are forwarded.
const TRAILERS_MAX: usize = 64;

/// How the origin gets the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpFraming {
    /// As it comes: its length is known.
    Raw,
    /// In chunks.
    Chunks,
    /// The last chunk was sent.
    Ended,
}

/// The client's side of one request.
pub(crate) struct StreamClient {
    conn: Arc<Connection>,
    limits: Arc<ProxyLimits>,
    respond: SendResponse<Bytes>,
    /// The response, once its header section was sent.
    send: Option<SendStream<Bytes>>,
    body: RecvStream,
    /// What was read of the body before the origin got the request.
    ahead: BytesMut,
    framing: UpFraming,
    /// The end of the response was sent.
    is_ended: bool,
    alarm: DeadlineTimer,
    is_waiting: bool,
    /// It took no bytes of the response for too long.
    is_stalled: bool,
}

impl Drop for StreamClient {
    fn drop(&mut self) {
        self.note_waiting(false);
    }
}

impl StreamClient {
    pub(crate) fn new(
        conn: &Arc<Connection>,
        limits: &Arc<ProxyLimits>,
        body: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        Self {
            conn: Arc::clone(conn),
            limits: Arc::clone(limits),
            respond,
            send: None,
            body,
            ahead: BytesMut::new(),
            framing: UpFraming::Raw,
            is_ended: false,
            alarm: DeadlineTimer::default(),
            is_waiting: false,
            is_stalled: false,
        }
    }

    /// Returns what was read of the body before the origin got the request.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Removes bytes from the front of that.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.ahead.advance(bytes.min(self.ahead.len()));
    }

    /// From here on the body is read in chunks of our own.
    pub(crate) const fn read_in_chunks(&mut self) {
        self.framing = UpFraming::Chunks;
    }

    /// Returns whether the client took no bytes of the response for too long.
    pub(crate) const fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// Reads a body of up to `most` bytes before the origin gets the request, or that much of a
    /// larger one, as `Http1Stream` does.
    ///
    /// # Errors
    /// The client has reset the stream, or its connection ended.
    pub(crate) async fn buffer_body(&mut self, most: usize) -> io::Result<BodyBuffered> {
        while self.ahead.len() < most {
            match poll_fn(|cx| self.poll_frame(cx)).await? {
                0 => return Ok(BodyBuffered::Complete),
                _more => {}
            }
        }
        Ok(if self.body.is_end_stream() { BodyBuffered::Complete } else { BodyBuffered::Partial })
    }

    /// Sends a local response. A client that has left gets none.
    pub(crate) fn answer(&mut self, answer: &LocalResponse) {
        let is_last = answer.body == BodyMode::HeadersOnly;
        let text = answer.text();
        if self.send_fields(answer.status, answer.fields(), is_last).is_ok()
            && !is_last
            && let Some(send) = &mut self.send
        {
            self.is_ended = send.send_data(Bytes::from(text), true).is_ok();
        }
    }

    /// Makes the client see that the response is incomplete.
    pub(crate) fn reset(&mut self) {
        match &mut self.send {
            Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Reads a frame of the body into `ahead`. Returns its length, and 0 at the end.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let Some(frame) = ready!(self.body.poll_data(cx)) else { return Poll::Ready(Ok(0)) };
            let frame = frame.map_err(io::Error::other)?;
            // What is read may be replaced by more; it is bounded by what is read ahead.
            let _ = self.body.flow_control().release_capacity(frame.len());
            if !frame.is_empty() {
                self.ahead.extend_from_slice(&frame);
                return Poll::Ready(Ok(frame.len()));
            }
        }
    }

    /// Reads one chunk of our own, or the last.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.framing == UpFraming::Ended {
            return Poll::Ready(Ok(0));
        }
        if self.ahead.is_empty() && ready!(self.poll_frame(cx))? == 0 {
            self.framing = UpFraming::Ended;
            let place = room.get_mut(..LAST_CHUNK.len()).ok_or(io::ErrorKind::WriteZero)?;
            place.copy_from_slice(LAST_CHUNK);
            return Poll::Ready(Ok(LAST_CHUNK.len()));
        }
        let most = room.len().saturating_sub(CHUNK_FRAMING_BYTES);
        let count = self.ahead.len().min(most);
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let (line, len) = chunk_line(count);
        let (front, rest) = room.split_at_mut(len);
        front.copy_from_slice(line.get(..len).unwrap_or_default());
        let count = move_front(&mut self.ahead, rest.get_mut(..count).unwrap_or_default());
        if let Some(end) = rest.get_mut(count..count + 2) {
            end.copy_from_slice(b"\r\n");
        }
        Poll::Ready(Ok(len + count + 2))
    }
}

impl ByteStream for StreamClient {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.framing != UpFraming::Raw {
            return self.poll_chunk(cx, buffer);
        }
        if self.ahead.is_empty() && ready!(self.poll_frame(cx))? == 0 {
            return Poll::Ready(Ok(0));
        }
        Poll::Ready(Ok(move_front(&mut self.ahead, buffer)))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes, false)
    }

    /// The connection's own task sends.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ClientStream for StreamClient {
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let reset = match &mut self.send {
            Some(send) => ready!(send.poll_reset(cx)).is_err(),
            None => ready!(self.respond.poll_reset(cx)).is_err(),
        };
        let kind = match reset {
            true => io::ErrorKind::ConnectionAborted,
            false => io::ErrorKind::ConnectionReset,
        };
        Poll::Ready(Err(kind.into()))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        is_last: bool,
    ) -> Poll<io::Result<usize>> {
        let Some(send) = &mut self.send else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        send.reserve_capacity(bytes.len());
        while send.capacity() == 0 {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let count = send.capacity().min(bytes.len());
        let is_last = is_last && count == bytes.len();
        let data = Bytes::copy_from_slice(bytes.get(..count).unwrap_or(bytes));
        send.send_data(data, is_last).map_err(io::Error::other)?;
        self.is_ended = is_last;
        Poll::Ready(Ok(count))
    }

    fn send_fields(&mut self, status: u16, fields: HeaderMap, is_last: bool) -> io::Result<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
        *response.headers_mut() = fields;
        if status < 200 {
            return self.respond.send_informational(response).map_err(io::Error::other);
        }
        let sent = self.respond.send_response(response, is_last);
        self.send = Some(sent.map_err(io::Error::other)?);
        self.is_ended = is_last;
        Ok(())
    }

    fn end_response(&mut self, trailers: &[u8]) -> io::Result<()> {
        let Some(send) = self.send.as_mut().filter(|_| !self.is_ended) else { return Ok(()) };
        self.is_ended = true;
        match trailer_fields(trailers) {
            Some(fields) => send.send_trailers(fields),
            None => send.send_data(Bytes::new(), true),
        }
        .map_err(io::Error::other)
    }
}

/// Returns the trailers as fields; none if there are none. What HTTP/2 does not permit is left out.
fn trailer_fields(lines: &[u8]) -> Option<HeaderMap> {
    if lines.is_empty() {
        return None;
    }
    let lines = [lines, b"\r\n"].concat();
    let mut room = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(&lines, &mut room)
    else {
        return None;
    };
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value))
            && !is_connection_specific(&name)
        {
            let _ = map.try_append(name, value);
        }
    }
    (!map.is_empty()).then_some(map)
}

/// Returns whether a field frames a message or concerns one hop (RFC 9113 §8.2.2).
fn is_connection_specific(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
    )
}

impl Downstream for StreamClient {
    fn client_deadline(&mut self, waits: Waits, since: Instant) -> Option<(Instant, Violation)> {
        // The stream of the connection enforces the deadlines of requests. It cannot tell a closed
        // window from an empty buffer.
        let stall = self.limits.settings.timeouts.send_timeout;
        (waits == Waits::ClientRead).then(|| (later(since, stall), Violation::SendTimeout))
    }

    fn alarm(&mut self) -> &mut DeadlineTimer {
        &mut self.alarm
    }

    fn violated(&mut self, _: Violation) {
        self.is_stalled = true;
        if let Some(send) = &mut self.send {
            send.send_reset(Reason::CANCEL);
        }
    }

    fn note_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting != is_waiting {
            self.conn.turns.note_waiting(is_waiting);
            self.is_waiting = is_waiting;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_fields_and_none_of_them_frames() {
        let fields =
            trailer_fields(b"X-Sum: 7\r\nContent-Length: 9\r\nServer-Timing: a\r\n").unwrap();
        let all: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(all, [("x-sum", "7"), ("server-timing", "a")]);
        assert!(trailer_fields(b"").is_none());
        assert!(trailer_fields(b"Transfer-Encoding: x\r\n").is_none());
    }
}
