//! Every limit of the data plane, in one place.
//!
//! A stranger can grow only what has a number here: each has a unit in its name, a default with its
//! reason, and a counter in [`EdgeCounters`](crate::EdgeCounters) that says how often it bit. One
//! struct and not constants, so that a host can fit them to its machine and a test can make them
//! small. Figures without a source of their own are those of DESIGN §8.

/// What the data plane allows; every field is a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Open connections in all; the next is reset at accept. A forwarded request holds two file
    /// descriptors, so this should stay under half of the process's limit. Counter:
    /// `refused_by_total`.
    pub connections_max: usize,
    /// Open connections of one client (an IPv4 address or an IPv6 /56). Counter:
    /// `refused_by_client`.
    pub connections_per_client_max: u32,
    /// Open connections of one network (an IPv4 /24 or an IPv6 /56, as `[client]` says). Counter:
    /// `refused_by_net`.
    pub connections_per_net_max: u32,
    /// From accept to the end of a trusted hop's PROXY header, in milliseconds. Counter:
    /// `proxy_header_late`.
    pub proxy_header_ms: u64,
    /// Bytes of a PROXY header: the addresses take 52, the rest is what a hop adds. Counter:
    /// `proxy_header_bad`.
    pub proxy_header_bytes_max: usize,
    /// Hops that are walked through in a header that says whom they forward for; where more of
    /// them are trusted, the last one walked to counts as the client.
    pub trusted_hops_max: usize,
    /// Connections that the kernel completes ahead of us; it clamps this to `somaxconn`.
    pub accept_backlog: u32,
    /// Connections that one worker accepts before it looks after those it has.
    pub accept_burst: u32,
    /// Pause after a failed accept (no descriptors, no memory), in milliseconds: without it the
    /// loop would spin, with a longer one it would miss the recovery. Counter: `accept_errors`.
    pub accept_pause_ms: u64,
    /// From the first byte of a head to its last, in milliseconds, however the bytes are spread.
    /// Counter: `head_late`.
    pub head_total_ms: u64,
    /// Bytes of a head. Counter: `heads_refused`, kind `bytes`.
    pub head_bytes_max: usize,
    /// Fields of a head, at most 256. Counter: `heads_refused`, kind `fields`.
    pub head_fields_max: usize,
    /// Bytes of a method: the longest that is registered has 17. Counter: `heads_refused`, kind
    /// `method`.
    pub method_bytes_max: usize,
    /// Reads that a head may take: what bounds the system calls that a dripped head costs us.
    /// Counter: `heads_refused`, kind `drip`.
    pub head_reads_max: u32,
    /// From accept to the end of the TLS handshake, in milliseconds. Counter: `tls_late`.
    pub tls_handshake_ms: u64,
    /// Streams that one HTTP/2 connection may have open; the next is refused by its number.
    pub h2_streams_max: u32,
    /// Bytes that a stream may send before we read them.
    pub h2_stream_window_bytes: u32,
    /// The same for all streams of a connection.
    pub h2_connection_window_bytes: u32,
    /// Bytes of an answer that are kept for one stream.
    pub h2_send_buffer_bytes: usize,
    /// Silence of a connection without streams, in milliseconds.
    pub h2_idle_ms: u64,
    /// Streams that a client takes back before it was answered, in the life of a connection (Rapid
    /// Reset, CVE-2023-44487). Counter: `h2_resets`.
    pub h2_resets_max: u32,
    /// Streams that it makes us take back (MadeYouReset, CVE-2025-8671). Counter: `h2_resets`.
    pub h2_made_resets_max: u32,
    /// PING frames in a second. Counter: `h2_floods`.
    pub h2_pings_per_s_max: u32,
    /// SETTINGS frames in a second. Counter: `h2_floods`.
    pub h2_settings_per_s_max: u32,
    /// PRIORITY frames in a second: a browser sends one for each request at most. Counter:
    /// `h2_floods`.
    pub h2_priorities_per_s_max: u32,
    /// WINDOW_UPDATE frames in a second: two for each 16 KiB that are read, for 30 MB/s. Counter:
    /// `h2_floods`.
    pub h2_updates_per_s_max: u32,
    /// Frames in a second that mean nothing: empty DATA, unknown kinds. Counter: `h2_floods`.
    pub h2_strange_per_s_max: u32,
    /// CONTINUATION frames of one header block (CVE-2024-27316 and others). Counter: `h2_pieces`.
    pub h2_continuations_max: u32,
    /// Silence before a head's first byte, in milliseconds. Counter: `idle_closed`.
    pub idle_ms: u64,
    /// Requests of one connection; the last is answered with `Connection: close`. Counter:
    /// `used_up`.
    /// Over HTTP/2 the client is told that no more are taken, and who sends as many again is reset
    /// (counter: `h2_too_many`).
    pub connection_requests_max: u32,
    /// The age in milliseconds from which a connection's next answer is its last. Counter:
    /// `used_up`.
    pub connection_age_ms: u64,
    /// The slowest body, in bytes per second of waiting for it. Counter: `body_slow`.
    pub body_bytes_per_s_min: u64,
    /// Milliseconds of waiting for a body before its rate counts.
    pub body_grace_ms: u64,
    /// Bytes of extensions on one chunk. Counter: `body_malformed`.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of trailers after a chunked body. Counter: `body_malformed`.
    pub trailer_bytes_max: usize,
    /// Bytes of the next requests that are held back while one is being answered; beyond it the
    /// kernel holds them.
    pub hold_back_bytes_max: usize,
    /// Milliseconds of being unable to write after which too little must have moved. Counter:
    /// `write_stalled`.
    pub write_stall_ms: u64,
    /// The least that must move in that time, in bytes.
    pub write_stall_bytes_min: u64,
    /// Bytes of small writes that are put together before they leave.
    pub write_buffer_bytes: usize,
    /// Bytes that the kernel may hold unsent for one connection (`TCP_NOTSENT_LOWAT`): bounds what
    /// a client that does not read makes us keep, and makes progress visible in small steps.
    pub unsent_bytes_max: u32,
    /// Bytes of a refused request's body that are read and thrown away, so that the client reads
    /// its answer and not a reset. Reading costs us less than sending costs the client; most
    /// forms' uploads fit.
    pub linger_bytes_max: usize,
    /// Milliseconds for that, and for the client to take its answer where more came than is read.
    pub linger_ms: u64,
    /// A whole request and its answer, in milliseconds; an hour, for downloads on slow lines.
    /// Counter: `request_late`.
    pub request_total_ms: u64,
    /// Silence on an upgraded connection, in milliseconds. Counter: `tunnel_idle`.
    pub tunnel_idle_ms: u64,
    /// To connect to an origin, in milliseconds.
    pub origin_connect_ms: u64,
    /// From the end of a request to the head of the origin's answer, in milliseconds. Counter:
    /// `origin_late`.
    pub origin_head_ms: u64,
    /// Silence of the origin in the middle of an answer, in milliseconds.
    pub origin_read_ms: u64,
    /// Silence of the origin in the middle of taking a request, in milliseconds.
    pub origin_write_ms: u64,
    /// How long an unused connection to an origin is kept, in milliseconds.
    pub origin_idle_ms: u64,
    /// Unused connections to origins that one worker keeps.
    pub origin_idle_connections_max: usize,
    /// Attempts to hand a request to an origin: the second is for a kept connection that the
    /// origin had closed, or for the site's next origin.
    pub origin_attempts_max: usize,
    /// Requests in flight to one site's origins; the next is answered 503 at once. Counter:
    /// `origin_full`.
    pub origin_inflight_max: u32,
    /// Connections held by `tarpit` at once; the next is dropped at once. Each costs a descriptor
    /// and its buffers, some 12 KiB. Counter: `tarpits_full`.
    pub tarpits_max: u64,
    /// Milliseconds after which a new ban ends its client's live connections. 250.
    pub ban_sweep_ms: u64,
    /// Log lines of the HTTP engine per second. Counter: `EngineLog::dropped`.
    pub engine_log_lines_per_s: u32,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_client_max: 100,
            connections_per_net_max: 400,
            proxy_header_ms: 5_000,
            proxy_header_bytes_max: 2 * 1024,
            trusted_hops_max: 16,
            accept_backlog: 4_096,
            accept_burst: 64,
            accept_pause_ms: 50,
            head_total_ms: 10_000,
            head_bytes_max: 32 * 1024,
            head_fields_max: 100,
            method_bytes_max: 32,
            head_reads_max: 100,
            tls_handshake_ms: 5_000,
            h2_streams_max: 100,
            h2_stream_window_bytes: 64 << 10,
            h2_connection_window_bytes: 1 << 20,
            h2_send_buffer_bytes: 64 << 10,
            h2_idle_ms: 60_000,
            h2_resets_max: 50,
            h2_made_resets_max: 100,
            h2_pings_per_s_max: 100,
            h2_settings_per_s_max: 50,
            h2_priorities_per_s_max: 200,
            h2_updates_per_s_max: 4_000,
            h2_strange_per_s_max: 100,
            h2_continuations_max: 8,
            idle_ms: 15_000,
            connection_requests_max: 1_000,
            connection_age_ms: 3_600_000,
            body_bytes_per_s_min: 500,
            body_grace_ms: 5_000,
            chunk_extension_bytes_max: 256,
            trailer_bytes_max: 8 * 1024,
            hold_back_bytes_max: 32 * 1024,
            write_stall_ms: 20_000,
            write_stall_bytes_min: 4 * 1024,
            write_buffer_bytes: 8 * 1024,
            unsent_bytes_max: 64 * 1024,
            linger_bytes_max: 2 * 1024 * 1024,
            linger_ms: 2_000,
            request_total_ms: 3_600_000,
            tunnel_idle_ms: 600_000,
            origin_connect_ms: 1_000,
            origin_head_ms: 30_000,
            origin_read_ms: 30_000,
            origin_write_ms: 20_000,
            origin_idle_ms: 60_000,
            origin_idle_connections_max: 512,
            origin_attempts_max: 2,
            origin_inflight_max: 1_024,
            tarpits_max: 1_000,
            ban_sweep_ms: 250,
            engine_log_lines_per_s: 5,
        }
    }
}
