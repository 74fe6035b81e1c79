//! Every limit of the data plane, in one place.
//!
//! A stranger can grow only what has a number here: each has a unit in its name, a default with its
//! reason, and a counter in [`ProxyMetrics`](crate::ProxyMetrics) that says how often it bit. One
//! struct and not constants, so that a host can fit them to its machine and a test can make them
//! small. Figures without a source of their own are those of DESIGN §8.

use crate::admission::concurrency_limit::ConcurrencyLimits;

/// Declares the limits once, each with its default beside its reason.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ pub $name:ident: $kind:ty = $default:expr;)+) => {
        /// What the data plane allows; every field is a limit.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct ProxyLimits {
            $($(#[doc = $doc])+ pub $name: $kind,)+
        }

        impl Default for ProxyLimits {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }
    };
}

limits! {
    /// Open connections in all. For the next, one that only waits for a request is ended (counter:
    /// `made_room`); where none can be found it is reset at accept (counter: `refused_by_total`).
    pub connections_max: usize = 10_000;
    /// Connections that are looked at for one that makes room.
    pub room_looks: usize = 64;
    /// Milliseconds that a connection may wait for its first request before it has to make room:
    /// time enough for a visitor's to come. For a client whom a site knows, and for a hop, it has to at once.
    pub room_after_ms: u64 = 500;
    /// The same for one that asked before: a flood that has just begun must not find only visitors.
    pub room_kept_after_ms: u64 = 5_000;
    /// Open connections of one client (an IPv4 address or an IPv6 /56). Counter:
    /// `refused_by_client`.
    pub connections_per_client_max: u32 = 100;
    /// Open connections of one network (an IPv4 /24 or an IPv6 /56, as `[client]` says). Counter:
    /// `refused_by_net`.
    pub connections_per_net_max: u32 = 400;
    /// Connections that one client may open in a second, and as many again from a reserve that fills
    /// in ten. HAProxy's and nginx's guides have 10 to 60 for one address; an address of a provider
    /// or a school has hundreds of people behind it. Counter: `refused_by_rate`.
    pub connections_per_client_per_s_max: u32 = 100;
    /// Clients whose connections are counted for that, at 75 bytes each.
    pub arrival_keys_max: usize = 65_536;
    /// From accept to the end of a trusted hop's PROXY header, in milliseconds. Counter:
    /// `proxy_header_late`.
    pub proxy_header_ms: u64 = 5_000;
    /// Bytes of a PROXY header: the addresses take 52, the rest is what a hop adds. Counter:
    /// `proxy_header_bad`.
    pub proxy_header_bytes_max: usize = 2 * 1024;
    /// Hops that are walked through in a header that says whom they forward for; where more of
    /// them are trusted, the last one walked to counts as the client.
    pub trusted_hops_max: usize = 16;
    /// Connections that the kernel completes ahead of us; it clamps this to `somaxconn`.
    pub accept_backlog: u32 = 4_096;
    /// Connections that one worker accepts before it looks after those it has.
    pub accept_burst: u32 = 64;
    /// Pause after a failed accept (no descriptors, no memory), in milliseconds: without it the
    /// loop would spin, with a longer one it would miss the recovery. Counter: `accept_errors`.
    pub accept_pause_ms: u64 = 50;
    /// From the first byte of a head to its last, in milliseconds, however the bytes are spread.
    /// Counter: `head_late`.
    pub head_total_ms: u64 = 10_000;
    /// Bytes of a head. Counter: `heads_refused`, kind `bytes`.
    pub head_bytes_max: usize = 32 * 1024;
    /// Fields of a head, at most 256. Counter: `heads_refused`, kind `fields`.
    pub head_fields_max: usize = 100;
    /// Bytes of a method: the longest that is registered has 17. Counter: `heads_refused`, kind
    /// `method`.
    pub method_bytes_max: usize = 32;
    /// Reads that a head may take: what bounds the system calls that a dripped head costs us.
    /// Counter: `heads_refused`, kind `drip`.
    pub head_reads_max: u32 = 100;
    /// From accept to the end of the TLS handshake, in milliseconds. Counter: `tls_late`.
    pub tls_handshake_ms: u64 = 5_000;
    /// Reads that a ClientHello may take; a client's comes in two or three. Counter: `tls_no_hello`.
    pub hello_reads_max: u32 = 100;
    /// Streams that one HTTP/2 connection may have open; the next is refused by its number. Each
    /// costs 16 KiB while it waits for its turn; RFC 9113 §6.5.2 recommends a hundred, HTTP/1 gets
    /// by with six.
    pub h2_streams_max: u32 = 24;
    /// Bytes that a stream may send before we read them.
    pub h2_stream_window_bytes: u32 = 64 << 10;
    /// The same for all streams of a connection.
    pub h2_connection_window_bytes: u32 = 1 << 20;
    /// Bytes of an answer that are kept for one stream.
    pub h2_send_buffer_bytes: usize = 64 << 10;
    /// Requests of one connection that are at their origins at once, at first; the others wait.
    pub h2_forwards_first: u32 = 2;
    /// The same at most: each answer that was taken whole allows one more. Counter:
    /// `h2_turns_late`, for those that waited longer than `origin_head_ms`.
    pub h2_forwards_max: u32 = 24;
    /// Silence of a connection without streams, in milliseconds.
    pub h2_idle_ms: u64 = 60_000;
    /// Streams that a client takes back before it was answered, in the life of a connection (Rapid
    /// Reset, CVE-2023-44487). Counter: `h2_resets`.
    pub h2_resets_max: u32 = 50;
    /// Streams that it makes us take back (MadeYouReset, CVE-2025-8671). Counter: `h2_resets`.
    pub h2_made_resets_max: u32 = 100;
    /// Request headers that the library answers itself, because they are too large, in the life of a
    /// connection. HTTP/1 ends with the first. Counter: `h2_floods`.
    pub h2_max_oversized_headers: u32 = 8;
    /// `Cookie` fields that one request may have over HTTP/2, where they count as one field of
    /// `head_fields_max`. Counter: `heads_refused`, kind `fields`.
    pub h2_max_cookie_fields: usize = 512;
    /// PING frames in a second. Counter: `h2_floods`.
    pub h2_pings_per_s_max: u32 = 100;
    /// SETTINGS frames in a second. Counter: `h2_floods`.
    pub h2_settings_per_s_max: u32 = 50;
    /// PRIORITY frames in a second: a browser sends one for each request at most. Counter:
    /// `h2_floods`.
    pub h2_priorities_per_s_max: u32 = 200;
    /// WINDOW_UPDATE frames in a second: two for each 16 KiB that are read, for 30 MB/s. Counter:
    /// `h2_floods`.
    pub h2_updates_per_s_max: u32 = 4_000;
    /// Frames in a second that mean nothing: empty DATA, unknown kinds. Counter: `h2_floods`.
    pub h2_strange_per_s_max: u32 = 100;
    /// CONTINUATION frames of one header block (CVE-2024-27316 and others). Counter: `h2_pieces`.
    pub h2_continuations_max: u32 = 8;
    /// Silence before a head's first byte, in milliseconds. Counter: `idle_closed`.
    pub idle_ms: u64 = 15_000;
    /// Requests of one connection; the last is answered with `ConnectionOptions: close`. Counter:
    /// `used_up`.
    /// Over HTTP/2 the client is told that no more are taken, and who sends as many again is reset
    /// (counter: `h2_too_many`).
    pub connection_requests_max: u32 = 1_000;
    /// The age in milliseconds from which a connection's next answer is its last. Counter:
    /// `used_up`.
    pub connection_age_ms: u64 = 3_600_000;
    /// The slowest body, in bytes per second of waiting for it. Counter: `body_slow`.
    pub body_bytes_per_s_min: u64 = 500;
    /// Milliseconds of waiting for a body before its rate counts.
    pub body_grace_ms: u64 = 5_000;
    /// Bytes of extensions on one chunk. Counter: `body_malformed`.
    pub chunk_extension_bytes_max: usize = 256;
    /// Bytes of trailers after a chunked body. Counter: `body_malformed`.
    pub trailer_bytes_max: usize = 8 * 1024;
    /// Bytes of the next requests that are held back while one is being answered; beyond it the
    /// kernel holds them.
    pub hold_back_bytes_max: usize = 32 * 1024;
    /// Milliseconds of being unable to write after which too little must have moved. Counter:
    /// `write_stalled`.
    pub write_stall_ms: u64 = 20_000;
    /// The least that must move in that time, in bytes.
    pub write_stall_bytes_min: u64 = 4 * 1024;
    /// Bytes of small writes that are put together before they leave.
    pub write_buffer_bytes: usize = 8 * 1024;
    /// Bytes that the kernel may hold unsent for one connection (`TCP_NOTSENT_LOWAT`): bounds what
    /// a client that does not read makes us keep, and makes progress visible in small steps.
    pub unsent_bytes_max: u32 = 64 * 1024;
    /// Bytes of a refused request's body that are read and thrown away, so that the client reads
    /// its answer and not a reset. Reading costs us less than sending costs the client; most
    /// forms' uploads fit.
    pub linger_bytes_max: usize = 2 * 1024 * 1024;
    /// Milliseconds for that, and for the client to take its answer where more came than is read.
    pub linger_ms: u64 = 2_000;
    /// A whole request and its answer, in milliseconds; an hour, for downloads on slow lines.
    /// Counter: `request_late`.
    pub request_total_ms: u64 = 3_600_000;
    /// Silence on an upgraded connection, in milliseconds. Counter: `tunnel_idle`.
    pub tunnel_idle_ms: u64 = 600_000;
    /// To connect to an origin, in milliseconds.
    pub origin_connect_ms: u64 = 1_000;
    /// From the end of a request to the head of the origin's answer, in milliseconds. Over HTTP/2
    /// it bounds the origin's silence within an answer too, where it is shorter than that. Counter:
    /// `origin_late`.
    pub origin_head_ms: u64 = 75_000;
    /// Bytes of the heads of an origin's answer, those of interim answers (1xx) among them; nginx and
    /// HAProxy allow 4 to 16 KiB. Counter: `answers_refused`, kind `bytes`.
    pub origin_head_bytes_max: usize = 64 * 1024;
    /// Fields of them; the HTTP engine takes 256. Counter: `answers_refused`, kind `fields`.
    pub origin_head_fields_max: usize = 256;
    /// Reads that they may take: each has the engine look at the whole head anew. Counter:
    /// `answers_refused`, kind `drip`.
    pub origin_head_reads_max: u32 = 100;
    /// Interim answers before the last: an hour of `102 Processing` every ten seconds. Counter:
    /// `answers_refused`, kind `interim`.
    pub origin_interim_max: u32 = 400;
    /// Bytes of an answer that are read and thrown away after its client has left, so that its
    /// origin is known to be done with it. Counter: `given_up`.
    pub given_up_bytes_max: usize = 64 * 1024;
    /// Silence of the origin in the middle of an answer, in milliseconds.
    pub origin_read_ms: u64 = 75_000;
    /// Silence of the origin in the middle of taking a request, in milliseconds.
    pub origin_write_ms: u64 = 20_000;
    /// How long an unused connection to an origin is kept, in milliseconds.
    pub origin_idle_ms: u64 = 60_000;
    /// Unused connections to origins that one worker keeps.
    pub origin_idle_connections_max: usize = 512;
    /// Attempts to hand a request to an origin: the second is for a kept connection that the
    /// origin had closed, or for the site's next origin.
    pub origin_attempts_max: usize = 2;
    /// Failures to connect to an origin, one after the other, after which it is left alone. Envoy's
    /// outlier detection has five. Counter: `origin_falls`.
    pub origin_failures_max: u32 = 5;
    /// The share of an origin's requests that may fail, in percent, before it is left alone.
    /// Counter: `origin_falls`.
    pub origin_failures_percent: u32 = 50;
    /// Requests below which that share says nothing.
    pub origin_results_min: u32 = 20;
    /// Milliseconds over which it is taken.
    pub origin_failures_ms: u64 = 10_000;
    /// Milliseconds for which an origin that failed is left alone at first; twice as long where it
    /// fails again at once.
    pub origin_open_ms: u64 = 250;
    /// The same at most: with one check's interval, within the two seconds in which a site is to be
    /// back.
    pub origin_open_ms_max: u64 = 1_000;
    /// Requests at once that then try whether it is back.
    pub origin_trials_max: u32 = 2;
    /// Requests that are sent again, for each hundred of a site's (Finagle's and Envoy's figure).
    /// Counter: `origin_retries_refused`.
    pub origin_retry_percent: u32 = 20;
    /// Those beside them, for each second (Finagle's figure). Counter: `origin_retries_refused`.
    pub origin_retries_per_s: u32 = 10;
    /// Both saved up, at most 4,000: an origin that goes while it has a hundred requests costs none
    /// of them its answer, if there is another. Counter: `origin_retries_refused`.
    pub origin_retries_saved_max: u32 = 100;
    /// Milliseconds from one health check of an origin to the next.
    pub health_interval_ms: u64 = 500;
    /// Milliseconds for its answer: with the interval, within the second in which a visitor is to
    /// be told. Counter: `health_failures`.
    pub health_timeout_ms: u64 = 400;
    /// Checks in a row that fail before an origin is left alone; all but the first follow at once.
    pub health_fall: u32 = 1;
    /// Checks in a row that go well before it is tried again.
    pub health_rise: u32 = 2;
    /// Bytes of an answer that are read.
    pub health_answer_bytes_max: usize = 16 * 1024;
    /// Checks that are under way at once; the next is left out (counter: `health_unknown`). Each
    /// takes a file descriptor.
    pub health_checks_max: usize = 128;
    /// Requests in flight to all origins; the next waits. Each takes a file descriptor. Counter:
    /// `origin_full`.
    pub forwards_max: usize = 10_000;
    /// Those of one client; the next is answered 429. Counter: `forwards_refused`.
    pub forwards_per_client_max: u32 = 100;
    /// Those of one network; the next is answered 429. Counter: `forwards_refused`.
    pub forwards_per_net_max: u32 = 400;
    /// Requests in flight to one origin of a site that does not say what it can do; the next waits.
    /// Counter: `origin_full`.
    pub origin_inflight_max: u32 = 1_024;
    /// The same for a site's requests that are still being sent; beside them, and the next is
    /// answered 503 at once. Counter: `origin_full`.
    pub origin_uploads_max: u32 = 256;
    /// The same for WebSockets; beside them. Counter: `origin_full`.
    pub origin_tunnels_max: u32 = 1_024;
    /// Milliseconds from one look at memory, places and processor to the next.
    pub overload_look_ms: u64 = 100;
    /// Percent of one of them from which on it is tight: connections that wait are ended sooner.
    /// HAProxy and Envoy begin at 80 and 95 in their guides.
    pub overload_tight_percent: u8 = 80;
    /// From which on it is scarce: clients whom no site knows are not let in. Counters:
    /// `overload_refused`, `overload_shed`.
    pub overload_scarce_percent: u8 = 90;
    /// From which on all is given up that can be spared. Counters: `overload_idle_closed`,
    /// `overload_stalled_closed`.
    pub overload_last_percent: u8 = 95;
    /// Silence before a head's first byte while it is tight, in milliseconds. Counter:
    /// `overload_idle_closed`.
    pub idle_tight_ms: u64 = 2_000;
    /// Requests of one site that wait for a place at its origins; the next takes the place of one of
    /// a client that its site knows less, or is answered 503 at once. Counter: `origin_full`.
    pub queue_max: usize = 256;
    /// Milliseconds that they wait: a visitor who waits longer has pressed the button again.
    /// Counter: `origin_full`.
    pub queue_ms: u64 = 1_000;
    /// Requests of one client under way above which it stands behind those who have fewer: a
    /// browser's usual six over HTTP/1, and two more.
    pub light_client_max: u32 = 8;
    /// Milliseconds before a site's trouble began at which a client must have been served for the
    /// first time to count as known.
    pub regular_after_ms: u64 = 60_000;
    /// Milliseconds without anybody waiting or refused for want of something after which a site
    /// counts as calm, and its visitors become known to it.
    pub calm_after_ms: u64 = 10_000;
    /// Bytes that are sent to visitors in a second, shared among sites; 0 where nobody said how wide
    /// the pipe is, and then they are not shared.
    pub egress_bytes_per_s: u64 = 0;
    /// Microseconds of that which a site that was quiet may send at once.
    pub egress_depth_us: u64 = 50_000;
    /// Milliseconds from one dealing out of it to the next.
    pub egress_tick_ms: u64 = 5;
    /// Microseconds of a worker's processor that a site which was quiet may use at once.
    pub cpu_depth_us: u64 = 2_000;
    /// Milliseconds from one dealing out of the processor to the next, and so how long a site that
    /// needs little waits behind those that want all of it.
    pub cpu_tick_ms: u64 = 1;
    /// Microseconds by which a worker may come late to that before it deals out less.
    pub cpu_late_us_max: u64 = 2_000;
    /// Bytes of a body that are read before its origin hears of it, so that a small one that comes
    /// slowly holds no place there. nginx reads all of it, onto a disk.
    pub body_ahead_bytes_max: usize = 16 * 1024;
    /// Bytes that the kernel may hold of what an origin sends (`SO_RCVBUF`, which Linux doubles),
    /// and so what one read brings. The engine keeps ten reads for a client that does not read: a
    /// quarter of a megabyte. An origin that is far away needs more: this, for each round trip, is
    /// the fastest that one answer can come.
    pub origin_receive_bytes: usize = 16 * 1024;
    /// Connections held by `tarpit` at once; the next is dropped at once. Each costs a descriptor
    /// and its buffers, some 12 KiB. Counter: `tarpits_full`.
    pub tarpits_max: u64 = 1_000;
    /// Milliseconds after which a new ban ends its client's live connections. 250.
    pub ban_sweep_ms: u64 = 250;
    /// Log lines of the HTTP engine per second. Counter: `EngineLogFilter::dropped`.
    pub engine_log_lines_per_s: u32 = 5;
    /// Log lines that the host's `log` actions write per second, and as many that all members' do;
    /// one rule writes one. Counter: `policy_log_left_out`.
    pub policy_log_lines_per_s: u32 = 10;
}

/// One place for a connection in so many is never a site's.
const UNHEARD_PART: usize = 8;

impl ProxyLimits {
    /// How many connections there may be.
    pub(crate) const fn connection_caps(&self) -> ConcurrencyLimits {
        let (client, net) = (self.connections_per_client_max, self.connections_per_net_max);
        ConcurrencyLimits { total: self.connections_max, client, net }
    }

    /// How many of them sites may have together. The others are for those who have not said yet for
    /// whom they are, or whoever is busy at one site could keep newcomers from all of them.
    pub(crate) const fn connections_shared(&self) -> usize {
        self.connections_max - self.connections_max / UNHEARD_PART
    }

    /// How many requests there may be under way.
    pub(crate) const fn forward_caps(&self) -> ConcurrencyLimits {
        let (client, net) = (self.forwards_per_client_max, self.forwards_per_net_max);
        // Shares hold the total; here, those who wait are counted too.
        ConcurrencyLimits { total: usize::MAX, client, net }
    }
}
