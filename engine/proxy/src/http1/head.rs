//! Strict parser of the header section of an HTTP/1 request.
//!
//! **A header section that two parsers could read differently is rejected**, even if the RFC lets a
//! parser be lenient. The origin parses the same bytes again, so an accepted one has
//! exactly one meaning: one length, one host, one end. The cost is linear: [`HeadScanner`] reads
//! each byte once, however slowly it arrives, and the header section is parsed once.
//!
//! Limitations: the meaning of a body; origins that interpret another header in their own way;
//! origins that respond to a POST, leave its body unread and keep the connection, because they take
//! that body for the next request.

mod normalize;

use std::mem::MaybeUninit;

use seawall_ruleset::http::is_token_byte;

use crate::ProxyLimits;

pub(crate) use normalize::{is_left_out, normalized};

/// Size of the parser's array: more headers than any setting allows.
pub(crate) const FIELDS_CEILING: usize = 256;

/// Storage for the headers of one request.
pub(crate) type HeaderSlots<'h> = [MaybeUninit<httparse::Header<'h>>; FIELDS_CEILING];

/// Returns empty storage.
pub(crate) const fn header_slots<'h>() -> HeaderSlots<'h> {
    [const { MaybeUninit::uninit() }; FIELDS_CEILING]
}

/// Why a header section was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum HeadError {
    /// More bytes than `max_request_header_bytes`.
    Bytes,
    /// More fields than `max_request_headers`.
    Fields,
    /// More reads than `max_request_header_reads`.
    Drip,
    /// A line that ends in a lone CR or LF.
    LineEnd,
    /// A header that continues in the next line.
    Fold,
    /// A header name with an invalid byte, or one that would frame the request if `_` were `-`.
    Name,
    /// Any other syntax error.
    Syntax,
    /// A `Content-Length` that is not a plain number.
    Length,
    /// More than one `Content-Length`.
    LengthRepeated,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndEncoding,
    /// A `Transfer-Encoding` other than exactly `chunked`, once, in HTTP/1.1.
    Encoding,
    /// No `Host` in HTTP/1.1, or an invalid one.
    Host,
    /// More than one `Host`.
    HostRepeated,
    /// A target that names another host than `Host` does.
    HostMismatch,
    /// A target that is neither a path nor an absolute `http` URI, or cannot be decoded.
    Target,
    /// The method CONNECT.
    Connect,
    /// A method of more bytes than `max_method_bytes`.
    Method,
    /// A `Connection` header that names a header which frames or routes the request.
    Nominated,
    /// An upgrade to WebSocket with a body, or other than by GET in HTTP/1.1.
    Upgrade,
}

impl HeadError {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Bytes,
        Self::Fields,
        Self::Drip,
        Self::LineEnd,
        Self::Fold,
        Self::Name,
        Self::Syntax,
        Self::Length,
        Self::LengthRepeated,
        Self::LengthAndEncoding,
        Self::Encoding,
        Self::Host,
        Self::HostRepeated,
        Self::HostMismatch,
        Self::Target,
        Self::Connect,
        Self::Method,
        Self::Nominated,
        Self::Upgrade,
    ];

    /// Returns its name in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Fields => "fields",
            Self::Drip => "drip",
            Self::LineEnd => "line_end",
            Self::Fold => "fold",
            Self::Name => "name",
            Self::Syntax => "syntax",
            Self::Length => "length",
            Self::LengthRepeated => "length_repeated",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::Encoding => "encoding",
            Self::Host => "host",
            Self::HostRepeated => "host_repeated",
            Self::HostMismatch => "host_mismatch",
            Self::Target => "target",
            Self::Connect => "connect",
            Self::Method => "method",
            Self::Nominated => "nominated",
            Self::Upgrade => "upgrade",
        }
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Bytes | Self::Fields => 431,
            _ => 400,
        }
    }
}

/// Finds the end of a header section while it arrives, and reads each byte once.
#[derive(Debug, Default)]
pub(crate) struct HeadScanner {
    seen: usize,
    line_start: usize,
    lines: usize,
    after_cr: bool,
}

