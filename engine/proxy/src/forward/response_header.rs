//! The header section of a response as its client gets it.
//!
//! It is parsed strictly: what two parsers could read differently never reaches a client. An origin
//! that sends it gets no further request on that connection, and its client gets 502.

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ProxyLimits;
use crate::forward::body::Body;
use crate::forward::exchange::Terms;
use crate::forward::response_error::ResponseError;
use crate::http1::chunked::ChunkedValidator;

/// What the client is, as far as its response depends on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseTo {
    /// The request was a HEAD.
    pub(crate) is_head: bool,
    /// The client speaks HTTP/1.0.
    pub(crate) is_old: bool,
    /// The client speaks HTTP/2: it gets fields, and a body without framing.
    pub(crate) is_h2: bool,
    /// The request asked for a WebSocket.
    pub(crate) is_websocket: bool,
    /// The connection stays open after the response, if the response permits it.
    pub(crate) keep_alive: bool,
    /// The connection to the origin ends after the request (`Connection: close` was sent).
    pub(crate) closes_origin: bool,
}

/// What a header says.
#[derive(Debug)]
pub(crate) struct ResponseHeader {
    /// Its bytes as they came.
    pub(crate) len: usize,
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// The fields for a client that speaks HTTP/2.
    pub(crate) fields: Option<HeaderMap>,
    /// The body comes in chunks, and its client cannot read those.
    pub(crate) is_unchunked: bool,
    /// The body ends with the origin's connection, and its client gets it in chunks.
    pub(crate) is_rechunked: bool,
    /// Another request may follow on the connection to the origin.
    pub(crate) origin_keeps: bool,
    /// Another request may follow on the connection to the client.
    pub(crate) client_keeps: bool,
}

/// Fields that frame the response, or end here.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps: bool,
}

/// Reads a header section of at most `bytes_max` from the beginning of `bytes`, and writes into `out`
/// what its client gets. Returns `None` while it is incomplete.
///
/// # Errors
/// The response cannot be passed on.
pub(crate) fn read_response_header(
    (bytes, bytes_max): (&[u8], usize),
    to: ResponseTo,
    terms: Terms<'_>,
    out: &mut Vec<u8>,
) -> Result<Option<ResponseHeader>, ResponseError> {
    let limits = terms.limits;
    let mut slots = [const { MaybeUninit::uninit() }; crate::http1::head::FIELDS_CEILING];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut slots);
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() <= bytes_max => {
            return Ok(None);
        }
        Ok(httparse::Status::Partial) => return Err(ResponseError::Bytes),
        Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::Fields),
        Err(_) => return Err(ResponseError::Syntax),
    };
    let header = bytes.get(..len).ok_or(ResponseError::Syntax)?;
    if len > bytes_max {
        return Err(ResponseError::Bytes);
    }
    if response.headers.len() > limits.max_response_headers {
        return Err(ResponseError::Fields);
    }
    let (Some(status), Some(version)) = (response.code, response.version) else {
        return Err(ResponseError::Syntax);
    };
    if !is_crlf_only(header) || !(100..=999).contains(&status) {
        return Err(ResponseError::Syntax);
    }
    let is_interim = status < 200;
    let framing = read_framing(response.headers, version == 0)?;
    if status == 101 && !to.is_websocket {
        return Err(ResponseError::Upgrade);
    }
    let body = body_of(status, to, &framing, limits);
    let ends_with_stream = matches!(body, Body::UntilClose) && !is_interim && status != 101;
    let is_unchunked = (to.is_old || to.is_h2) && matches!(body, Body::Chunked(_));
    let origin_keeps = (framing.keeps || version == 1)
        && !framing.closes
        && !matches!(body, Body::UntilClose)
        && !to.closes_origin;
    // In chunks a client can tell a complete body from an incomplete one.
    let is_rechunked = ends_with_stream && !to.is_old && !to.is_h2;
    let ends_with_client = (ends_with_stream && to.is_old) || is_unchunked || status == 101;
    let client_keeps = to.keep_alive && !ends_with_client;
    let line = StatusLine { status, is_unchunked };
    let fields = to.is_h2.then(|| h2_fields(response.headers, line, terms.origins));
    if !to.is_h2 {
        write_header(header, response.headers, (line, terms.origins), out);
        let ending = Ending { is_interim, is_rechunked, client_keeps, is_old: to.is_old };
        ending.write(status, out);
    }
    Ok(Some(ResponseHeader {
        len,
        status,
        body,
        fields,
        is_unchunked,
        is_rechunked,
        origin_keeps,
        client_keeps,
    }))
}

