//! The counters of the proxy, in the groups of the metrics.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use serde::{Deserialize, Serialize};

use crate::{Histogram, PercentGauge, ResponseCounters, WordCounters};

counters! {
    /// The counters of the proxy over all sites.
    ProxyMetrics => ProxyStatus {
        /// Client connections.
        connections: ConnectionCounters,
        /// Requests.
        requests: RequestCounters,
        /// TLS.
        tls: TlsCounters,
        /// Clients that are kept waiting by `tarpit`.
        tarpits: TarpitCounters,
        /// Completed health checks.
        health_checks: HealthCheckCounters,
        /// Retries of requests.
        retries: RetryCounters,
        /// Overload of the server.
        overload: OverloadGauges,
        /// Connections that ended in a panic.
        panics: AtomicU64,
        /// Log lines of `log` actions that were not written.
        policy_log_suppressed: AtomicU64,
    }
}

counters! {
    /// Client connections.
    ConnectionCounters => ConnectionStatus {
        /// Open connections.
        active: AtomicU64,
        /// Accepted connections, with those that were rejected at once.
        total: AtomicU64,
        /// Failed calls of `accept`.
        accept_errors: AtomicU64,
        /// Connections that were reset before their first request was evaluated.
        rejected: ConnectionRejectionCounters,
        /// Connections that Seawall closed.
        closed: ConnectionCloseCounters,
    }
}

reasons! {
    /// Why connections were reset before their first request was evaluated.
    ConnectionRejectionCounters => ConnectionRejections {
        /// `max_connections` are open.
        max_connections,
        /// The client has `max_connections_per_client` connections.
        max_connections_per_client,
        /// The client's network has `max_connections_per_network` connections.
        max_connections_per_network,
        /// The client opened connections faster than the connection rate limit.
        connection_rate,
        /// The site has its fair share of connections.
        site_share,
        /// A trusted proxy sent no PROXY header in time.
        proxy_protocol_timeout,
        /// A trusted proxy sent an invalid PROXY header.
        proxy_protocol_invalid,
        /// The client is banned.
        banned,
        /// The server is overloaded and the client is new.
        overload,
    }
}

reasons! {
    /// Why Seawall closed connections.
    ConnectionCloseCounters => ConnectionCloses {
        /// An idle connection was closed to accept another.
        evicted,
        /// No request came in time.
        idle_timeout,
        /// The connection reached its maximum of requests or its maximum duration.
        max_requests_or_duration,
        /// A request header did not arrive in time.
        request_header_timeout,
        /// A request body arrived more slowly than the minimum data rate.
        min_body_rate,
        /// A chunked request body was invalid.
        invalid_chunked_body,
        /// The client did not read its response in time.
        send_timeout,
        /// A request and its response took too long in all.
        request_timeout,
        /// No bytes moved on a WebSocket in time.
        tunnel_idle_timeout,
        /// An HTTP/2 client canceled too many requests, or made Seawall cancel them.
        h2_rapid_reset,
        /// An HTTP/2 client sent too many frames of one kind in a second.
        h2_frame_flood,
        /// An HTTP/2 client sent a header block in too many frames.
        h2_continuation_flood,
        /// An HTTP/2 client sent requests after the last that was announced.
        h2_requests_after_goaway,
        /// The policy's verdict was `drop`.
        policy_drop,
        /// The policy's verdict was `ban`.
        policy_ban,
        /// A ban of the client was set while the connection was open.
        banned,
        /// The connection was idle during overload.
        overload_idle,
        /// The client did not read its response during overload.
        overload_stalled,
    }
}

counters! {
    /// Requests.
    RequestCounters => RequestStatus {
        /// Requests with a valid header.
        total: AtomicU64,
        /// Requests that are at an origin.
        active: AtomicU64,
        /// Requests that were allowed and got an origin slot.
        forwarded: AtomicU64,
        /// Responses to evaluated requests that Seawall made itself.
        local_responses: AtomicU64,
        /// Responses to requests that belong to no site.
        responses_without_site: ResponseCounters,
        /// Requests whose header was invalid, by reason.
        header_errors: WordCounters,
        /// Request headers that were removed because of a `_` in their name.
        headers_removed: AtomicU64,
        /// Requests that were rejected by another reason than a rule of the policy.
        rejected: RequestRejectionCounters,
        /// Forwarded requests that got no response from an origin.
        upstream_errors: UpstreamErrorCounters,
        /// Responses of origins that were rejected because of their header, by reason.
        origin_response_errors: WordCounters,
        /// Requests whose client left, or ended its direction, while an origin worked on them.
        canceled: AtomicU64,
        /// Canceled requests to which the origin did not respond in time.
        canceled_timeouts: AtomicU64,
        /// Connections that were upgraded to WebSocket.
        websocket_upgrades: AtomicU64,
    }
}

reasons! {
    /// Why requests were rejected, apart from the rules of the policy.
    RequestRejectionCounters => RequestRejections {
        /// The host belongs to no site (421).
        unknown_host,
        /// The host belongs to another site than the TLS server name of the connection (421).
        sni_host_mismatch,
        /// Other requests of the HTTP/2 connection did not end in time (503).
        h2_forward_window_timeout,
        /// The client, or its network, has its maximum of concurrent requests (429).
        max_concurrent_requests_per_client,
        /// No origin slot became free in time (503).
        origin_busy,
        /// All origins of the site are down (503).
        no_healthy_origin,
        /// A health check of the origin failed while the request waited (503).
        health_check_failed,
        /// The server is overloaded and the client is new (503).
        overload,
        /// This version cannot carry out the verdict (503).
        unsupported_verdict,
    }
}

