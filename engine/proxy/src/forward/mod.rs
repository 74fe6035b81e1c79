//! Forwarding of one HTTP/1 request and its response, as bytes.
//!
//! Everything here is a state machine without I/O of its own: a client and an origin are anything
//! that implements [`ByteStream`]. The same code runs over sockets, TLS and the streams of tests and
//! fuzz targets.
//!
//! * A header is parsed once and rewritten as bytes into the room in front of the body that came
//!   with it, so that both leave in one write.
//! * The framing of a body is checked as it passes. Nothing is copied.
//! * Nothing is read from an origin that its client has no room for.
//!
//! Limitations: the choice of an origin, retries and timeouts are the caller's.

pub(crate) mod body;
pub(crate) mod buffer;
pub(crate) mod exchange;
pub(crate) mod request_header;
pub(crate) mod response_header;

use std::io;
use std::task::{Context, Poll};

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
