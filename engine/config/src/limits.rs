//! Every limit that the configuration file can set, each declared once.
//!
//! The sentences here are the text of `docs/limits.md` and of the editor's completion.
//! A limit that no operator should change is a field of the data plane's own limits instead.

use std::time::Duration;

use crate::declare::limits;

limits! {
    /// Prefix lengths that make addresses to clients and networks.
    client: ClientLimits {
        /// Prefix length of an IPv4 network. A single IPv4 address is a client.
        ipv4_network_prefix: u8, Bits = 24, 1..=32;
        /// Prefix length of an IPv6 client.
        ipv6_client_prefix: u8, Bits = 56, 1..=128;
        /// Prefix length of an IPv6 network.
        ipv6_network_prefix: u8, Bits = 56, 1..=128;
    }

    /// Proxies in front of Seawall that may name the client.
    trusted_proxies: TrustedProxyLimits {
        /// Time that a connection of a trusted proxy may be idle between two requests.
        /// Set it longer than the proxy keeps an idle connection, so that the proxy closes first.
        idle_timeout: Duration, Time = 75 s, 100 ms ..= 1 h;
    }

    /// Connections of clients.
    connections: ConnectionLimits {
        /// Open connections in total.
        /// At this limit, a new connection replaces an idle one; without an idle one it is reset.
        max_connections: usize, Count = 10_000, 1..=1_000_000;
        /// Open connections of one client. Further connections are reset.
        max_connections_per_client: u32, Count = 100, 1..=1_000_000;
        /// Open connections of one network. Further connections are reset.
        max_connections_per_network: u32, Count = 400, 1..=1_000_000;
        /// New connections of one client in a second. Further connections are reset.
        /// A client may exceed it once by the same number; this reserve refills in ten seconds.
        connection_rate_per_client: u32, PerSecond = 100, 1..=1_000_000;
        /// Requests on one connection. After the last response the connection is closed.
        max_requests_per_connection: u32, Count = 1_000, 1..=1_000_000;
        /// Age of a connection after which its next response is the last.
        max_connection_duration: Duration, Time = 1 h, 1 s ..= 24 h;
        /// Size of a PROXY protocol header.
        max_proxy_protocol_header_bytes: usize, Bytes = 2 KiB, 108..=65_551;
    }

    /// Time limits towards clients.
    timeouts: Timeouts {
        /// Time from accept to the end of a trusted proxy's PROXY protocol header.
        proxy_protocol_timeout: Duration, Time = 5 s, 100 ms ..= 60 s;
        /// Time from accept to the end of the TLS handshake.
        tls_handshake_timeout: Duration, Time = 5 s, 100 ms ..= 60 s;
        /// Time from the first byte of a request header to its last.
        request_header_timeout: Duration, Time = 10 s, 100 ms ..= 10 min;
        /// Time that a connection may be idle before the first byte of a request.
        idle_timeout: Duration, Time = 15 s, 100 ms ..= 1 h;
        /// Time in which a client must receive at least 4 KiB of a response.
        send_timeout: Duration, Time = 20 s, 100 ms ..= 10 min;
        /// Time for a whole request and its response.
        request_timeout: Duration, Time = 1 h, 1 s ..= 24 h;
        /// Time that a WebSocket or another upgraded connection may be idle.
        tunnel_idle_timeout: Duration, Time = 10 min, 1 s ..= 24 h;
    }

    /// Requests of clients.
    requests: RequestLimits {
        /// Slowest request body, while Seawall waits for it. A slower request is rejected.
        min_request_body_rate: u64, BytesPerSecond = 500, 1..=1_000_000;
        /// Time that a body may take before its rate counts.
        min_request_body_rate_grace: Duration, Time = 5 s, 0 ms ..= 10 min;
        /// Size of a request header.
        max_request_header_bytes: usize, Bytes = 32 KiB, 1 KiB ..= 1 MiB;
        /// Header fields of a request.
        max_request_headers: usize, Count = 100, 10..=256;
        /// Reads that a request header may take. It bounds the cost of a header sent byte by byte.
        max_request_header_reads: u32, Count = 100, 1..=10_000;
        /// Bytes of a body that are read before the request takes an origin slot.
        /// A small body that arrives slowly occupies no slot.
        request_buffer_bytes: usize, Bytes = 16 KiB, 0 KiB ..= 48 KiB;
        /// Requests at all origins at the same time. Further requests wait in the queue.
        max_concurrent_requests: usize, Count = 10_000, 1..=1_000_000;
        /// Requests of one client at the origins. Further requests are answered 429.
        max_concurrent_requests_per_client: u32, Count = 100, 1..=1_000_000;
        /// Requests of one network at the origins. Further requests are answered 429.
        max_concurrent_requests_per_network: u32, Count = 400, 1..=1_000_000;
    }

    /// Connections to origins, and requests there.
    origins: OriginLimits {
        /// Time to connect to an origin.
        connect_timeout: Duration, Time = 1 s, 10 ms ..= 10 min;
        /// Time from the end of a request, or the last interim response, to the response header.
        response_header_timeout: Duration, Time = 75 s, 10 ms ..= 1 h;
        /// Time that an origin may be silent within a response.
        read_timeout: Duration, Time = 75 s, 10 ms ..= 1 h;
        /// Time that an origin may take no byte of a request.
        write_timeout: Duration, Time = 20 s, 10 ms ..= 1 h;
        /// Time that an unused connection to an origin is kept.
        keepalive_timeout: Duration, Time = 60 s, 0 ms ..= 1 h;
        /// Unused connections to origins that one worker keeps.
        max_idle_connections_per_worker: usize, Count = 512, 0..=100_000;
        /// Size of all headers of one response, interim responses included. Past it: 502.
        max_response_header_bytes: usize, Bytes = 64 KiB, 1_024 ..= 1_048_575;
        /// Bytes that the kernel buffers of an origin's response at first (`SO_RCVBUF`; Linux doubles
        /// it). A client that does not read makes Seawall hold ten times this.
        receive_buffer_bytes: usize, Bytes = 16 KiB, 2 KiB ..= 16 MiB;
        /// The maximum of the same: the buffer grows with what the client has taken of a response.
        /// One response gets at most this in each round trip to its origin.
        max_receive_buffer_bytes: usize, Bytes = 4 MiB, 2 KiB ..= 16 MiB;
        /// Ordinary requests at one origin at the same time. Further requests wait in the queue.
        max_requests_per_origin: u32, Count = 1_024, 1..=1_000_000;
        /// Uploads larger than `request_buffer_bytes` at one origin. Further ones are answered 503.
        max_uploads_per_origin: u32, Count = 256, 1..=1_000_000;
        /// WebSockets at one origin. Further ones are answered 503.
        max_tunnels_per_origin: u32, Count = 1_024, 1..=1_000_000;
    }

    /// Repeated attempts of a request.
    retries: RetryLimits {
        /// Attempts to send a request to an origin.
        max_attempts: usize, Count = 2, 1..=8;
        /// Retries for each hundred requests of a site.
        budget_percent: u32, Percent = 20, 0..=100;
        /// Retries of a site in each second besides these.
        min_retries_per_second: u32, PerSecond = 10, 0..=1_000;
        /// Retries that a site can save up for a failing origin.
        max_saved_retries: u32, Count = 100, 0..=4_000;
    }

    /// Detection of failed origins, which get no requests for a while.
    circuit_breaker: CircuitBreakerLimits {
        /// Failures to connect, one after the other, that open the circuit breaker.
        consecutive_failures: u32, Count = 5, 1..=1_000;
        /// Failed requests in `window`, in percent, that open it. 101 turns this off.
        failure_percent: u32, Percent = 50, 1..=101;
        /// Requests in `window` below which `failure_percent` does not count.
        min_requests: u32, Count = 20, 1..=1_000_000;
        /// Time over which `failure_percent` is measured.
        window: Duration, Time = 10 s, 100 ms ..= 10 min;
        /// Time that the circuit breaker stays open at first. It doubles with each failure.
        open_time: Duration, Time = 250 ms, 1 ms ..= 10 min;
        /// Time that it stays open at most.
        max_open_time: Duration, Time = 1 s, 1 ms ..= 10 min;
        /// Requests at the same time that test a half-open origin.
        half_open_requests: u32, Count = 2, 1..=1_000;
    }

    /// Probes of origins, for sites with `health_check_path`.
    health_check: HealthCheckLimits {
        /// Time from one check of an origin to the next.
        interval: Duration, Time = 500 ms, 100 ms ..= 10 min;
        /// Time for the response.
        timeout: Duration, Time = 400 ms, 10 ms ..= 60 s;
        /// Failed checks, one after the other, that make an origin unhealthy.
        fall: u32, Count = 1, 1..=100;
        /// Successful checks, one after the other, that make it healthy again.
        rise: u32, Count = 2, 1..=100;
        /// Bytes of the response that are read.
        max_response_bytes: usize, Bytes = 16 KiB, 0 KiB ..= 1 MiB;
        /// Checks at the same time; each needs an open file. A check past it is skipped.
        max_concurrent: usize, Count = 128, 1..=10_000;
    }

    /// Requests that wait for an origin slot.
    queue: QueueLimits {
        /// Requests of one site that wait.
        /// At this limit, a request replaces one of lower priority or is answered 503.
        max_requests_per_site: usize, Count = 256, 0..=100_000;
        /// Time that a request waits before it is answered 503.
        timeout: Duration, Time = 1 s, 10 ms ..= 60 s;
        /// A client with more requests than this is queued one priority lower.
        low_priority_above_requests: u32, Count = 8, 0..=1_000_000;
        /// A client is known if the site served it at least this long before the congestion began.
        known_client_min_age: Duration, Time = 60 s, 0 ms ..= 24 h;
        /// Time without waiting or rejected requests after which a site is no longer congested.
        congestion_cooldown: Duration, Time = 10 s, 1 s ..= 1 h;
    }

    /// Bandwidth of the server.
    bandwidth: BandwidthLimits {
        /// Bytes that are sent to clients in a second, shared by the sites by weight.
        /// 0 turns sharing off.
        egress_bytes_per_second: u64, BytesPerSecond = 0, 0..=1_000_000_000_000;
    }

    /// Load shedding of the whole server.
    /// The percentages apply to memory, connections and worker delay; the highest one counts.
    overload: OverloadLimits {
        /// Memory that the process should not exceed.
        /// The memory limit of the control group (cgroup) counts too.
        max_memory_bytes: Option<u64>, Bytes = none, 33_554_432 ..= 1_000_000_000_000_000;
        /// Percentage at which idle connections are closed sooner.
        warning_percent: u8, Percent = 80, 1..=100;
        /// Percentage at which connections and requests of unknown clients are rejected.
        /// It must be above `warning_percent`.
        shedding_percent: u8, Percent = 90, 1..=100;
        /// Percentage at which all idle connections and stalled responses are closed.
        /// It must be above `shedding_percent`.
        critical_percent: u8, Percent = 95, 1..=100;
    }

    /// Cost of the evaluation of one request.
    evaluation: EvaluationLimits {
        /// Fuel of the operator's rules for one request. Past it the request is answered 503.
        max_fuel: u64, Fuel = 1_000_000, 10_000 ..= 1_000_000_000;
        /// Fuel of a member's rules for one request, besides that. Past it they are skipped.
        max_member_fuel: u64, Fuel = 500_000, 10_000 ..= 1_000_000_000;
        /// Fuel of all calls of externs that the operator's rules make for one request.
        /// A member's rules have half of it, besides that. A call past it fails.
        max_extern_fuel: u64, Fuel = 5_000_000, 10_000 ..= 1_000_000_000;
        /// Time of those calls, in which the thread ran. A member's rules have half of it.
        max_extern_time: Duration, Time = 10 ms, 2 ms ..= 1 s;
    }
}

impl Limits {
    /// Prefix lengths that make addresses to clients and networks.
    #[must_use]
    pub const fn client_prefixes(&self) -> seawall_model::ClientPrefixes {
        seawall_model::ClientPrefixes {
            v4_net_bits: self.client.ipv4_network_prefix,
            v6_client_bits: self.client.ipv6_client_prefix,
            v6_net_bits: self.client.ipv6_network_prefix,
        }
    }
}
