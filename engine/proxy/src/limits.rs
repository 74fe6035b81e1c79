//! The limits of the data plane that no operator sets, beside those of the configuration.
//!
//! A client can grow only what has a limit: one of [`Limits`], which the configuration file can set,
//! or one of the fields here. Each field has a unit in its name or type, a default with its reason,
//! and, where clients can meet it, a counter in [`ProxyMetrics`](crate::ProxyMetrics). They are
//! fields and not constants, so that a test can make them small.

use std::time::Duration;

use seawall_config::Limits;

use crate::admission::concurrency_limit::ConcurrencyLimits;

/// Declares the limits once, each with its default beside its reason.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ pub $name:ident: $kind:ty = $default:expr;)+) => {
        /// What the data plane allows; every field is a limit.
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
    /// The same for a connection that had a request: a flood that has just begun must not find only
    /// connections of visitors.
    pub eviction_min_idle_kept_ms: u64 = 5_000;
    /// Clients whose connection rate is counted, at 75 bytes each.
    pub connection_rate_table_size: usize = 65_536;
    /// Entries of a forwarding header that are examined for the client. If more of them are trusted
    /// proxies, the last one counts as the client.
    pub max_forwarded_entries: usize = 16;
    /// Connections that the kernel completes before they are accepted; it clamps this to
    /// `somaxconn`.
    pub accept_backlog: u32 = 4_096;
    /// Connections that a worker accepts before it serves those that it has.
    pub accept_batch: u32 = 64;
    /// Pause after a failed accept (no descriptors, no memory), in milliseconds: without it the
    /// loop would spin, with a longer one it would miss the recovery. Counter: `accept_errors`.
    pub accept_error_backoff_ms: u64 = 50;
    /// Bytes of a method: the longest registered one has 17. Counter: `heads_refused`, kind
    /// `method`.
    pub max_method_bytes: usize = 32;
    /// Reads that a ClientHello may take; a client's comes in two or three. Counter:
    /// `tls_no_hello`.
    pub max_client_hello_reads: u32 = 100;
    /// Streams that one HTTP/2 connection may have open; the next is rejected by its number. Each
    /// costs 16 KiB while it waits for its slot; RFC 9113 §6.5.2 recommends a hundred, HTTP/1 works
    /// with six.
    pub h2_max_concurrent_streams: u32 = 24;
    /// Bytes that a stream may send before they are read.
    pub h2_initial_stream_window_bytes: u32 = 64 << 10;
    /// The same for all streams of a connection.
    pub h2_initial_connection_window_bytes: u32 = 1 << 20;
    /// Bytes of a response that are buffered for one stream.
    pub h2_send_buffer_bytes: usize = 64 << 10;
    /// Requests of one connection at their origins at the same time, at first; the others wait.
    pub h2_forward_window_initial: u32 = 2;
    /// The same at most: each response that was received whole allows one more. Counter:
    /// `h2_turns_late`, for requests that waited longer than `[origins] response_header_timeout`.
    pub h2_forward_window_max: u32 = 24;
    /// Time that a connection without streams may be idle.
    pub h2_idle_timeout: Duration = Duration::from_secs(60);
    /// Streams that a client resets before it has the response, in the life of a connection (Rapid
    /// Reset, CVE-2023-44487). Counter: `h2_resets`.
    pub h2_max_client_resets: u32 = 50;
    /// Streams that it makes the server reset (MadeYouReset, CVE-2025-8671). Counter: `h2_resets`.
    pub h2_max_server_resets: u32 = 100;
    /// Request headers that the library answers itself, because they are too large, in the life of a
    /// connection. HTTP/1 ends with the first. Counter: `h2_floods`.
    pub h2_max_oversized_headers: u32 = 8;
    /// `Cookie` fields that one request may have over HTTP/2, where they count as one field of
    /// `head_fields_max`. Counter: `heads_refused`, kind `fields`.
    pub h2_max_cookie_fields: usize = 512;
    /// PING frames in a second. Counter: `h2_floods`.
    pub h2_max_pings_per_second: u32 = 100;
    /// SETTINGS frames in a second. Counter: `h2_floods`.
    pub h2_max_settings_per_second: u32 = 50;
    /// PRIORITY frames in a second: a browser sends one for each request at most. Counter:
    /// `h2_floods`.
    pub h2_max_priority_per_second: u32 = 200;
    /// WINDOW_UPDATE frames in a second: two for each 16 KiB that are read, for 30 MB/s. Counter:
    /// `h2_floods`.
    pub h2_max_window_updates_per_second: u32 = 4_000;
    /// Frames in a second that mean nothing: empty DATA, unknown kinds. Counter: `h2_floods`.
    pub h2_max_glitches_per_second: u32 = 100;
    /// CONTINUATION frames of one header block (CVE-2024-27316 and others). Counter: `h2_pieces`.
    pub h2_max_continuation_frames: u32 = 8;
    /// Bytes of extensions on one chunk. Counter: `body_malformed`.
    pub max_chunk_extension_bytes: usize = 256;
    /// Bytes of trailers after a chunked body. Counter: `body_malformed`.
    pub max_trailer_bytes: usize = 8 * 1024;
    /// Bytes of the next requests that are read during a response; the kernel holds more.
    pub max_pipelined_bytes: usize = 32 * 1024;
    /// The least that a client must receive in `[timeouts] send_timeout`, in bytes.
    pub send_timeout_min_bytes: u64 = 4 * 1024;
    /// Bytes of small writes that are put together before they are sent.
    pub write_buffer_bytes: usize = 8 * 1024;
    /// Bytes that the kernel may hold unsent for one connection (`TCP_NOTSENT_LOWAT`): bounds what
    /// is kept for a client that does not read, and shows progress in small steps.
    pub socket_send_low_watermark_bytes: u32 = 64 * 1024;
    /// Bytes of a rejected request's body that are read and discarded, so that the client reads its
    /// response and not a reset. Reading costs less than sending costs the client; the uploads of
    /// most forms fit.
    pub lingering_close_max_bytes: usize = 2 * 1024 * 1024;
    /// Time for that, and for the client to receive its response if it sent more than is read.
    pub lingering_timeout: Duration = Duration::from_secs(2);
    /// Header fields of an origin's response; the HTTP engine takes 256. Counter:
    /// `answers_refused`, kind `fields`.
    pub max_response_headers: usize = 256;
    /// Reads that they may take: with each, the engine parses the whole header again. Counter:
    /// `answers_refused`, kind `drip`.
    pub max_response_header_reads: u32 = 100;
    /// Interim responses before the last: an hour of `102 Processing` every ten seconds. Counter:
    /// `answers_refused`, kind `interim`.
    pub max_interim_responses: u32 = 400;
    /// Bytes of a response that are read and discarded after its client has left, so that its
    /// origin has finished it. Counter: `given_up`.
    pub max_discarded_response_bytes: usize = 64 * 1024;
    /// Milliseconds from one measurement of memory, connections and worker delay to the next.
    pub overload_check_interval_ms: u64 = 100;
    /// Idle timeout from the stage *warning* of overload on, in milliseconds. Counter:
    /// `overload_idle_closed`.
    pub overload_idle_timeout_ms: u64 = 2_000;
    /// Microseconds of the egress bandwidth that a site which was quiet may use at once.
    pub egress_burst_us: u64 = 50_000;
    /// Milliseconds from one distribution of it to the next.
    pub egress_refill_interval_ms: u64 = 5;
    /// Microseconds of a worker's processor that a site which was quiet may use at once.
    pub cpu_burst_us: u64 = 2_000;
    /// Milliseconds from one distribution of the processor to the next: a site that needs little
    /// waits so long behind those that want all of it.
    pub cpu_refill_interval_ms: u64 = 1;
    /// Microseconds by which a worker may be late for that before it distributes less.
    pub cpu_max_scheduling_delay_us: u64 = 2_000;
    /// Connections in `tarpit` at the same time; the next is dropped at once. Each costs a
    /// descriptor and its buffers, about 12 KiB. Counter: `tarpits_full`.
    pub max_tarpits: u64 = 1_000;
    /// Milliseconds after which a new ban closes the connections of its client.
    pub ban_sweep_interval_ms: u64 = 250;
    /// Log lines of the HTTP engine in a second. Counter: `EngineLogFilter::dropped`.
    pub engine_log_lines_per_second: u32 = 5;
    /// Log lines that the operator's `log` actions write in a second, and as many that all members'
    /// do; one rule writes one. Counter: `policy_log_left_out`.
    pub policy_log_lines_per_second: u32 = 10;
}

/// One connection in so many is reserved for clients that have not named a site yet.
const UNASSIGNED_POOL_FRACTION: usize = 8;

impl ProxyLimits {
    /// Returns how many connections there may be.
    pub(crate) const fn connection_caps(&self) -> ConcurrencyLimits {
        ConcurrencyLimits {
            total: self.settings.connections.max_connections,
            client: self.settings.connections.max_connections_per_client,
            net: self.settings.connections.max_connections_per_network,
        }
    }

    /// Returns how many of them all sites may have together. The others are for clients that have
    /// not named a site yet: the clients of one site must not keep new ones from all sites.
    pub(crate) const fn connections_shared(&self) -> usize {
        let total = self.settings.connections.max_connections;
        total - total / UNASSIGNED_POOL_FRACTION
    }

    /// Returns how many requests there may be at the origins.
    pub(crate) const fn forward_caps(&self) -> ConcurrencyLimits {
        ConcurrencyLimits {
            // The fair shares hold the total; here, waiting requests are counted too.
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