impl HeadScanner {
    /// Returns whether no byte has come yet.
    pub(crate) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Scans the new part of `bytes`, which starts at the first byte of the header section. Returns
    /// the length of the header section once it is complete.
    ///
    /// # Errors
    /// A line end is not CRLF, or a limit is exceeded.
    pub(crate) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &ProxyLimits,
    ) -> Result<Option<usize>, HeadError> {
        let mut at = self.seen;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.after_cr {
                if rest.first() != Some(&b'\n') {
                    return Err(HeadError::LineEnd);
                }
                self.after_cr = false;
                if self.end_line(at)? {
                    return fits(at + 1, limits).map(Some);
                }
                // The request line is not a header.
                if self.lines > limits.settings.requests.max_request_headers.min(FIELDS_CEILING) + 1
                {
                    return Err(HeadError::Fields);
                }
                at += 1;
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', rest) else { break };
            if rest.get(end) == Some(&b'\n') {
                return Err(HeadError::LineEnd);
            }
            self.after_cr = true;
            at += end + 1;
        }
        self.seen = bytes.len();
        fits(self.seen, limits).map(|_| None)
    }

    /// Records a line that ends at `at`; returns whether it ends the header section.
    fn end_line(&mut self, at: usize) -> Result<bool, HeadError> {
        let is_empty = at == self.line_start + 1;
        if is_empty && self.lines == 0 {
            return Err(HeadError::Syntax);
        }
        self.lines += 1;
        self.line_start = at + 1;
        Ok(is_empty)
    }
}

fn fits(len: usize, limits: &ProxyLimits) -> Result<usize, HeadError> {
    if len > limits.settings.requests.max_request_header_bytes {
        Err(HeadError::Bytes)
    } else {
        Ok(len)
    }
}

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// How a request body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes; 0 without a body.
    Length(u64),
    /// With the last chunk.
    Chunked,
}

/// Whether the client wants the connection kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    Keep,
    Close,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// An ordinary request with one response.
    Plain,
    /// A WebSocket, if the origin agrees.
    WebSocket,
}

/// A header section with exactly one meaning.
#[derive(Debug)]
pub(crate) struct RequestHead<'h> {
    pub(crate) method: &'h str,
    /// `Host` as it came; only HTTP/1.0 may omit it.
    pub(crate) host: Option<&'h [u8]>,
    /// The target's path as it came.
    pub(crate) path: &'h [u8],
    /// The part after `?`.
    pub(crate) query: Option<&'h [u8]>,
    pub(crate) fields: &'h [httparse::Header<'h>],
    pub(crate) framing: Framing,
    pub(crate) persistence: Persistence,
    pub(crate) kind: RequestKind,
    /// Whether the client may wait for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub(crate) expects_continue: bool,
    /// Whether the version is HTTP/1.0.
    pub(crate) is_old: bool,
    /// Whether its target names the scheme `https`.
    pub(crate) says_https: bool,
    /// Whether it is evaluated and forwarded unchanged, and not after [`normalized`].
    pub(crate) is_normal: bool,
}

/// Parses one complete header section.
///
/// # Errors
/// Returns the first part that is invalid or ambiguous.
pub(crate) fn parse_head<'h>(
    bytes: &'h [u8],
    room: &'h mut HeaderSlots<'h>,
    limits: &ProxyLimits,
) -> Result<RequestHead<'h>, HeadError> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, room) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(classify_syntax_error(bytes).err().unwrap_or(HeadError::Fields));
        }
        _ => return Err(classify_syntax_error(bytes).err().unwrap_or(HeadError::Syntax)),
    }
    let method = request.method.ok_or(HeadError::Syntax)?;
    let target = request.path.ok_or(HeadError::Syntax)?.as_bytes();
    let version = match request.version {
        Some(0) => Version::Http10,
        Some(1) => Version::Http11,
        _ => return Err(HeadError::Syntax),
    };
    let fields: &'h [httparse::Header<'h>] = request.headers;
    if fields.len() > limits.settings.requests.max_request_headers {
        return Err(HeadError::Fields);
    }
    if method == "CONNECT" {
        return Err(HeadError::Connect);
    }
    if method.len() > limits.max_method_bytes {
        return Err(HeadError::Method);
    }
    let named = RoutingHeaders::gather(fields)?;
    let (authority, path, query) = split_target(method, target)?;
    let host = parse_host(&named, version, authority)?;
    let framing = parse_framing(&named, version)?;
    let connection = parse_connection_options(fields, version)?;
    let purpose = parse_upgrade(&named, &connection, (method, version), framing)?;
    let persistence = connection.persistence;
    let waits = version == Version::Http11 && framing != Framing::Length(0) && expects(fields);
    let says_https = authority.is_some_and(|(_, port)| port == HTTPS_PORT);
    let is_old = version == Version::Http10;
    let is_normal = named.cookies < 2 && !named.has_left_out;
    Ok(RequestHead {
        method,
        host,
        path,
        query,
        fields,
        framing,
        persistence,
        kind: purpose,
        expects_continue: waits,
        is_old,
        says_https,
        is_normal,
    })
}

