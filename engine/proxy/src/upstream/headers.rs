//! Requests to origins and responses to clients: the peer, its timeouts, and the headers.
//!
//! An origin sees exactly one value for the client, ours; claims of the client are removed. A
//! client never sees an origin's address. Pingora 0.9 removes hop-by-hop headers itself and only
//! passes WebSocket upgrades.
//!
//! WebSocket: bytes that a client sends before the origin agreed stay in the stream, because until
//! then they could be another request. Only a 101 to a request that asked for it opens the tunnel.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::ProxyLimits;
use crate::admission::trusted_proxies::ResolvedClient;
use crate::connection::{Connection, ConnectionPhase};
use crate::http1::head::{RequestKind, is_continue};
use crate::metrics::count;
use crate::request::enforce::AdmittedRequest;
use crate::routing::Site;

/// Headers in which proxies name client, scheme and target. The value of a trusted proxy in the one
/// configured header was read before; none of them is forwarded.
pub(crate) const STRIPPED_FORWARDING_HEADERS: [&str; 29] = [
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

/// Returns the origin of an admitted request in pingora's form; `is_h2` tells the client's version.
pub(crate) fn peer(admitted: &AdmittedRequest, origin: SocketAddr, is_h2: bool) -> HttpPeer {
    let mut peer = HttpPeer::new(origin, false, String::new());
    let (limits, timeouts) = (&admitted.edge().limits, admitted.timeouts());
    set_deadlines(&mut peer, limits, (admitted.purpose(), timeouts.read_ms));
    if is_h2 {
        // Over HTTP/2 no stream waits for the response's header section: the shorter timeout covers
        // both.
        let shorter = timeouts.response_header_ms.min(timeouts.read_ms);
        peer.options.read_timeout = Some(Duration::from_millis(shorter.into()));
    }
    // A connection that one member's request used never carries another member's, even if both have
    // the same origin.
    peer.group_key = u64::from(admitted.route().id.0);
    peer
}

fn set_deadlines(
    peer: &mut HttpPeer,
    limits: &ProxyLimits,
    (purpose, read_ms): (RequestKind, u32),
) {
    let read_timeout = match purpose {
        RequestKind::Plain => Some(Duration::from_millis(read_ms.into())),
        // A quiet WebSocket is no error, nor one on which only the client sends. The stream
        // enforces the deadline for the origin's response, and then monitors both directions.
        RequestKind::WebSocket => None,
    };
    let connect = limits.settings.origins.connect_timeout;
    let options = &mut peer.options;
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect);
    options.read_timeout = read_timeout;
    options.write_timeout = Some(limits.settings.origins.write_timeout);
    options.idle_timeout = Some(limits.settings.origins.keepalive_timeout);
    options.tcp_recv_buf = Some(limits.settings.origins.receive_buffer_bytes);
}

/// Rewrites a request for its origin.
pub(crate) fn rewrite_request_headers(
    request: &mut RequestHeader,
    asker: &ResolvedClient,
) -> Result<()> {
    for claim in STRIPPED_FORWARDING_HEADERS {
        request.remove_header(claim);
    }
    let (ip, scheme) = (asker.client.ip, asker.scheme.word());
    let node = match ip {
        IpAddr::V4(v4) => format!("for={v4};proto={scheme}"),
        IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={scheme}"),
    };
    if request.headers.get("expect").is_some_and(|value| is_continue(value.as_bytes())) {
        // `100 Continue` was sent by us.
        request.remove_header("expect");
    }
    request.insert_header("X-Forwarded-For", ip.to_string())?;
    request.insert_header("X-Forwarded-Proto", scheme)?;
    request.insert_header("Forwarded", node)?;
    to_origin_form(request)
}

/// Closes the connection to the origin after a request with a body that its method does not define
/// (RFC 9110 §9.3). Many servers leave such a body unread and take it for the next request.
pub(crate) fn close_after_body_mismatch(request: &mut RequestHeader) -> Result<()> {
    match request.method.as_str() {
        "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE" => {
            request.insert_header("Connection", "close")
        }
        _ => Ok(()),
    }
}

/// Sets `Content-Length: 0` on a request without a body whose method defines one (RFC 9110 §8.6).
/// Over HTTP/2 a body without a length may turn out to be empty, and some origins reject a `PUT`
/// without a length.
pub(crate) fn say_no_body(request: &mut RequestHeader) -> Result<()> {
    let is_framed = ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| request.headers.contains_key(*name));
    match request.method.as_str() {
        "POST" | "PUT" | "PATCH" if !is_framed => request.insert_header("Content-Length", "0"),
        _ => Ok(()),
    }
}

/// Makes a path of a target with a host that `Host` names too (RFC 9112 §3.2.1).
fn to_origin_form(request: &mut RequestHeader) -> Result<()> {
    let raw = request.raw_path();
    if raw.starts_with(b"/") || raw == b"*" {
        return Ok(());
    }
    let path = request.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let uri = path.parse().or_err(ErrorType::InvalidHTTPHeader, "target")?;
    request.set_uri(uri);
    Ok(())
}

/// Sets the phase from the status of the origin's response.
///
/// # Errors
/// The origin accepts an upgrade that the client did not ask for.
pub(crate) fn set_phase_from_status(
    conn: &Connection,
    admitted: &AdmittedRequest,
    status: u16,
) -> Result<()> {
    match (status, admitted.purpose()) {
        (101, RequestKind::WebSocket) => {
            count(&admitted.edge().counters.requests.websocket_upgrades);
            conn.set_phase(ConnectionPhase::Tunnel);
        }
        (101, RequestKind::Plain) => {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "unasked upgrade").into_up());
        }
        (100..=199, _) => conn.note_interim(),
        _ => conn.set_phase(ConnectionPhase::SendingResponse),
    }
    Ok(())
}

/// Rewrites a response for its client: a redirect to the origin's own address becomes a path.
pub(crate) fn rewrite_response_headers(response: &mut ResponseHeader, route: &Site) -> Result<()> {
    for name in ["location", "content-location"] {
        let Some(value) = response.headers.get(name) else { continue };
        if let Some(path) = path_at_origin(value.as_bytes(), route) {
            response.insert_header(name, path)?;
        }
    }
    Ok(())
}

/// Removes chunked encoding for a client of HTTP/1.0 (RFC 9112 §6.1). Returns whether the end of
/// the connection now ends the response.
pub(crate) fn unchunk(response: &mut ResponseHeader) -> bool {
    let was_chunked = response.remove_header("transfer-encoding").is_some();
    if was_chunked {
        let _fields_behind_the_body = response.remove_header("trailer");
    }
    was_chunked
}

/// Returns the path of a URI whose authority is one of the site's origins.
fn path_at_origin(uri: &[u8], route: &Site) -> Option<String> {
    let uri = std::str::from_utf8(uri).ok()?;
    let rest = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("//"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let names_origin = route.origins.addresses().iter().any(|origin| {
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

#[cfg(test)]
mod tests;
