//! Towards the origin and back: where to, with which deadlines, and what each side may see.
//!
//! An origin sees exactly one value for who asked, ours; whatever the client claimed is gone. A
//! client never sees an origin's address. Pingora 0.9 removes hop-by-hop fields itself and lets
//! only WebSocket upgrades through.
//!
//! WebSocket: what a client sends before the origin agreed stays in the guard, because until then
//! it could be another request; only a 101 to a request that asked for it opens the tunnel.

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

/// Fields by which hops before us tell who asked, how and for what. What a listed hop says in the
/// one field that is believed has been read before; none of them is passed on.
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
    // Some frameworks serve the path that stands here, which nobody has judged.
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-uri",
    // CGI turns it into the variable that names a proxy for what the origin itself asks.
    "proxy",
];

/// The origin of an admitted request in pingora's form, and whether it came over HTTP/2.
pub(crate) fn peer(admitted: &AdmittedRequest, origin: SocketAddr, is_h2: bool) -> HttpPeer {
    let mut peer = HttpPeer::new(origin, false, String::new());
    let (limits, timeouts) = (&admitted.edge().limits, admitted.timeouts());
    set_deadlines(&mut peer, limits, (admitted.purpose(), timeouts.read_ms));
    if is_h2 {
        // No guard waits for the answer's head there: what is shorter holds for all of it.
        let shorter = timeouts.response_header_ms.min(timeouts.read_ms);
        peer.options.read_timeout = Some(Duration::from_millis(shorter.into()));
    }
    // A connection that one member's request left behind never carries another member's, even
    // where both have the same origin.
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
        // A quiet WebSocket is no fault, nor one on which only the client speaks. The guard keeps
        // the deadline for the origin's answer, and then watches both directions.
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

/// Makes a request presentable to an origin.
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
        // Whoever waited to be invited has been, by us.
        request.remove_header("expect");
    }
    request.insert_header("X-Forwarded-For", ip.to_string())?;
    request.insert_header("X-Forwarded-Proto", scheme)?;
    request.insert_header("Forwarded", node)?;
    to_origin_form(request)
}

/// Ends the connection to the origin after a request with a body that its method gives no meaning
/// (RFC 9110 §9.3): many servers leave such a body unread and then take it for the next request, so
/// nothing may come after it.
pub(crate) fn close_after_body_mismatch(request: &mut RequestHeader) -> Result<()> {
    match request.method.as_str() {
        "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE" => {
            request.insert_header("Connection", "close")
        }
        _ => Ok(()),
    }
}

/// Says of a request without a body that it has none, where its method gives one a meaning (RFC 9110
/// §8.6). Over HTTP/2 a body may turn out to be empty after no length was said; some origins refuse a
/// `PUT` that tells neither.
pub(crate) fn say_no_body(request: &mut RequestHeader) -> Result<()> {
    let is_framed = ["content-length", "transfer-encoding"]
        .iter()
        .any(|name| request.headers.contains_key(*name));
    match request.method.as_str() {
        "POST" | "PUT" | "PATCH" if !is_framed => request.insert_header("Content-Length", "0"),
        _ => Ok(()),
    }
}

/// A target that names its host, which `Host` names too, becomes a path (RFC 9112 §3.2.1).
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

/// Notes how far the exchange is, from the status of the origin's answer.
///
/// # Errors
/// An upgrade that nobody asked for.
pub(crate) fn set_phase_from_status(
    conn: &Connection,
    admitted: &AdmittedRequest,
    status: u16,
) -> Result<()> {
    match (status, admitted.purpose()) {
        (101, RequestKind::WebSocket) => {
            count(&admitted.edge().counters.tunnels);
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

/// Makes an answer presentable to a client: a redirect to the origin's own address becomes a path.
pub(crate) fn rewrite_response_headers(response: &mut ResponseHeader, route: &Site) -> Result<()> {
    for name in ["location", "content-location"] {
        let Some(value) = response.headers.get(name) else { continue };
        if let Some(path) = path_at_origin(value.as_bytes(), route) {
            response.insert_header(name, path)?;
        }
    }
    Ok(())
}

/// Makes an answer one that a client of HTTP/1.0 can read, which knows no chunks (RFC 9112 §6.1).
/// Says whether its end is that of the connection now.
pub(crate) fn unchunk(response: &mut ResponseHeader) -> bool {
    let was_chunked = response.remove_header("transfer-encoding").is_some();
    if was_chunked {
        let _fields_behind_the_body = response.remove_header("trailer");
    }
    was_chunked
}

/// The path of a URI whose authority is one of the site's origins.
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