fn expects(fields: &[httparse::Header<'_>]) -> bool {
    fields.iter().any(|field| field.name.eq_ignore_ascii_case("expect") && is_continue(field.value))
}

/// Returns whether an `Expect` asks for `100 Continue`: no other value is registered.
pub(crate) const fn is_continue(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"100-continue")
}

/// Names the line error behind an error of the parser.
fn classify_syntax_error(bytes: &[u8]) -> Result<(), HeadError> {
    for line in bytes.split(|b| *b == b'\n').skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(HeadError::Fold);
        }
        let colon = line.iter().position(|b| *b == b':').ok_or(HeadError::Syntax)?;
        let name = line.get(..colon).unwrap_or_default();
        if name.is_empty() || !name.iter().all(|b| is_token_byte(*b)) {
            return Err(HeadError::Name);
        }
    }
    Ok(())
}

/// The headers that frame or route a request.
#[derive(Debug, Default)]
struct RoutingHeaders<'h> {
    host: Option<&'h [u8]>,
    length: Option<&'h [u8]>,
    encoding: Option<&'h [u8]>,
    upgrade: Option<&'h [u8]>,
    cookies: usize,
    /// Whether a header has to be removed.
    has_left_out: bool,
}

impl<'h> RoutingHeaders<'h> {
    fn gather(fields: &[httparse::Header<'h>]) -> Result<Self, HeadError> {
        let mut named = Self::default();
        for field in fields {
            if memchr::memchr(b'_', field.name.as_bytes()).is_some() {
                if normalize::is_misspelt_framing(field.name) {
                    return Err(HeadError::Name);
                }
                named.has_left_out = true;
                continue;
            }
            // A check of the length saves the comparisons for most headers.
            let (slot, repeated) = match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => {
                    (&mut named.host, HeadError::HostRepeated)
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    (&mut named.length, HeadError::LengthRepeated)
                }
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    (&mut named.encoding, HeadError::Encoding)
                }
                7 if field.name.eq_ignore_ascii_case("upgrade") => {
                    (&mut named.upgrade, HeadError::Upgrade)
                }
                6 if field.name.eq_ignore_ascii_case("cookie") => {
                    named.cookies += 1;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(field.value).is_some() {
                return Err(repeated);
            }
        }
        Ok(named)
    }
}

/// Authority, path and query of a target.
type Target<'h> = (Option<Authority<'h>>, &'h [u8], Option<&'h [u8]>);
/// An authority, and the default port of its scheme.
type Authority<'h> = (&'h [u8], &'static [u8]);

fn split_target<'h>(method: &str, target: &'h [u8]) -> Result<Target<'h>, HeadError> {
    if target.contains(&b'#') {
        return Err(HeadError::Target);
    }
    if target == b"*" {
        return if method == "OPTIONS" { Ok((None, target, None)) } else { Err(HeadError::Target) };
    }
    let (authority, rest) = match strip_scheme(target) {
        None => (None, target),
        Some((after, port)) => {
            let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            let (authority, rest) = after.split_at_checked(end).ok_or(HeadError::Target)?;
            (Some((authority, port)), rest)
        }
    };
    let (path, query) = match rest.iter().position(|b| *b == b'?') {
        None => (rest, None),
        Some(at) => (rest.get(..at).unwrap_or_default(), rest.get(at + 1..)),
    };
    // No URI contains these bytes (RFC 3986 §2), and servers differ in what they make of them.
    let is_odd = path.iter().any(|b| matches!(b, b'<' | b'>' | b'`'))
        || query.is_some_and(|query| query.iter().any(|b| matches!(b, b'<' | b'>' | b'"')));
    if is_odd {
        return Err(HeadError::Target);
    }
    match (path.first(), authority) {
        (Some(b'/'), _) => Ok((authority, path, query)),
        (None, Some(_)) => Ok((authority, b"/", query)),
        _ => Err(HeadError::Target),
    }
}