reasons! {
    /// Why forwarded requests got no response from an origin.
    UpstreamErrorCounters => UpstreamErrors {
        /// The origin could not be reached, or closed the connection (502).
        connect_or_reset,
        /// The origin did not respond in time (504).
        timeout,
    }
}

counters! {
    /// TLS.
    TlsCounters => TlsStatus {
        /// Handshakes, by result.
        handshakes: HandshakeCounters,
    }
}

reasons! {
    /// How TLS handshakes ended.
    HandshakeCounters => Handshakes {
        /// The handshake was completed.
        success,
        /// The handshake failed.
        failure,
        /// The handshake took too long.
        timeout,
        /// The connection did not begin with a TLS ClientHello.
        not_tls,
    }
}

counters! {
    /// Clients that are kept waiting by `tarpit`.
    TarpitCounters => TarpitStatus {
        /// Requests that were held.
        total: AtomicU64,
        /// Requests that are held.
        active: AtomicU64,
        /// Requests that were reset at once because the maximum was held.
        rejected: AtomicU64,
    }
}

reasons! {
    /// How health checks ended.
    HealthCheckCounters => HealthChecks {
        /// The origin is healthy.
        success,
        /// The origin is unhealthy, or did not respond in time.
        failure,
        /// The check found nothing out, or was omitted because too many were under way.
        inconclusive,
    }
}

counters! {
    /// Retries of requests.
    RetryCounters => RetryStatus {
        /// Retries.
        total: AtomicU64,
        /// Retries that the retry budget did not allow.
        denied: AtomicU64,
    }
}

counters! {
    /// Overload of the server.
    OverloadGauges => OverloadStatus {
        /// The stage: 0 normal, 1 warning, 2 shedding, 3 critical.
        stage: AtomicU64,
        /// The use of each watched resource: 1 is its limit.
        pressure: PressureGauges,
    }
}

counters! {
    /// The use of each watched resource: 1 is its limit.
    PressureGauges => Pressure {
        /// Memory of its limit; 0 where there is none.
        memory: PercentGauge,
        /// Delay of the latest worker; 1 is a tenth of a second.
        worker_delay: PercentGauge,
    }
}

counters! {
    /// The counters of one site.
    SiteMetrics => SiteCounts {
        /// Requests that belong to the site.
        requests_total: AtomicU64,
        /// Requests that were allowed and got an origin slot.
        requests_forwarded_total: AtomicU64,
        /// Requests that waited in the queue and got an origin slot.
        queued_total: AtomicU64,
        /// Requests that were allowed and rejected for lack of a resource.
        rejected: SiteRejectionCounters,
        /// Requests whose client left, or ended its direction, while an origin worked on them.
        requests_canceled_total: AtomicU64,
        /// Connections that Seawall closed.
        connections_closed: SiteCloseCounters,
        /// CPU time that the site's connections took, in microseconds.
        cpu_us: AtomicU64,
        /// Times that a connection waited for CPU time.
        cpu_throttled_total: AtomicU64,
        /// Bytes that were sent to the site's clients.
        egress_bytes_total: AtomicU64,
        /// Times that a connection waited for egress bandwidth.
        egress_throttled_total: AtomicU64,
        /// Responses by class of their status code.
        responses: ResponseCounters,
        /// Time from a request's header to the end of its response.
        request_duration: Histogram,
        /// Time from a request's origin slot to the header of the origin's response.
        origin_response: Histogram,
    }
}

reasons! {
    /// Why a site's requests were rejected for lack of a resource.
    SiteRejectionCounters => SiteRejections {
        /// The queue was full.
        queue_full,
        /// The request's place in the queue was given to a known client.
        queue_preempted,
        /// The request was in the queue for `queue.timeout`.
        queue_timeout,
        /// The site has its maximum of uploads or of tunnels.
        upload_tunnel_limit,
        /// The server is overloaded and the client is new.
        overload,
    }
}

reasons! {
    /// Why a site's connections were closed.
    SiteCloseCounters => SiteCloses {
        /// The site had more connections than its fair share.
        over_share,
    }
}

/// The traffic of one site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SiteTraffic {
    /// The weight of the site's fair share.
    pub weight: u32,
    /// Whether requests or connections wait, or have just been rejected, for lack of a resource.
    pub congested: bool,
    /// Open connections.
    pub connections_active: u64,
    /// The fair share of all connections, if all sites use theirs.
    pub connections_fair_share: u64,
    /// Requests at the origins.
    pub requests_active: u64,
    /// Maximum of requests at the origins.
    pub requests_limit: u64,
    /// Active uploads.
    pub uploads_active: u64,
    /// Open tunnels.
    pub tunnels_active: u64,
    /// Requests in the queue.
    pub queue_length: u64,
    /// The counters of the site.
    #[serde(flatten)]
    pub counts: SiteCounts,
}

/// Whether an origin gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginState {
    /// The origin gets requests.
    Up,
    /// The circuit breaker is open: the origin gets no requests.
    Down,
    /// The circuit breaker is half-open: the origin gets a few requests as a test.
    HalfOpen,
}

/// One origin of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStatus {
    /// The name of the site.
    pub site: String,
    /// The address of the origin.
    pub address: SocketAddr,
    /// Whether it gets requests.
    pub state: OriginState,
    /// Milliseconds since it has this state; none if it has been up since the start.
    pub since_ms: Option<u64>,
    /// Requests at the origin.
    pub requests_active: u64,
    /// Requests that were sent to the origin, with retries.
    pub requests: u64,
    /// Requests that failed because of the origin.
    pub failures: u64,
    /// Number of changes to down.
    pub down_transitions: u64,
    /// Number of changes to up.
    pub up_transitions: u64,
}
