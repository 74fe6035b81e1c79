//! The limits of the data plane that are not settings, in addition to those of the configuration.
//!
//! Everything that a client can grow has a limit: one of [`Limits`], which the configuration file
//! can set, or one of the fields here. Each field has a unit in its name or type and a default with
//! its reason. A limit that clients can reach has a counter in
//! [`ProxyMetrics`](crate::ProxyMetrics). Limits are fields and not constants, so that tests can
//! set small values.

use std::time::Duration;

use seawall_config::Limits;

use crate::admission::concurrency_limit::ConcurrencyLimits;

/// Declares the limits once, each with its default beside its reason.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ pub $name:ident: $kind:ty = $default:expr;)+) => {
        /// The limits of the data plane.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct ProxyLimits {
            /// The limits of the configuration.
            pub settings: Limits,
            $($(#[doc = $doc])+ pub $name: $kind,)+
        }

        impl Default for ProxyLimits {
            fn default() -> Self {
                Self { settings: Limits::default(), $($name: $default,)+ }
            }
        }
    };
}

limits! {
    /// Connections that are examined for one that can be closed for a new one.
    pub eviction_sample_size: usize = 64;
    /// Milliseconds that a connection may wait for its first request before it can be closed for a
    /// new one: time enough for a request to arrive. For a known client, and for a trusted proxy,
    /// it can be closed at once.
    pub eviction_min_idle_new_ms: u64 = 500;
    /// The same for a connection that had a request: a flood that has just begun must not evict the
    /// connections of known clients first.
    pub eviction_min_idle_kept_ms: u64 = 5_000;
    /// Clients whose connection rate is counted, at 75 bytes each.
    pub connection_rate_table_size: usize = 65_536;
    /// Entries of a forwarding header that are examined for the client. If more of them are trusted
    /// proxies, the last one counts as the client.
    pub max_forwarded_entries: usize = 16;
    /// Connections that the kernel completes before they are accepted; it clamps this to
    /// `somaxconn`.
    pub accept_backlog: u32 = 4_096;
    /// Connections that a worker accepts before it serves its open connections.
    pub accept_batch: u32 = 64;
    /// Pause after a failed accept, for lack of file descriptors or memory, in milliseconds:
    /// without it the loop would spin, with a longer one it would miss the recovery. Counter:
    /// `connections.accept_errors`.
    pub accept_error_backoff_ms: u64 = 50;
    /// Bytes of a method: the longest registered one has 17. Counter: `requests.header_errors`,
    /// reason `method`.
    pub max_method_bytes: usize = 32;
    /// Reads that a ClientHello may take; a usual one takes two or three. Counter:
    /// `tls.handshakes.not_tls`.
    pub max_client_hello_reads: u32 = 100;
    /// Open streams of one HTTP/2 connection; the next one is rejected. Each costs 16 KiB while it
    /// waits for its slot. RFC 9113 §6.5.2 recommends a hundred, HTTP/1 works with six.
    pub h2_max_concurrent_streams: u32 = 24;
    /// Bytes that a stream may send before they are read.
    pub h2_initial_stream_window_bytes: u32 = 64 << 10;
    /// The same for all streams of a connection.
    pub h2_initial_connection_window_bytes: u32 = 1 << 20;
    /// Bytes of a response that are buffered for one stream.
    pub h2_send_buffer_bytes: usize = 64 << 10;
    /// Requests of one connection at the origins at the same time, at first; further requests wait.
    pub h2_forward_window_initial: u32 = 2;
    /// The maximum of the same: each complete response allows one more. Counter:
    /// `requests.rejected.h2_forward_window_timeout`, for requests that waited longer than
    /// `[origins] response_header_timeout`.
    pub h2_forward_window_max: u32 = 24;
    /// Time that a connection without streams may be idle.
    pub h2_idle_timeout: Duration = Duration::from_secs(60);
    /// Streams that a client resets before it has the response, in the life of a connection (Rapid
    /// Reset, CVE-2023-44487). Counter: `connections.closed.h2_rapid_reset`.
    pub h2_max_client_resets: u32 = 50;
    /// Streams that a client makes the server reset, in the life of a connection (MadeYouReset,
    /// CVE-2025-8671). Counter: `connections.closed.h2_rapid_reset`.
    pub h2_max_server_resets: u32 = 100;
    /// Request headers that the library answers itself, because they are too large, in the life of
    /// a connection. HTTP/1 closes at the first. Counter: `connections.closed.h2_frame_flood`.
    pub h2_max_oversized_headers: u32 = 8;
    /// `Cookie` fields of one request over HTTP/2, which count as one field of
    /// `max_request_headers`. Counter: `requests.header_errors`, reason `fields`.
    pub h2_max_cookie_fields: usize = 512;
    /// PING frames in a second. Counter: `connections.closed.h2_frame_flood`.
    pub h2_max_pings_per_second: u32 = 100;
    /// SETTINGS frames in a second. Counter: `connections.closed.h2_frame_flood`.
    pub h2_max_settings_per_second: u32 = 50;
    /// PRIORITY frames in a second: a browser sends at most one for each request. Counter:
    /// `connections.closed.h2_frame_flood`.
    pub h2_max_priority_per_second: u32 = 200;
    /// WINDOW_UPDATE frames in a second: two for each 16 KiB that are read, for 30 MB/s. Counter:
    /// `connections.closed.h2_frame_flood`.
    pub h2_max_window_updates_per_second: u32 = 4_000;
    /// Frames without a meaning in a second: empty DATA, unknown kinds. Counter:
    /// `connections.closed.h2_frame_flood`.
    pub h2_max_glitches_per_second: u32 = 100;
    /// CONTINUATION frames of one header block (CVE-2024-27316 and others). Counter:
    /// `connections.closed.h2_continuation_flood`.
    pub h2_max_continuation_frames: u32 = 8;
    /// Bytes of extensions of one chunk. Counter: `connections.closed.invalid_chunked_body`.
    pub max_chunk_extension_bytes: usize = 256;
    /// Bytes of trailers of a chunked body. Counter: `connections.closed.invalid_chunked_body`.
    pub max_trailer_bytes: usize = 8 * 1024;
    /// Bytes of the next requests that are read during a response; the kernel holds more.
    pub max_pipelined_bytes: usize = 32 * 1024;
    /// Bytes that a client must receive at least in `[timeouts] send_timeout`. Counter:
    /// `connections.closed.send_timeout`.
    pub send_timeout_min_bytes: u64 = 4 * 1024;
    /// Bytes that the kernel may hold unsent for one connection (`TCP_NOTSENT_LOWAT`): bounds the
    /// memory for a client that does not read, and shows progress in small steps.
    pub socket_send_low_watermark_bytes: u32 = 64 * 1024;
    /// Bytes of a rejected request's body that are read and discarded, so that the client reads its
    /// response and not a reset. Reading costs less than sending costs the client. The uploads of
    /// most forms fit.
    pub lingering_close_max_bytes: usize = 2 * 1024 * 1024;
    /// Time for that. A client that sent more has the same time to receive its response.
    pub lingering_timeout: Duration = Duration::from_secs(2);
    /// Header fields of an origin's response; the parser's array has 256. Counter:
    /// `requests.origin_response_errors`, reason `fields`.
    pub max_response_headers: usize = 256;
    /// Reads that these header fields may take: at each read the engine parses the whole header
    /// again. Counter: `requests.origin_response_errors`, reason `drip`.
    pub max_response_header_reads: u32 = 100;
    /// Interim responses before the last one: an hour of `102 Processing` every ten seconds.
    /// Counter: `requests.origin_response_errors`, reason `interim`.
    pub max_interim_responses: u32 = 400;
    /// Bytes of a response that are read and discarded after its client has left, so that the
    /// origin can finish it. Counter: `requests.canceled`.
    pub max_discarded_response_bytes: usize = 64 * 1024;
    /// Milliseconds between two measurements of memory, connections and worker delay.
    pub overload_check_interval_ms: u64 = 100;
    /// Idle timeout from the overload stage *warning* on, in milliseconds. Counter:
    /// `connections.closed.overload_idle`.
    pub overload_idle_timeout_ms: u64 = 2_000;
    /// Microseconds of the egress bandwidth that a site may use at once after a quiet time.
    pub egress_burst_us: u64 = 50_000;
    /// Milliseconds between two distributions of the egress bandwidth.
    pub egress_refill_interval_ms: u64 = 5;
    /// Microseconds of a worker's CPU time that a site may use at once after a quiet time.
    pub cpu_burst_us: u64 = 2_000;
    /// Milliseconds between two distributions of the CPU time. A quiet site waits so long behind
    /// busy ones.
    pub cpu_refill_interval_ms: u64 = 1;
    /// Delay of a worker in microseconds after which it distributes less.
    pub cpu_max_scheduling_delay_us: u64 = 2_000;
    /// Connections in `tarpit` at the same time; the next is dropped at once. Each costs a
    /// descriptor and its buffers, about 12 KiB. Counter: `tarpits.rejected`.
    pub max_tarpits: u64 = 1_000;
    /// Milliseconds after which a new ban closes the connections of its client.
    pub ban_sweep_interval_ms: u64 = 250;
    /// Log lines of the libraries below in a second. Counter: `engine_filtered` in
    /// `log.suppressed_lines`.
    pub engine_log_lines_per_second: u32 = 5;
    /// Log lines of the operator's `log` actions in a second, and as many of all members'. One rule
    /// writes one. Counter: `policy_log_suppressed`.
    pub policy_log_lines_per_second: u32 = 10;
}

/// One connection in so many is reserved for clients that have not named a site yet.
const UNASSIGNED_POOL_FRACTION: usize = 8;

impl ProxyLimits {
    /// Returns the limits on connections.
    pub(crate) const fn connection_caps(&self) -> ConcurrencyLimits {
        ConcurrencyLimits {
            total: self.settings.connections.max_connections,
            client: self.settings.connections.max_connections_per_client,
            net: self.settings.connections.max_connections_per_network,
        }
    }

    /// Returns the maximum of connections of all sites together. The others are reserved for
    /// clients that have not named a site yet: the clients of one site must not block new clients
    /// of all sites.
    pub(crate) const fn connections_shared(&self) -> usize {
        let total = self.settings.connections.max_connections;
        total - total / UNASSIGNED_POOL_FRACTION
    }

    /// Returns the limits on requests at the origins.
    pub(crate) const fn forward_caps(&self) -> ConcurrencyLimits {
        ConcurrencyLimits {
            // The fair shares enforce the total. Here, requests in the queue count too.
            total: usize::MAX,
            client: self.settings.requests.max_concurrent_requests_per_client,
            net: self.settings.requests.max_concurrent_requests_per_network,
        }
    }
}

/// Returns a duration in whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
