//! Forwarding of one HTTP/1 request and its response, as bytes.
//!
//! [`exchange`] is a state machine without I/O of its own: a client and an origin are anything that
//! implements [`ByteStream`]. The same code runs over sockets, TLS and the streams of tests and fuzz
//! targets. [`in_flight`] drives it: origins, retries, deadlines.
//!
//! * A header section is parsed once and rewritten as bytes, so that it leaves in one write with the
//!   beginning of the body that came with it.
//! * The framing of a body is checked as it passes. Nothing is copied.
//! * Nothing is read from an origin that its client has no room for.
//!
//! Limitation: a body of a request that came with its header section is copied once.

pub(crate) mod body;
pub(crate) mod buffer;
pub(crate) mod exchange;
pub(crate) mod given_up;
pub(crate) mod in_flight;
pub(crate) mod origin_connection;
pub(crate) mod outgoing;
pub(crate) mod request_header;
pub(crate) mod response_error;
pub(crate) mod response_header;
pub(crate) mod while_here;

use std::io;
use std::task::{Context, Poll};

use http::HeaderMap;

/// One side of an exchange.
pub(crate) trait ByteStream {
    /// Reads into `buffer`; 0 means that the other side has ended its direction.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes the beginning of `bytes`.
    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;

    /// Sends what was written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends our direction; the other side may go on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The client's side of an exchange.
pub(crate) trait ClientStream: ByteStream {
    /// Ready when the client has ended its direction, or is gone. What it sends meanwhile belongs to
    /// its next request.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Writes the beginning of `bytes`, which are the last of the response if `is_last`.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        _is_last: bool,
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, bytes)
    }

    /// Sends a header section to a client that gets it as fields and not as bytes (HTTP/2).
    /// `is_last` tells that no body follows.
    fn send_fields(&mut self, _status: u16, _fields: HeaderMap, _is_last: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Ends the response of a client whose protocol marks the end, with the lines of its trailers.
    fn end_response(&mut self, _trailers: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
