//! `[limits]`: the numbers of DESIGN §8 that a host may change.
//!
//! What is left out keeps its default, and the defaults live with the data plane that enforces
//! them, so this page holds only names and the range in which each still makes sense.

use serde::Deserialize;
use toml::Spanned;

use super::diagnostics::Diagnostics;
use super::spanned::SpannedStrings;

/// Makes the written and the meant form of the section from one list of `name: least, most`.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $least:literal, $most:literal;)+) => {
        /// What `[limits]` changes. Absent is the data plane's default.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: Option<u64>,)+
        }

        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Typed {
            $($name: Option<Spanned<i64>>,)+
            /// Networks that no ban covers.
            pub(crate) never_ban: SpannedStrings,
        }

        impl Typed {
            /// The numbers, each held against its range.
            pub(crate) fn meant(&self, faults: &mut Diagnostics<'_>) -> Limits {
                Limits { $($name: within(self.$name.as_ref(), stringify!($name), ($least, $most), faults),)+ }
            }
        }

        /// Name, least and most of each limit.
        #[cfg(test)]
        pub(crate) const RANGES: &[(&str, u64, u64)] = &[$((stringify!($name), $least, $most),)+];
    };
}

limits! {
    /// Open connections in all.
    connections_max: 1, 1_000_000;
    /// Open connections of one client.
    connections_per_client_max: 1, 1_000_000;
    /// Open connections of one network.
    connections_per_net_max: 1, 1_000_000;
    /// Connections that one client may open in a second.
    connections_per_client_per_s_max: 1, 1_000_000;
    /// Milliseconds from accept to the end of a PROXY header.
    proxy_header_ms: 100, 60_000;
    /// Bytes of a PROXY header.
    proxy_header_bytes_max: 108, 65_551;
    /// Milliseconds from the first byte of a request's head to its last.
    head_total_ms: 100, 600_000;
    /// Bytes of a request's head.
    head_bytes_max: 1_024, 1_048_576;
    /// Fields of a request's head.
    head_fields_max: 10, 256;
    /// Reads that a head may take.
    head_reads_max: 1, 10_000;
    /// Milliseconds from accept to the end of the TLS handshake.
    tls_handshake_ms: 100, 60_000;
    /// Milliseconds of silence before a request's first byte.
    idle_ms: 100, 3_600_000;
    /// Requests of one connection.
    connection_requests_max: 1, 1_000_000;
    /// Milliseconds of age from which a connection's next answer is its last.
    connection_age_ms: 1_000, 86_400_000;
    /// Bytes per second below which a body is too slow.
    body_bytes_per_s_min: 1, 1_000_000;
    /// Milliseconds of waiting for a body before its rate counts.
    body_grace_ms: 0, 600_000;
    /// Milliseconds after which a write that does not move is given up.
    write_stall_ms: 100, 600_000;
    /// Milliseconds of a whole request and its answer.
    request_total_ms: 1_000, 86_400_000;
    /// Milliseconds of silence on an upgraded connection.
    tunnel_idle_ms: 1_000, 86_400_000;
    /// Milliseconds to connect to an origin.
    origin_connect_ms: 10, 600_000;
    /// Milliseconds from a request's end to the head of the origin's answer.
    origin_head_ms: 10, 3_600_000;
    /// Bytes of the heads of an origin's answer.
    origin_head_bytes_max: 1_024, 1_048_575;
    /// Milliseconds of the origin's silence within an answer.
    origin_read_ms: 10, 3_600_000;
    /// Milliseconds of the origin's silence within taking a request.
    origin_write_ms: 10, 3_600_000;
    /// Milliseconds that an unused connection to an origin is kept.
    origin_idle_ms: 0, 3_600_000;
    /// Unused connections to origins that one worker keeps.
    origin_idle_connections_max: 0, 100_000;
    /// Attempts to hand a request to an origin.
    origin_attempts_max: 1, 8;
    /// Failures to connect to an origin, in a row, after which it is left alone.
    origin_failures_max: 1, 1_000;
    /// The share of an origin's requests that may fail, in percent; over 100 is never too many.
    origin_failures_percent: 1, 101;
    /// Requests below which that share says nothing.
    origin_results_min: 1, 1_000_000;
    /// Milliseconds over which it is taken.
    origin_failures_ms: 100, 600_000;
    /// Milliseconds for which an origin that failed is left alone at first.
    origin_open_ms: 1, 600_000;
    /// The same at most.
    origin_open_ms_max: 1, 600_000;
    /// Requests at once that try whether an origin is back.
    origin_trials_max: 1, 1_000;
    /// Requests that are sent again, for each hundred.
    origin_retry_percent: 0, 100;
    /// Those beside them, for each second.
    origin_retries_per_s: 0, 1_000;
    /// Both saved up.
    origin_retries_saved_max: 0, 4_000;
    /// Milliseconds from one health check of an origin to the next.
    health_interval_ms: 100, 600_000;
    /// Milliseconds for its answer.
    health_timeout_ms: 10, 60_000;
    /// Checks in a row that fail before an origin is left alone.
    health_fall: 1, 100;
    /// Checks in a row that go well before it is tried again.
    health_rise: 1, 100;
    /// Bytes of an answer to a check that are read.
    health_answer_bytes_max: 0, 1_048_576;
    /// Checks that are under way at once.
    health_checks_max: 1, 10_000;
    /// Bytes that the kernel may hold of what an origin sends.
    origin_receive_bytes: 2_048, 16_777_216;
    /// Requests in flight to all origins.
    forwards_max: 1, 1_000_000;
    /// Those of one client.
    forwards_per_client_max: 1, 1_000_000;
    /// Those of one network.
    forwards_per_net_max: 1, 1_000_000;
    /// Requests in flight to one site's origins.
    origin_inflight_max: 1, 1_000_000;
    /// Those that are still being sent, beside them.
    origin_uploads_max: 1, 1_000_000;
    /// WebSockets, beside them.
    origin_tunnels_max: 1, 1_000_000;
    /// Requests of one site that wait for a place at its origins.
    queue_max: 0, 100_000;
    /// Milliseconds that they wait.
    queue_ms: 10, 60_000;
    /// Requests of one client under way above which it waits behind others.
    light_client_max: 0, 1_000_000;
    /// Milliseconds before a site's trouble at which a known client was served first.
    regular_after_ms: 0, 86_400_000;
    /// Milliseconds without trouble after which a site is calm.
    calm_after_ms: 1_000, 3_600_000;
    /// Bytes that are sent to visitors in a second, shared among sites; 0 for no such limit.
    egress_bytes_per_s: 0, 1_000_000_000_000;
    /// Bytes of memory that the process should not go beyond.
    memory_bytes_max: 33_554_432, 1_000_000_000_000_000;
    /// Bytes of a body that are read before its origin hears of it. The engine keeps 64 KiB, and
    /// what is read last may be a frame of 16 more.
    body_ahead_bytes_max: 0, 49_152;
    /// Fuel that the host's rules may spend on one request; a unit is about a nanosecond.
    decision_fuel: 10_000, 1_000_000_000;
    /// Fuel that a member's rules may spend on one request, beside it.
    member_fuel: 10_000, 1_000_000_000;
    /// Fuel of all calls of externs that the host's rules make for one request; a member's may use
    /// half as much, beside it.
    extern_fuel: 10_000, 1_000_000_000;
    /// Milliseconds of those calls.
    extern_ms: 2, 1_000;
}

/// `value` as a number from `least` to `most`.
pub(crate) fn within(
    value: Option<&Spanned<i64>>,
    name: &str,
    (least, most): (u64, u64),
    faults: &mut Diagnostics<'_>,
) -> Option<u64> {
    let value = value?;
    let number = u64::try_from(*value.get_ref()).ok().filter(|n| (least..=most).contains(n));
    if number.is_none() {
        let message = format!("`{name}` is a whole number from {least} to {most}");
        faults.push(value.span(), message, None);
    }
    number
}
