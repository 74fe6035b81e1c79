//! What is known about one request, borrowed from it.
//!
//! The data plane fills `Facts` from a live session, `seawall test` from a `request` line of a
//! policy. Whatever judges sees no difference between them.

use crate::{Client, Tick};

/// The header fields of a request, wherever they live.
///
/// A trait and not a map, so that nothing is copied for a request whose headers nobody asks for.
pub trait HeaderView: Sync {
    /// Calls `visit` with each value of the field `name` (lower case) until it answers true, and
    /// says whether it did.
    fn any_value<'s>(&'s self, name: &str, visit: &mut dyn FnMut(&'s [u8]) -> bool) -> bool;

    /// The first value of the field `name` (lower case), borrowed.
    fn first(&self, name: &str) -> Option<&[u8]>;

    /// Calls `visit` with the name and value of each field, in the order of the wire where it is
    /// known.
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// How many fields there are.
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

/// What the client used to reach the first hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in front of `://`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// How much of a client there is at the moment. Asked only where a policy reads it: to know it costs
/// a lock.
pub trait Gauges: std::fmt::Debug + Sync {
    /// Its open connections, this one included; absent for a request that came through a trusted
    /// proxy, whose connections are not the client's.
    fn connections(&self) -> Option<u32>;

    /// Its requests that are under way, this one included.
    fn in_flight(&self) -> u32;
}

/// What is known about the connection that carries the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionInfo<'r> {
    /// The protocol.
    pub proto: Proto,
    /// The scheme; a trusted proxy's word, where one says it.
    pub scheme: Scheme,
    /// What else its client has under way; nothing else, where nobody counts.
    pub gauges: Option<&'r dyn Gauges>,
    /// Client's source port.
    pub port: u16,
    /// Requests on this connection so far, this one included.
    pub requests: u32,
    /// Milliseconds since the connection was accepted.
    pub age_ms: u64,
    /// HTTP/2 streams open now.
    pub streams: u32,
    /// Protocol oddities counted on this connection.
    pub glitches: u32,
    /// Streams that the client reset.
    pub resets: u32,
    /// The JA4 fingerprint of the ClientHello, where there was one.
    pub ja4: Option<&'r str>,
    /// The server name of the ClientHello, where there was one.
    pub sni: Option<&'r str>,
    /// `TLSv1.2` or `TLSv1.3`, where the connection is encrypted.
    pub tls: Option<&'r str>,
}

/// What the address tables say of a client; each is absent where no source is configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Geo<'r> {
    /// The autonomous system that announces the address.
    pub asn: Option<u32>,
    /// The ISO 3166-1 alpha-2 country code, upper case.
    pub country: Option<[u8; 2]>,
    /// The verified crawler's name.
    pub crawler: Option<&'r str>,
}

/// How strong a proof a pass stands for; weaker ones come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassKind {
    /// Held a cookie.
    Cookie,
    /// Solved a proof of work.
    Pow,
    /// Completed a page.
    Page,
}

/// A valid pass that came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What it proves.
    pub kind: PassKind,
    /// When it was issued.
    pub issued: Tick,
}

/// How the site's origin is doing, over the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OriginHealth {
    /// Median time to the first byte, in milliseconds.
    pub latency_ms: Option<u64>,
    /// Share of requests that failed, in percent.
    pub errors_percent: Option<u8>,
    /// Requests being answered now.
    pub inflight: Option<u32>,
}

/// How a request was answered, when the answer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseInfo {
    /// The status.
    pub status: u16,
    /// Bytes of the body.
    pub bytes_out: u64,
    /// Milliseconds from the head to the end.
    pub latency_ms: u64,
}

/// One request, as it is judged.
#[derive(Clone, Copy)]
pub struct Facts<'r> {
    /// Who asks.
    pub client: Client,
    /// What the address tables say of them.
    pub geo: Geo<'r>,
    /// The connection.
    pub conn: ConnectionInfo<'r>,
    /// The method, as it came.
    pub method: &'r str,
    /// The host asked for: lower case, without port or final dot.
    pub host: &'r str,
    /// The name of the configured site: its first host, or `host` where no site is configured.
    pub site: &'r str,
    /// The path as the policy reads it: decoded once, folded (LANGUAGE §5).
    pub path: &'r [u8],
    /// The path as it came.
    pub raw_path: &'r [u8],
    /// The part of `path` that names the script which the origin runs, where that is known.
    pub script: Option<&'r [u8]>,
    /// What stood behind `?`, as it came.
    pub query: Option<&'r [u8]>,
    /// The header fields.
    pub headers: &'r dyn HeaderView,
    /// The pass that came with it, checked already.
    pub pass: Option<Pass>,
    /// Failed attempts at a challenge by this client.
    pub pass_failures: u32,
    /// The origin's state.
    pub origin: OriginHealth,
    /// Load of the machine, in percent of all processors.
    pub cpu_percent: Option<u8>,
}

impl std::fmt::Debug for Facts<'_> {
    /// Says nothing of the visitor: addresses and headers stay out of every log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").field("site", &self.site).finish_non_exhaustive()
    }
}
