//! The readers of strangers' bytes, as the fuzz targets drive them: bytes in, plain values out.
//!
//! Only with the feature `fuzzing`, which the tests turn on and no release does. Nothing is decided
//! here, and nothing is done that the readers do not do: what an oracle holds is held by them.

use std::net::SocketAddr;

use pingora_http::RequestHeader;

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

/// What has come of something that arrives in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseOutcome<T, E> {
    /// All of it.
    Complete(T),
    /// Not all of it yet.
    Incomplete,
    /// What cannot be taken.
    Invalid(E),
}

/// Reads a PROXY header of at most `bytes_max` bytes from a connection of which `piece` bytes are
/// seen at a time, as many as there are. Whom it names, if not the hop itself, and how many bytes
/// were taken from the connection.
///
/// # Panics
/// The reader is at a standstill with bytes before it.
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

/// What a ClientHello says of whom it is for and who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHelloSummary {
    /// The name, in lower case.
    pub sni: Option<String>,
    /// The first protocol offered.
    pub alpn: Option<Vec<u8>>,
    /// Cipher suites in their order, with those that mean nothing.
    pub ciphers: Vec<u16>,
    /// Extensions in their order, with those that mean nothing.
    pub extensions: Vec<u16>,
    /// The fingerprint.
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

/// The one reading of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRead {
    /// Bytes of it.
    pub bytes: usize,
    /// As it came.
    pub method: String,
    /// As it came.
    pub host: Option<Vec<u8>>,
    /// As it came.
    pub path: Vec<u8>,
    /// What stands behind `?`.
    pub query: Option<Vec<u8>>,
    /// Names and values in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Bytes of the body; none where it comes in chunks.
    pub length: Option<u64>,
    /// The client wants the connection kept.
    pub keeps: bool,
    /// The connection is to become a WebSocket.
    pub is_websocket: bool,
    /// Its client may wait to be asked for the body.
    pub waits: bool,
}

/// Reads a head at the front of bytes of which `piece` come at a time.
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

/// Whether the engine's own reader takes a head that was taken here: one that it refused would be
/// refused behind the policy, without a word to anybody.
#[must_use]
pub fn engine_takes(head: &HeadRead) -> bool {
    let target = match &head.query {
        Some(query) => [&head.path[..], b"?", query].concat(),
        None => head.path.clone(),
    };
    let fields = Some(head.fields.len());
    RequestHeader::build(head.method.as_str(), &target, fields).is_ok_and(|mut request| {
        head.fields
            .iter()
            .all(|(name, value)| request.append_header(name.clone(), value.as_slice()).is_ok())
    })
}

/// Walks along a chunked body of which `piece` bytes come at a time. Bytes of it, once its end is
/// there.
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

/// What is told of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRead {
    /// Its stream.
    pub stream: u32,
    /// Bytes of its payload.
    pub len: u32,
    /// Flag 1: END_STREAM, or ACK.
    pub ends_stream: bool,
    /// Flag 4.
    pub ends_headers: bool,
    /// The first four bytes of its payload.
    pub begins: u32,
}

/// The frames in bytes of which `piece` come at a time, and whether one has begun and not ended its
/// head.
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

/// The meter of an HTTP/2 connection.
#[derive(Debug)]
pub struct FrameMeter {
    meter: FrameMonitor,
    limits: ProxyLimits,
}

/// What a meter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Streams that are not over.
    pub open: usize,
    /// Of those, the ones on which the client is waited for.
    pub awaited: usize,
    /// Streams that the client took back.
    pub resets: u32,
    /// Frames that mean nothing.
    pub glitches: u32,
    /// Something has begun and not ended.
    pub is_head_open: bool,
}

impl FrameMeter {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(limits: ProxyLimits) -> Self {
        Self { meter: FrameMonitor::new(), limits }
    }

    /// Bytes from the client; the word for the limit that they broke.
    pub fn came(&mut self, bytes: &[u8], now_ms: u64) -> Option<String> {
        self.meter.on_received(bytes, now_ms, &self.limits).err().map(|fault| format!("{fault:?}"))
    }

    /// Bytes to the client.
    pub fn went(&mut self, bytes: &[u8]) -> Option<String> {
        self.meter.on_sent(bytes, &self.limits).err().map(|fault| format!("{fault:?}"))
    }

    /// What it says now.
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
