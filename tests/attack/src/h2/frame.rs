//! Frames out, and frames in as far as an attacker looks at them (RFC 9113 §4 and §6).

use crate::caps::HEAD_BYTES_MAX;

/// The preface of every client.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
pub(crate) const DATA: u8 = 0;
/// Begins a request.
pub(crate) const HEADERS: u8 = 1;
/// Deprecated, and still parsed everywhere.
pub(crate) const PRIORITY: u8 = 2;
/// Ends a stream.
pub(crate) const RST_STREAM: u8 = 3;
/// Parameters of the connection.
pub(crate) const SETTINGS: u8 = 4;
/// Asks for an acknowledgement.
pub(crate) const PING: u8 = 6;
/// The connection takes nothing new.
pub(crate) const GOAWAY: u8 = 7;
/// More may be sent.
pub(crate) const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub(crate) const CONTINUATION: u8 = 9;

/// Of DATA and HEADERS: nothing follows on this stream.
pub(crate) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING: an acknowledgement.
pub(crate) const ACK: u8 = 1;
/// Of HEADERS and CONTINUATION: the block is whole.
pub(crate) const END_HEADERS: u8 = 4;

/// Settings.
pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
/// Initial window of each stream.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// Returns a frame, valid or invalid.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = Vec::with_capacity(payload.len().saturating_add(9));
    out.extend(length.iter().skip(1));
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Returns a SETTINGS frame.
pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in pairs {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// Returns a PING frame with a number.
pub(crate) fn ping(n: u64) -> Vec<u8> {
    frame(PING, 0, 0, &n.to_be_bytes())
}

/// Returns an RST_STREAM frame.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Returns a WINDOW_UPDATE frame; an increment of 0 is a protocol error, which some scenarios need.
pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// Returns a PRIORITY frame: `stream` depends on `parent`.
pub(crate) fn priority(stream: u32, parent: u32) -> Vec<u8> {
    let mut payload = parent.to_be_bytes().to_vec();
    payload.push(16);
    frame(PRIORITY, 0, stream, &payload)
}

/// Returns a HEADERS frame with a whole block.
pub(crate) fn headers(stream: u32, block: &[u8], end_stream: bool) -> Vec<u8> {
    let flags = if end_stream { END_HEADERS | END_STREAM } else { END_HEADERS };
    frame(HEADERS, flags, stream, block)
}

/// Returns a DATA frame.
pub(crate) fn data(stream: u32, bytes: &[u8], end_stream: bool) -> Vec<u8> {
    frame(DATA, if end_stream { END_STREAM } else { 0 }, stream, bytes)
}

/// Returns the n-th stream that a client may open.
pub(crate) fn stream_id(n: u32) -> u32 {
    n.saturating_mul(2).saturating_add(1)
}

/// Returns the name of an error code, for what is counted.
pub(crate) fn code_name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let index = usize::try_from(code).unwrap_or(usize::MAX);
    NAMES.get(index).copied().unwrap_or("unknown")
}

/// One frame that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'b [u8],
}

impl Frame<'_> {
    /// Returns the number at `at` of the payload.
    pub(crate) fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// Bytes that came, cut into frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// More bytes; `each` is called for every frame that is whole now. `false`: these are no
    /// frames.
    pub(crate) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Frame<'_>)) -> bool {
        self.held.extend_from_slice(bytes);
        let mut at = 0usize;
        while let Some((frame, end)) = self.held.get(at..).and_then(first) {
            each(frame);
            at = at.saturating_add(end);
        }
        self.held.drain(..at);
        self.held.len() <= HEAD_BYTES_MAX && !self.held.starts_with(b"HTTP/1")
    }
}

fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = bytes else { return None };
    let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).ok()?;
    let payload = rest.get(..length)?;
    let stream = u32::from_be_bytes([*s & 0x7f, *t, *u, *v]);
    Some((Frame { kind: *kind, flags: *flags, stream, payload }, length.checked_add(9)?))
}
