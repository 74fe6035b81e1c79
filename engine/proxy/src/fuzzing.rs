//! The parsers of untrusted bytes, as the fuzz targets drive them: bytes in, plain values out.
//!
//! Only with the feature `fuzzing`, which the tests turn on and no release does. This module adds
//! no behaviour of its own: the property that an oracle checks is a property of the parsers.

use std::net::SocketAddr;

use crate::ProxyLimits;
use crate::http1::chunked::ChunkedValidator;
use crate::http1::head::{
    Framing, HeadError, HeadScanner, Persistence, RequestHead, RequestKind, header_slots,
    parse_head,
};
use crate::http2::frame_monitor::FrameMonitor;
use crate::http2::frames::FrameReader;
use crate::listener::proxy_protocol::{ProxyHeader, ProxyHeaderParser};
use crate::request::facts::NormalizedTarget;
use crate::tls::client_hello::{self, ParsedClientHello};
use crate::tls::ja4::ja4;

/// Result of parsing input that arrives in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseOutcome<T, E> {
    /// The whole input.
    Complete(T),
    /// The input is not complete yet.
    Incomplete,
    /// The input is invalid.
    Invalid(E),
}

/// Reads a PROXY header of at most `bytes_max` bytes from a connection that shows `piece` bytes at
/// a time. Returns the client that it names, if it names one, and the number of bytes taken from
/// the connection.
///
/// # Panics
/// Panics if the parser makes no progress although bytes are available.
#[must_use]
pub fn proxy_header(
    bytes: &[u8],
    piece: usize,
    bytes_max: usize,
) -> (ParseOutcome<Option<SocketAddr>, ()>, usize) {
    let (mut header, mut at) = (ProxyHeaderParser::new(bytes_max), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let seen = rest.get(..piece).unwrap_or(rest);
        let Ok((taken, whole)) = header.feed(seen) else { return (ParseOutcome::Invalid(()), at) };
        at += taken;
        match whole {
            Some(ProxyHeader::Client(address)) => {
                return (ParseOutcome::Complete(Some(address)), at);
            }
            Some(ProxyHeader::Local) => return (ParseOutcome::Complete(None), at),
            None => assert!(taken > 0, "it would look at the same bytes for ever"),
        }
    }
    (ParseOutcome::Incomplete, at)
}

/// What a ClientHello contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHelloSummary {
    /// The server name, in lower case.
    pub sni: Option<String>,
    /// The first offered protocol.
    pub alpn: Option<Vec<u8>>,
    /// Cipher suites in their order, with GREASE values.
    pub ciphers: Vec<u16>,
    /// Extensions in their order, with GREASE values.
    pub extensions: Vec<u16>,
    /// The JA4 fingerprint.
    pub ja4: String,
}

/// Reads a ClientHello at the front of `bytes`.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> ParseOutcome<ClientHelloSummary, ()> {
    match client_hello::read(bytes) {
        client_hello::ParseProgress::Complete(hello) => {
            let ja4 = ja4(&hello);
            let ParsedClientHello { sni, alpn, ciphers, extensions, .. } = hello;
            ParseOutcome::Complete(ClientHelloSummary {
                sni: sni.map(Into::into),
                alpn,
                ciphers,
                extensions,
                ja4,
            })
        }
        client_hello::ParseProgress::Incomplete => ParseOutcome::Incomplete,
        client_hello::ParseProgress::Not => ParseOutcome::Invalid(()),
    }
}

/// A parsed header section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRead {
    /// Its length in bytes.
    pub bytes: usize,
    /// As it came.
    pub method: String,
    /// As it came.
    pub host: Option<Vec<u8>>,
    /// As it came.
    pub path: Vec<u8>,
    /// The part after `?`.
    pub query: Option<Vec<u8>>,
    /// Names and values in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Bytes of the body; none for a chunked body.
    pub length: Option<u64>,
    /// Whether the client wants the connection kept.
    pub keeps: bool,
    /// Whether the request asks for a WebSocket.
    pub is_websocket: bool,
    /// Whether the client may wait for `100 Continue`.
    pub waits: bool,
}

/// Reads a header section from bytes that arrive in pieces of `piece`.
#[must_use]
pub fn head(bytes: &[u8], piece: usize, limits: &ProxyLimits) -> ParseOutcome<HeadRead, HeadError> {
    let (mut scan, mut have) = (HeadScanner::default(), 0);
    while have < bytes.len() {
        have = have.saturating_add(piece.max(1)).min(bytes.len());
        match scan.advance(bytes.get(..have).unwrap_or_default(), limits) {
            Ok(Some(len)) => return whole_head(bytes.get(..len).unwrap_or_default(), limits),
            Ok(None) => {}
            Err(why) => return ParseOutcome::Invalid(why),
        }
    }
    ParseOutcome::Incomplete
}