impl ResponseHeader {
    /// Returns whether another header section follows.
    pub(crate) const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// What the last fields of a header section depend on.
#[derive(Debug, Clone, Copy)]
struct Ending {
    is_interim: bool,
    is_rechunked: bool,
    client_keeps: bool,
    is_old: bool,
}

impl Ending {
    /// Writes the fields that are ours, and the end of the header section.
    fn write(self, status: u16, out: &mut Vec<u8>) {
        if status == 101 {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
        } else if !self.client_keeps && !self.is_interim {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.is_old && !self.is_interim {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        if self.is_rechunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Returns the fields for a client that speaks HTTP/2. A name or value that it does not permit is
/// left out.
fn h2_fields(
    fields: &[httparse::Header<'_>],
    line: StatusLine,
    origins: &[SocketAddr],
) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let value = match action(field, line, origins) {
            FieldAction::Keep => HeaderValue::from_bytes(field.value),
            FieldAction::Replace(value) => HeaderValue::from_str(&value),
            FieldAction::Remove => continue,
        };
        let name = HeaderName::from_bytes(field.name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            // Fails beyond 32,768 fields; the limit is far below.
            let _ = map.try_append(name, value);
        }
    }
    map
}

/// Every line ends in CRLF: the parser takes a bare LF too.
fn is_crlf_only(header: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', header)
        .all(|at| at.checked_sub(1).and_then(|before| header.get(before)) == Some(&b'\r'))
}

fn body_of(status: u16, to: ResponseTo, framing: &Framing, limits: &ProxyLimits) -> Body {
    match status {
        101 => Body::UntilClose,
        100..=199 | 204 | 304 => Body::EMPTY,
        _ if to.is_head => Body::EMPTY,
        _ if framing.is_chunked => Body::Chunked(ChunkedValidator::new(limits)),
        _ => framing.length.map_or(Body::UntilClose, Body::Length),
    }
}

fn read_framing(fields: &[httparse::Header<'_>], is_old: bool) -> Result<Framing, ResponseError> {
    let mut framing = Framing::default();
    for field in fields {
        match field.name.len() {
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    framing.closes |= option.eq_ignore_ascii_case(b"close");
                    framing.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                let length = parse_length(field.value).ok_or(ResponseError::Framing)?;
                if framing.length.replace(length).is_some() {
                    return Err(ResponseError::Framing);
                }
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                let is_chunked = field.value.eq_ignore_ascii_case(b"chunked");
                if !is_chunked || framing.is_chunked || is_old {
                    return Err(ResponseError::Framing);
                }
                framing.is_chunked = true;
            }
            _ => {}
        }
    }
    if framing.is_chunked && framing.length.is_some() {
        return Err(ResponseError::Framing);
    }
    Ok(framing)
}

/// Digits only, at most 18 of them, so that no number overflows.
fn parse_length(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.len() <= 18 && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// What decides about single fields.
#[derive(Debug, Clone, Copy)]
struct StatusLine {
    status: u16,
    is_unchunked: bool,
}

/// What happens to one field.
enum FieldAction {
    /// It is forwarded as it came.
    Keep,
    Remove,
    /// It gets another value.
    Replace(String),
}

impl FieldAction {
    fn removed_if(is_removed: bool) -> Self {
        if is_removed { Self::Remove } else { Self::Keep }
    }
}

fn action(field: &httparse::Header<'_>, line: StatusLine, origins: &[SocketAddr]) -> FieldAction {
    let is = |known: &str| field.name.eq_ignore_ascii_case(known);
    let removed_if = FieldAction::removed_if;
    match field.name.len() {
        7 => removed_if(is("upgrade") || (line.is_unchunked && is("trailer"))),
        8 if is("location") => relocated(field.value, origins),
        10 => removed_if(is("connection") || is("keep-alive")),
        14 => removed_if(line.status == 204 && is("content-length")),
        16 if is("content-location") => relocated(field.value, origins),
        16 => removed_if(is("proxy-connection")),
        17 => removed_if((line.is_unchunked || line.status == 204) && is("transfer-encoding")),
        _ => FieldAction::Keep,
    }
}

/// A redirect to the address of one of the site's origins becomes a path: a client never sees such
/// an address.
fn relocated(uri: &[u8], origins: &[SocketAddr]) -> FieldAction {
    path_at_origin(uri, origins).map_or(FieldAction::Keep, FieldAction::Replace)
}

/// Returns the path of a URI whose authority is one of `origins`.
fn path_at_origin(uri: &[u8], origins: &[SocketAddr]) -> Option<String> {
    let uri = std::str::from_utf8(uri).ok()?;
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("//"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let names_origin = origins.iter().any(|origin| {
        authority == origin.to_string() || (origin.port() == 80 && is_ip(authority, origin.ip()))
    });
    if !names_origin {
        return None;
    }
    Some(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
}

fn is_ip(authority: &str, ip: IpAddr) -> bool {
    authority.trim_matches(['[', ']']).parse() == Ok(ip)
}

/// Copies the status line in HTTP/1.1 and the fields that stay, each run of them at once.
fn write_header(
    header: &[u8],
    fields: &[httparse::Header<'_>],
    (line, origins): (StatusLine, &[SocketAddr]),
    out: &mut Vec<u8>,
) {
    const VERSION: &[u8] = b"HTTP/1.1";
    out.clear();
    out.extend_from_slice(VERSION);
    let offset = |name: &str| (name.as_ptr() as usize).saturating_sub(header.as_ptr() as usize);
    let end = header.len().saturating_sub(2);
    // Status and reason are part of the first run.
    let mut run = VERSION.len();
    let mut fields = fields.iter().peekable();
    while let Some(field) = fields.next() {
        let action = action(field, line, origins);
        if matches!(action, FieldAction::Keep) {
            continue;
        }
        out.extend_from_slice(header.get(run..offset(field.name)).unwrap_or_default());
        run = fields.peek().map_or(end, |next| offset(next.name));
        if let FieldAction::Replace(value) = action {
            for part in [field.name, ": ", &value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    out.extend_from_slice(header.get(run..end).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: ResponseTo = ResponseTo {
        is_head: false,
        is_old: false,
        is_h2: false,
        is_websocket: false,
        keep_alive: true,
        closes_origin: false,
    };

    fn read(
        bytes: &str,
        to: ResponseTo,
    ) -> Result<Option<(ResponseHeader, String)>, ResponseError> {
        let mut out = b"old".to_vec();
        let origins = ["192.0.2.9:8080".parse().unwrap(), "192.0.2.9:80".parse().unwrap()];
        let terms = Terms { limits: &ProxyLimits::default(), origins: &origins };
        let most = terms.limits.settings.origins.max_response_header_bytes;
        let header = read_response_header((bytes.as_bytes(), most), to, terms, &mut out)?;
        Ok(header.map(|header| (header, String::from_utf8(out).unwrap())))
    }

    #[test]
    fn fields_that_end_here_are_left_out_and_the_rest_is_as_it_came() {
        let came = "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\
                    Content-Length: 2\r\nSet-Cookie:  a=1 \r\n\r\nok";
        let (header, text) = read(came, TO).unwrap().unwrap();
        assert_eq!(
            text,
            "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nSet-Cookie:  a=1 \r\n\r\n"
        );
        assert_eq!((header.len, header.status), (came.len() - 2, 200));
        assert!(matches!(header.body, Body::Length(2)));
        assert!(header.origin_keeps && header.client_keeps);
    }

    #[test]
    fn an_origin_that_closes_ends_its_connection_and_not_the_clients() {
        let (header, text) =
            read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", TO)
                .unwrap()
                .unwrap();
        assert!(!header.origin_keeps && header.client_keeps);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let (old, _) = read("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", TO).unwrap().unwrap();
        assert!(!old.origin_keeps && old.client_keeps);
    }

    #[test]
    fn a_body_without_a_length_is_sent_in_chunks_or_ends_both_connections() {
        let came = "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n";
        let (header, text) = read(came, TO).unwrap().unwrap();
        assert!(!header.origin_keeps && header.client_keeps && header.is_rechunked);
        assert!(matches!(header.body, Body::UntilClose));
        assert_eq!(text, "HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (header, text) = read(came, ResponseTo { is_old: true, ..TO }).unwrap().unwrap();
        assert!(!header.origin_keeps && !header.client_keeps && !header.is_rechunked);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nServer: x\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let says = "Content-Length: 9\r\n\r\n";
        for (status, to, is_kept) in [
            ("304 Not Modified", TO, true),
            ("200 OK", ResponseTo { is_head: true, ..TO }, true),
            ("204 No Content", TO, false),
        ] {
            let (header, text) =
                read(&format!("HTTP/1.1 {status}\r\n{says}"), to).unwrap().unwrap();
            assert!(header.body.is_done() && header.client_keeps, "{status}");
            assert_eq!(text.contains("Content-Length: 9"), is_kept, "{status}");
        }
    }

    #[test]
    fn a_client_of_1_0_gets_no_chunks() {
        let came = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n";
        let (header, text) = read(came, ResponseTo { is_old: true, ..TO }).unwrap().unwrap();
        assert!(header.is_unchunked && !header.client_keeps && header.origin_keeps);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let (header, text) = read(came, TO).unwrap().unwrap();
        assert!(!header.is_unchunked);
        assert!(text.contains("Transfer-Encoding: chunked\r\nTrailer: x\r\n"));
    }

    #[test]
    fn a_switch_of_protocols_is_passed_on_where_it_was_asked_for() {
        let came =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        assert_eq!(read(came, TO).unwrap_err(), ResponseError::Upgrade);
        let (header, text) = read(came, ResponseTo { is_websocket: true, ..TO }).unwrap().unwrap();
        assert!(matches!(header.body, Body::UntilClose) && !header.client_keeps);
        assert!(text.ends_with("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), "{text}");
    }

    #[test]
    fn nonsense_is_refused_and_a_part_is_waited_for() {
        for (came, why) in [
            ("hello\r\n\r\n", ResponseError::Syntax),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", ResponseError::Syntax),
            ("HTTP/1.1 2000 OK\r\n\r\n", ResponseError::Syntax),
            ("HTTP/1.1 099 OK\r\n\r\n", ResponseError::Syntax),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                ResponseError::Framing,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", ResponseError::Framing),
            ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", ResponseError::Framing),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                ResponseError::Framing,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ResponseError::Framing),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ResponseError::Framing),
        ] {
            assert_eq!(read(came, TO).unwrap_err(), why, "{came}");
        }
        assert!(read("HTTP/1.1 200 OK\r\nContent-Len", TO).unwrap().is_none());
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300));
        assert_eq!(read(&many, TO).unwrap_err(), ResponseError::Fields);
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(70_000));
        assert_eq!(read(&long, TO).unwrap_err(), ResponseError::Bytes);
    }
    #[test]
    fn a_redirect_to_an_origin_becomes_a_path() {
        for (said, sent) in [
            ("http://192.0.2.9:8080/a?b", "/a?b"),
            ("//192.0.2.9:8080", "/"),
            ("http://192.0.2.9/x", "/x"),
            ("http://192.0.2.9:8081/x", "http://192.0.2.9:8081/x"),
            ("https://a.example/", "https://a.example/"),
            ("/here", "/here"),
        ] {
            for name in ["Location", "content-location"] {
                let came =
                    format!("HTTP/1.1 302 Found\r\n{name}: {said}\r\nContent-Length: 0\r\n\r\n");
                let (_, text) = read(&came, TO).unwrap().unwrap();
                assert!(text.contains(&format!("\r\n{name}: {sent}\r\nContent")), "{text}");
            }
        }
    }

    #[test]
    fn a_client_of_http_2_gets_fields_and_no_framing() {
        let came = "HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
                    Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\
                    Location: http://192.0.2.9:8080/x\r\n\r\n";
        let (header, _) = read(came, ResponseTo { is_h2: true, ..TO }).unwrap().unwrap();
        let fields = header.fields.unwrap();
        let all: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(
            all,
            [("server", "x"), ("set-cookie", "a"), ("set-cookie", "b"), ("location", "/x")]
        );
        assert!(header.is_unchunked && matches!(header.body, Body::Chunked(_)));
    }
}