const HTTPS_PORT: &[u8] = b"443";

/// Returns the target after `http://` or `https://`, and the default port of that scheme.
fn strip_scheme(target: &[u8]) -> Option<(&[u8], &'static [u8])> {
    let schemes: [(&[u8], &[u8]); 2] = [(b"http://", b"80"), (b"https://", HTTPS_PORT)];
    schemes.into_iter().find_map(|(scheme, port)| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front.eq_ignore_ascii_case(scheme).then_some((rest, port))
    })
}

/// Returns an authority without an empty port or the default port of its scheme (RFC 9110 §4.2.3).
fn plain_authority<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    let Some(at) = authority.iter().rposition(|byte| *byte == b':') else { return authority };
    let (name, said) = authority.split_at_checked(at).unwrap_or((authority, b""));
    let said = said.get(1..).unwrap_or_default();
    // Within brackets a colon is part of an address.
    if said.is_empty() || said == port { name } else { authority }
}

fn parse_host<'h>(
    named: &RoutingHeaders<'h>,
    version: Version,
    authority: Option<Authority<'_>>,
) -> Result<Option<&'h [u8]>, HeadError> {
    if version == Version::Http11 && named.host.is_none_or(<[u8]>::is_empty) {
        return Err(HeadError::Host);
    }
    match (authority, named.host) {
        (Some((authority, port)), Some(host))
            if plain_authority(authority, port)
                .eq_ignore_ascii_case(plain_authority(host, port)) => {}
        (Some(_), _) => return Err(HeadError::HostMismatch),
        (None, _) => {}
    }
    Ok(named.host)
}

fn parse_framing(named: &RoutingHeaders<'_>, version: Version) -> Result<Framing, HeadError> {
    match (named.length, named.encoding) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => Err(HeadError::LengthAndEncoding),
        (None, Some(encoding)) => {
            if version == Version::Http11 && encoding.eq_ignore_ascii_case(b"chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(HeadError::Encoding)
            }
        }
        (Some(length), None) => parse_content_length(length).map(Framing::Length),
    }
}

/// Parses at most 18 digits, so that no parser overflows. A leading zero is rejected, so that no
/// parser reads an octal number.
fn parse_content_length(text: &[u8]) -> Result<u64, HeadError> {
    let is_padded = text.len() > 1 && text.starts_with(b"0");
    if text.is_empty() || text.len() > 18 || is_padded || !text.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Length);
    }
    Ok(text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// The content of the `Connection` headers.
#[derive(Debug)]
struct ConnectionOptions {
    persistence: Persistence,
    names_upgrade: bool,
}

/// Headers that a `Connection` header must not have removed.
const FRAMING_FIELDS: [&[u8]; 6] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"content-type",
    b"authorization",
    b"cookie",
];

fn parse_connection_options(
    fields: &[httparse::Header<'_>],
    version: Version,
) -> Result<ConnectionOptions, HeadError> {
    let mut keep = version == Version::Http11;
    let mut close = false;
    let mut names_upgrade = false;
    let connections = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    for option in connections.flat_map(|f| f.value.split(|b| *b == b',')) {
        let option = option.trim_ascii();
        if FRAMING_FIELDS.iter().any(|name| option.eq_ignore_ascii_case(name)) {
            return Err(HeadError::Nominated);
        }
        close |= option.eq_ignore_ascii_case(b"close");
        keep |= option.eq_ignore_ascii_case(b"keep-alive");
        names_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
    }
    let persistence = if keep && !close { Persistence::Keep } else { Persistence::Close };
    Ok(ConnectionOptions { persistence, names_upgrade })
}

/// Checks an upgrade. A WebSocket needs GET in HTTP/1.1 without a body (RFC 6455 §4.1). Other
/// upgrades are ignored, which RFC 9110 §7.8 permits, and do not reach the origin.
fn parse_upgrade(
    named: &RoutingHeaders<'_>,
    connection: &ConnectionOptions,
    (method, version): (&str, Version),
    framing: Framing,
) -> Result<RequestKind, HeadError> {
    let wants = named.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    if !wants || !connection.names_upgrade {
        return Ok(RequestKind::Plain);
    }
    if method != "GET" || version != Version::Http11 || framing != Framing::Length(0) {
        return Err(HeadError::Upgrade);
    }
    Ok(RequestKind::WebSocket)
}

#[cfg(test)]
mod tests;
