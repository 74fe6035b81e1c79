//! The facts about one request, borrowed from it.
//!
//! The data plane fills `Facts` from a live session, `seawall test` from a `request` line of a
//! policy. The evaluation does not depend on the source.

use crate::{Client, Tick};

/// The header fields of a request, in any representation.
///
/// A trait and not a map: no headers are copied for a request whose headers no rule reads.
pub trait HeaderView: Sync {
    /// Calls `visit` with each value of the field `name` (lower case) until it returns true.
    /// Returns whether it did.
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool;

    /// Returns the first value of the field `name` (lower case).
    fn first(&self, name: &str) -> Option<&[u8]>;

    /// Calls `visit` with the name and value of each field, in the order of arrival if that is
    /// known.
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// Returns the number of fields.
    fn count(&self) -> usize {
        let mut count = 0_usize;
        self.each(&mut |_, _| count = count.saturating_add(1));
        count
    }
}

/// The protocol of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proto {
    /// HTTP/1.0.
    H10,
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2.
    H2,
}

/// The scheme that the client used to reach the first proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// Without encryption.
    #[default]
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns the text in front of `://`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Current numbers of connections and requests of a client. They are read only if a policy uses
/// them, because reading takes a lock.
pub trait Gauges: std::fmt::Debug + Sync {
    /// Returns the number of open connections of the client, this one included. Returns `None` for
    /// a request from a trusted proxy, because its connections are not those of the client.
    fn connections(&self) -> Option<u32>;

    /// Returns the number of requests of the client in flight, this one included.
    fn in_flight(&self) -> u32;
}

/// Facts about the connection that carries the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionInfo<'r> {
    /// The protocol.
    pub proto: Proto,
    /// The scheme; from the header of a trusted proxy if it sends one.
    pub scheme: Scheme,
    /// The other connections and requests of the client; `None` if they are not counted.
    pub gauges: Option<&'r dyn Gauges>,
    /// The source port of the client.
    pub port: u16,
    /// Requests on this connection so far, this one included.
    pub requests: u32,
    /// Milliseconds since the connection was accepted.
    pub age_ms: u64,
    /// Open HTTP/2 streams.
    pub streams: u32,
    /// Protocol anomalies counted on this connection.
    pub glitches: u32,
    /// Streams reset by the client.
    pub resets: u32,
    /// The JA4 fingerprint of the ClientHello, if there was one.
    pub ja4: Option<&'r str>,
    /// The server name in the ClientHello, if there was one.
    pub sni: Option<&'r str>,
    /// `TLSv1.2` or `TLSv1.3` if the connection is encrypted.
    pub tls: Option<&'r str>,
}

/// Values of the address tables for a client. Each is `None` if no source is configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Geo<'r> {
    /// The autonomous system that announces the address.
    pub asn: Option<u32>,
    /// The ISO 3166-1 alpha-2 country code, upper case.
    pub country: Option<[u8; 2]>,
    /// The name of the verified crawler.
    pub crawler: Option<&'r str>,
}

/// The strength of the proof behind a pass, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassKind {
    /// The client kept a cookie.
    Cookie,
    /// The client solved a proof of work.
    Pow,
    /// The client completed a page.
    Page,
}

/// A valid pass in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The kind of proof.
    pub kind: PassKind,
    /// The time of issue.
    pub issued: Tick,
}

/// State of the origin of the site over the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OriginHealth {
    /// Median time to the first byte, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Share of requests that failed, in percent.
    pub errors_percent: Option<u8>,
    /// Requests in flight at the origin.
    pub inflight: Option<u32>,
}

/// Facts about a response, known at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseInfo {
    /// The status.
    pub status: u16,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// Milliseconds from the request header to the end of the response.
    pub latency_ms: u64,
}

/// The facts about one request that its evaluation uses.
#[derive(Clone, Copy)]
pub struct Facts<'r> {
    /// The client.
    pub client: Client,
    /// Values of the address tables for the client.
    pub geo: Geo<'r>,
    /// The connection.
    pub conn: ConnectionInfo<'r>,
    /// The method as received.
    pub method: &'r str,
    /// The requested host: lower case, without port and final dot.
    pub host: &'r str,
    /// The name of the configured site: its first host. It is `host` if no site is configured.
    pub site: &'r str,
    /// The path as the policy reads it: decoded once and normalized.
    pub path: &'r [u8],
    /// The path as received.
    pub raw_path: &'r [u8],
    /// The part of `path` that names the script that the origin runs, if that is known.
    pub script: Option<&'r [u8]>,
    /// The query after `?`, as received.
    pub query: Option<&'r [u8]>,
    /// The header fields.
    pub headers: &'r dyn HeaderView,
    /// The pass in the request, already verified.
    pub pass: Option<Pass>,
    /// Failed challenge attempts by this client.
    pub pass_failures: u32,
    /// The state of the origin.
    pub origin: OriginHealth,
    /// CPU load of the machine, in percent of all processors.
    pub cpu_percent: Option<u8>,
}

impl std::fmt::Debug for Facts<'_> {
    /// Prints no client data: addresses and headers stay out of every log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").field("site", &self.site).finish_non_exhaustive()
    }
}
