//! A request header as its origin gets it: the bytes that came, without the fields that end here,
//! and with those that name the client.
//!
//! Fields that stay are copied as runs of bytes and not one by one. The header has been read by
//! [`parse_head`](crate::http1::head::parse_head), so that each line means one thing.

use std::io::Write;
use std::net::IpAddr;

use seawall_model::Scheme;

use crate::http1::head::{Framing, RequestHead, RequestKind, is_continue};

/// Fields that end here, by the number of bytes in their name. Hop-by-hop fields (RFC 9110 §7.6.1),
/// and those by which a client could say in a proxy's name who asks, how and for what: the origin
/// sees exactly one value of each, ours.
const REMOVED: [&[&str]; 26] = {
    let mut by_length: [&[&str]; 26] = [&[]; 26];
    by_length[2] = &["te"];
    by_length[5] = &["proxy"];
    by_length[7] = &["trailer", "upgrade"];
    by_length[9] = &["client-ip", "forwarded", "x-real-ip"];
    by_length[10] = &["connection", "keep-alive"];
    by_length[11] = &["x-client-ip", "x-forwarded", "x-remote-ip"];
    by_length[13] = &["forwarded-for", "x-remote-addr", "x-rewrite-url"];
    by_length[14] =
        &["http2-settings", "true-client-ip", "x-forwarded-by", "x-original-url", "x-proxyuser-ip"];
    by_length[15] = &["proxy-client-ip", "x-forwarded-for", "x-forwarded-ssl", "x-forwarded-uri"];
    by_length[16] = &[
        "cf-connecting-ip",
        "fastly-client-ip",
        "proxy-connection",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-originating-ip",
    ];
    by_length[17] = &["x-forwarded-proto"];
    by_length[18] = &[
        "cf-connecting-ipv6",
        "proxy-authenticate",
        "wl-proxy-client-ip",
        "x-forwarded-scheme",
        "x-forwarded-server",
    ];
    by_length[19] = &["proxy-authorization", "x-cluster-client-ip"];
    by_length[20] = &["x-forwarded-protocol"];
    by_length[24] = &["x-envoy-external-address", "x-original-forwarded-for"];
    by_length
};

/// What an origin is told about the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForwardedFor {
    /// The client's address.
    pub(crate) ip: IpAddr,
    /// The scheme that the client used.
    pub(crate) scheme: Scheme,
}

fn is_removed(name: &str) -> bool {
    REMOVED
        .get(name.len())
        .is_some_and(|names| names.iter().any(|removed| name.eq_ignore_ascii_case(removed)))
}

/// Names that `Connection` lists: they end here as well (RFC 9110 §7.6.1). Those that frame or route
/// the request cannot be among them.
fn is_nominated(name: &str, options: &[&[u8]]) -> bool {
    options.iter().any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// Options of `Connection` beside those that every client sends.
fn nominated<'h>(head: &RequestHead<'h>) -> Vec<&'h [u8]> {
    let fields = head.fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    let options = fields.flat_map(|f| f.value.split(|byte| *byte == b','));
    let usual = |option: &&[u8]| {
        option.is_empty()
            || [&b"close"[..], b"keep-alive", b"upgrade"]
                .iter()
                .any(|known| option.eq_ignore_ascii_case(known))
    };
    options.map(<[u8]>::trim_ascii).filter(|option| !usual(option)).collect()
}

/// Writes the header section that the origin gets into `out`, which is emptied before, without the
/// fields that frame the body.
pub(crate) fn write_request_header(
    bytes: &[u8],
    head: &RequestHead<'_>,
    client: ForwardedFor,
    out: &mut Vec<u8>,
) {
    out.clear();
    request_line(bytes, head, out);
    kept_fields(bytes, head, out);
    let ForwardedFor { ip, scheme } = client;
    let scheme = scheme.word();
    // Writing to memory cannot fail.
    let _ = write!(out, "X-Forwarded-For: {ip}\r\nX-Forwarded-Proto: {scheme}\r\n");
    let _ = match ip {
        IpAddr::V4(v4) => write!(out, "Forwarded: for={v4};proto={scheme}\r\n"),
        IpAddr::V6(v6) => write!(out, "Forwarded: for=\"[{v6}]\";proto={scheme}\r\n"),
    };
}