fn whole_head(bytes: &[u8], limits: &ProxyLimits) -> ParseOutcome<HeadRead, HeadError> {
    let mut room = header_slots();
    let read = parse_head(bytes, &mut room, limits)
        .and_then(|head| NormalizedTarget::of(&head).map(|_| head));
    let head = match read {
        Ok(head) => head,
        Err(why) => return ParseOutcome::Invalid(why),
    };
    let RequestHead {
        method,
        host,
        path,
        query,
        fields,
        framing,
        persistence,
        kind: purpose,
        expects_continue: waits,
        ..
    } = head;
    ParseOutcome::Complete(HeadRead {
        bytes: bytes.len(),
        method: method.to_owned(),
        host: host.map(<[u8]>::to_vec),
        path: path.to_vec(),
        query: query.map(<[u8]>::to_vec),
        fields: fields.iter().map(|f| (f.name.to_owned(), f.value.to_vec())).collect(),
        length: match framing {
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked => None,
        },
        keeps: persistence == Persistence::Keep,
        is_websocket: purpose == RequestKind::WebSocket,
        waits,
    })
}

/// Validates a chunked body that arrives in pieces of `piece` bytes. Returns its length once it is
/// complete.
#[must_use]
pub fn chunked(bytes: &[u8], piece: usize, limits: &ProxyLimits) -> ParseOutcome<usize, ()> {
    let (mut chunks, mut at) = (ChunkedValidator::new(limits), 0);
    for piece in bytes.chunks(piece.max(1)) {
        let Ok(walked) = chunks.walk(piece) else { return ParseOutcome::Invalid(()) };
        at += walked;
        if chunks.is_done() {
            return ParseOutcome::Complete(at);
        }
        assert_eq!(walked, piece.len(), "bytes of a body that is not over are its own");
    }
    ParseOutcome::Incomplete
}

/// A parsed frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRead {
    /// The stream.
    pub stream: u32,
    /// Length of the payload in bytes.
    pub len: u32,
    /// Flag 1: END_STREAM, or ACK.
    pub ends_stream: bool,
    /// Flag 4.
    pub ends_headers: bool,
    /// The first four bytes of the payload.
    pub begins: u32,
}

/// Returns the frames in bytes that arrive in pieces of `piece`, and whether the last frame header
/// is incomplete.
#[must_use]
pub fn frames(bytes: &[u8], piece: usize, client: bool) -> (Vec<FrameRead>, bool) {
    let (mut frames, mut found) = (FrameReader::of(client), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        frames.read(piece, |frame| {
            found.push(FrameRead {
                stream: frame.stream,
                len: frame.len,
                ends_stream: frame.ends_stream(),
                ends_headers: frame.ends_headers(),
                begins: frame.begins,
            });
        });
    }
    (found, frames.is_inside())
}

/// The frame monitor of an HTTP/2 connection.
#[derive(Debug)]
pub struct FrameMeter {
    meter: FrameMonitor,
    limits: ProxyLimits,
}

/// State of a frame monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Open streams.
    pub open: usize,
    /// Open streams on which the client still has data to send.
    pub awaited: usize,
    /// Streams that the client reset.
    pub resets: u32,
    /// Frames without effect.
    pub glitches: u32,
    /// Whether a header section, frame header or preface is incomplete.
    pub is_head_open: bool,
}

impl FrameMeter {
    /// Returns a monitor that has seen nothing.
    #[must_use]
    pub fn new(limits: ProxyLimits) -> Self {
        Self { meter: FrameMonitor::new(), limits }
    }

    /// Feeds bytes from the client; returns the name of the violated limit.
    pub fn came(&mut self, bytes: &[u8], now_ms: u64) -> Option<String> {
        self.meter.on_received(bytes, now_ms, &self.limits).err().map(|fault| format!("{fault:?}"))
    }

    /// Feeds bytes to the client; returns the name of the violated limit.
    pub fn went(&mut self, bytes: &[u8]) -> Option<String> {
        self.meter.on_sent(bytes, &self.limits).err().map(|fault| format!("{fault:?}"))
    }

    /// Returns the present state.
    #[must_use]
    pub fn says(&self) -> Metered {
        Metered {
            open: self.meter.open(),
            awaited: self.meter.expects_client_data(),
            resets: self.meter.resets,
            glitches: self.meter.glitches,
            is_head_open: self.meter.is_head_open(),
        }
    }
}