/// Writes the fields that frame the body, and the end of the header section.
pub(crate) fn end_request_header(head: &RequestHead<'_>, out: &mut Vec<u8>) {
    if head.kind == RequestKind::WebSocket {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if is_body_unusual(head) {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if lacks_length(head) {
        out.extend_from_slice(b"Content-Length: 0\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the connection to the origin ends after the request: its body has no meaning for the
/// method (RFC 9110 §9.3). Many servers leave such a body unread, and would take it for a request.
pub(crate) fn is_body_unusual(head: &RequestHead<'_>) -> bool {
    head.framing != Framing::Length(0) && is_body_meaningless(head.method)
}

/// Whether the method gives a body no meaning (RFC 9110 §9.3).
pub(crate) fn is_body_meaningless(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE")
}

/// Whether the method gives a body a meaning.
pub(crate) fn is_body_expected(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}

/// Whether the method gives a body a meaning and the request says nothing about one (RFC 9110 §8.6).
fn lacks_length(head: &RequestHead<'_>) -> bool {
    head.framing == Framing::Length(0)
        && is_body_expected(head.method)
        && !head.fields.iter().any(|field| field.name.eq_ignore_ascii_case("content-length"))
}

/// The request line in origin form and in HTTP/1.1 (RFC 9112 §3.2.1).
fn request_line(bytes: &[u8], head: &RequestHead<'_>, out: &mut Vec<u8>) {
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at.saturating_add(1));
    let target_at = head.method.len().saturating_add(1);
    let is_as_it_came = !head.is_old
        && bytes
            .get(target_at..)
            .is_some_and(|target| target.starts_with(b"/") || target.starts_with(b"* "));
    if is_as_it_came {
        out.extend_from_slice(bytes.get(..end).unwrap_or_default());
        return;
    }
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.path);
    if let Some(query) = head.query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Copies the fields that stay, each run of them at once.
fn kept_fields(bytes: &[u8], head: &RequestHead<'_>, out: &mut Vec<u8>) {
    let nominated = nominated(head);
    // Both point into the same bytes.
    let offset = |name: &str| (name.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
    let end = bytes.len().saturating_sub(2);
    let mut run = head.fields.first().map_or(end, |field| offset(field.name));
    let mut fields = head.fields.iter().peekable();
    while let Some(field) = fields.next() {
        let goes = is_removed(field.name)
            || (field.name.len() == 6
                && field.name.eq_ignore_ascii_case("expect")
                && is_continue(field.value))
            || is_nominated(field.name, &nominated);
        if goes {
            out.extend_from_slice(bytes.get(run..offset(field.name)).unwrap_or_default());
            run = fields.peek().map_or(end, |next| offset(next.name));
        }
    }
    out.extend_from_slice(bytes.get(run..end).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProxyLimits;
    use crate::http1::head::{header_slots, parse_head};

    /// Headers in which proxies name client, scheme and target. The value of a trusted proxy in the one
    /// configured header was read before; none of them is forwarded.
    const STRIPPED_FORWARDING_HEADERS: [&str; 29] = [
        "x-real-ip",
        "x-client-ip",
        "x-remote-ip",
        "x-remote-addr",
        "x-cluster-client-ip",
        "x-originating-ip",
        "x-original-forwarded-for",
        "x-envoy-external-address",
        "x-proxyuser-ip",
        "true-client-ip",
        "client-ip",
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "fastly-client-ip",
        "proxy-client-ip",
        "wl-proxy-client-ip",
        "forwarded-for",
        "x-forwarded",
        "x-forwarded-by",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-scheme",
        "x-forwarded-protocol",
        "x-forwarded-ssl",
        // Some frameworks serve this path, which was not evaluated.
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        // CGI turns it into the variable that names a proxy for the origin's own requests.
        "proxy",
    ];

    fn written(head: &str) -> String {
        let mut room = header_slots();
        let parsed = parse_head(head.as_bytes(), &mut room, &ProxyLimits::default()).unwrap();
        let mut out = b"old".to_vec();
        let client = ForwardedFor { ip: "192.0.2.7".parse().unwrap(), scheme: Scheme::Https };
        write_request_header(head.as_bytes(), &parsed, client, &mut out);
        end_request_header(&parsed, &mut out);
        let text = String::from_utf8(out).unwrap();
        let ours = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
                    Forwarded: for=192.0.2.7;proto=https\r\n";
        assert_eq!(text.matches(ours).count(), 1, "{text}");
        text.replace(ours, "")
    }

    #[test]
    fn what_ends_here_is_left_out_and_the_rest_is_as_it_came() {
        let head = "GET /a?b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-own\r\nX-OWN: 1\r\n\
                    Accept:  */* \r\nTE: trailers\r\nKeep-Alive: 5\r\nProxy: x\r\nX-Forwarded-For: 1\r\n\
                    Forwarded: for=1\r\nX-Original-URL: /b\r\nCookie: c=1\r\n\r\n";
        assert_eq!(
            written(head),
            "GET /a?b HTTP/1.1\r\nHost: a\r\nAccept:  */* \r\nCookie: c=1\r\n\r\n"
        );
    }

    #[test]
    fn every_name_stands_at_its_length() {
        for (length, names) in REMOVED.iter().enumerate() {
            for name in *names {
                assert_eq!(name.len(), length, "{name}");
            }
        }
        for name in STRIPPED_FORWARDING_HEADERS {
            assert!(is_removed(name), "{name}");
            assert!(is_removed(&name.to_uppercase()), "{name}");
        }
        assert!(!is_removed("host") && !is_removed(&"x".repeat(200)));
    }

    #[test]
    fn absolute_targets_and_old_versions_become_origin_form_in_1_1() {
        assert_eq!(
            written("GET http://a?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET /?q=1 HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        assert_eq!(
            written("GET /x HTTP/1.0\r\nHost: a\r\n\r\n"),
            "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        let star = "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(written(star), star);
    }

    #[test]
    fn bodies_are_announced_and_unusual_ones_end_the_connection() {
        assert!(
            written("POST / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("Content-Length: 0\r\n\r\n")
        );
        let zero = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(written(zero), zero);
        let odd = written("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
        assert!(odd.ends_with("Content-Length: 3\r\nConnection: close\r\n\r\n"), "{odd}");
        let waits = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            written(waits),
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let socket = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n";
        assert_eq!(
            written(socket),
            "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        let other = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n";
        assert_eq!(written(other), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
}
