//! How often each limit bit, and how much is going on.
//!
//! Plain atomics that any worker adds to: what is counted here is rare (a refusal) or cheap next to
//! a system call (an accept). Nothing here says who: no address, host or path.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::admission::concurrency_limit::LimitReached;
use crate::http1::head::HeadError;
use crate::listener::proxy_protocol::ProxyHeaderError;
use crate::upstream::stream::BadAnswer;

/// Declares the counters twice, live and as a snapshot, so that none can be forgotten in between.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The live counters of the data plane.
        #[derive(Debug, Default)]
        pub struct ProxyMetrics {
            $($(#[doc = $doc])+ pub $name: AtomicU64,)+
            /// Heads refused, by [`HeadError`].
            pub heads_refused: [AtomicU64; HeadError::ALL.len()],
            /// Origins' answers refused for their heads, by [`BadAnswer`].
            pub answers_refused: [AtomicU64; BadAnswer::ALL.len()],
        }

        /// What the counters said at one moment.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct ProxyMetricsSnapshot {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Heads refused, by [`HeadError`], in the order of [`HeadError::ALL`].
            pub heads_refused: [u64; HeadError::ALL.len()],
            /// Origins' answers refused for their heads, in the order of [`BadAnswer::ALL`].
            pub answers_refused: [u64; BadAnswer::ALL.len()],
        }

        impl ProxyMetrics {
            /// What they say now.
            #[must_use]
            pub fn snapshot(&self) -> ProxyMetricsSnapshot {
                ProxyMetricsSnapshot {
                    $($name: self.$name.load(Relaxed),)+
                    heads_refused: std::array::from_fn(|i| {
                        self.heads_refused.get(i).map_or(0, |n| n.load(Relaxed))
                    }),
                    answers_refused: std::array::from_fn(|i| {
                        self.answers_refused.get(i).map_or(0, |n| n.load(Relaxed))
                    }),
                }
            }
        }

        /// What each counter but the refused heads says, by name.
        const SAID: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc,)+)),)+];

        impl ProxyMetricsSnapshot {
            /// Every counter but the refused heads, by name.
            #[must_use]
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

counters! {
    /// Connections accepted, those refused by a cap included.
    accepted,
    /// Connections open now.
    open,
    /// Connections reset at accept because all places were taken.
    refused_by_total,
    /// Connections ended while they waited, because all places were taken and somebody came.
    made_room,
    /// Connections reset at accept because their client's places were taken.
    refused_by_client,
    /// Connections reset at accept because their network's places were taken.
    refused_by_net,
    /// Connections reset at accept because their client opened too many in a moment.
    refused_by_rate,
    /// Connections reset because their site has its share of them, at their first request or before
    /// their handshake.
    refused_by_share,
    /// Connections from trusted hops reset because no PROXY header came in time.
    proxy_header_late,
    /// Connections from trusted hops reset because what came was no PROXY header.
    proxy_header_bad,
    /// Accepts that failed (no descriptors, no memory).
    accept_errors,
    /// Connections closed because nothing came on them.
    idle_closed,
    /// Connections ended politely because they had had all their requests, or their time.
    used_up,
    /// Connections reset because a head took too long.
    head_late,
    /// Connections reset because a body came too slowly.
    body_slow,
    /// Connections reset because of a chunked body that could be read in two ways.
    body_malformed,
    /// Connections reset because the client did not take its answer.
    write_stalled,
    /// Connections reset because a request and its answer took too long in all.
    request_late,
    /// Upgraded connections closed because nothing moved on them.
    tunnel_idle,
    /// Requests whose head was read and understood.
    requests,
    /// Requests in flight to an origin now.
    in_flight,
    /// Requests for a host that is no site of ours.
    unknown_host,
    /// HTTP/2 connections ended for too many requests taken back, by them or made to be by us.
    h2_resets,
    /// HTTP/2 connections ended for too many frames of one kind in a second.
    h2_floods,
    /// HTTP/2 connections ended for a header block in too many pieces.
    h2_pieces,
    /// HTTP/2 connections ended for requests after the last that was announced.
    h2_too_many,
    /// Requests of HTTP/2 answered 503 because others of their connection did not end.
    h2_turns_late,
    /// Fields of requests that were left out because their name has a `_`.
    dropped_headers_with_underscores,
    /// Requests for another site than their connection's name leads to.
    misdirected,
    /// TLS handshakes that were completed.
    handshakes,
    /// Connections closed because they did not begin with a ClientHello.
    tls_no_hello,
    /// TLS handshakes that came to nothing.
    tls_failed,
    /// TLS handshakes that took too long.
    tls_late,
    /// Requests admitted to an origin.
    admitted,
    /// Requests answered by us without asking an origin.
    refused,
    /// Connections reset because the policy says `drop`.
    dropped,
    /// Connections reset because the policy says `ban`: each set or found a ban.
    banned,
    /// Connections reset at accept because their client is banned.
    banned_at_accept,
    /// Live connections reset because a ban of their client was set.
    banned_closed,
    /// Requests held because the policy says `tarpit`.
    tarpitted,
    /// Requests that are held now.
    tarpits,
    /// Requests dropped at once because enough others were held.
    tarpits_full,
    /// Log lines of `log` actions that were not written, because their rule had written one in the
    /// same second or enough others had.
    policy_log_left_out,
    /// Verdicts that this version cannot enforce: our own fault, answered 503.
    unenforceable,
    /// Requests answered 429 because enough of their client's, or its network's, were under way.
    forwards_refused,
    /// Requests answered 503 because there was no place for them at an origin in time.
    origin_full,
    /// Requests answered 503 because none of their site's origins is asked at the moment.
    origin_down,
    /// Requests answered 503 because their origin was found to be silent while they waited.
    origin_cut,
    /// Times that an origin failed and was left alone from then on.
    origin_falls,
    /// Times that one was back.
    origin_rises,
    /// Requests that were sent again.
    origin_retries,
    /// Requests that were not, because too many were.
    origin_retries_refused,
    /// Health checks of origins that were begun.
    health_checks,
    /// Those that an origin failed.
    health_failures,
    /// Those that found out nothing, or were left out because too many were under way.
    health_unknown,
    /// Requests answered 502: the origin could not be reached or broke off.
    origin_failed,
    /// Requests answered 504: the origin took too long.
    origin_late,
    /// Requests whose client left while an origin was at work for them: they kept their places until
    /// it had answered or closed.
    given_up,
    /// Those for which it did neither in the time for an answer's head.
    given_up_late,
    /// Requests that the HTTP engine refused although we had vetted them.
    engine_refused,
    /// Requests that reached the HTTP engine without having been admitted, and were refused there.
    unadmitted,
    /// How bad it is with the whole host now: 0 calm, 1 tight, 2 scarce, 3 the last step.
    overload_step,
    /// Memory that is used now, in percent of its limit; 0 where there is none.
    memory_percent,
    /// How late the latest worker is now, in percent of a tenth of a second.
    cpu_late_percent,
    /// Connections of unknown clients reset at accept because the host had too little of something.
    overload_refused,
    /// Requests of unknown clients answered 503 because the host had too little of something.
    overload_shed,
    /// Connections ended while they waited because the host had too little of something.
    overload_idle_closed,
    /// Connections ended because they did not take their answers and the host had too little.
    overload_stalled_closed,
    /// Connections upgraded to WebSocket.
    tunnels,
    /// Connections that ended in a panic of ours.
    panics,
}

/// Those that can fall.
const GAUGES: [&str; 6] =
    ["open", "in_flight", "tarpits", "overload_step", "memory_percent", "cpu_late_percent"];

/// What one number of [`ProxyMetricsSnapshot::named`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricDescription {
    /// Its name.
    pub name: &'static str,
    /// What it counts, in one sentence.
    pub says: &'static str,
    /// Whether it can fall.
    pub is_gauge: bool,
}

impl ProxyMetricsSnapshot {
    /// What its numbers are, in the order of [`named`](Self::named).
    #[must_use]
    pub fn described() -> Vec<MetricDescription> {
        let described = |(name, says): &(&'static str, &'static str)| MetricDescription {
            name,
            says: says.trim(),
            is_gauge: GAUGES.contains(name),
        };
        SAID.iter().map(described).collect()
    }
}

impl ProxyMetrics {
    /// Counts a connection that found no place.
    pub(crate) fn refuse_place(&self, why: LimitReached) {
        count(match why {
            LimitReached::Total => &self.refused_by_total,
            LimitReached::Client => &self.refused_by_client,
            LimitReached::Network => &self.refused_by_net,
        });
    }

    /// Counts a connection of a trusted hop that named no client. A hop that left is no fault.
    pub(crate) fn refuse_introduction(&self, why: ProxyHeaderError) {
        match why {
            ProxyHeaderError::Timeout => count(&self.proxy_header_late),
            ProxyHeaderError::Malformed => count(&self.proxy_header_bad),
            ProxyHeaderError::Closed => {}
        }
    }

    /// Counts an origin's answer that is not passed on.
    pub(crate) fn refuse_answer(&self, why: BadAnswer) {
        if let Some(counter) = self.answers_refused.get(why as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Counts a refused head.
    pub(crate) fn refuse_head(&self, why: HeadError) {
        if let Some(counter) = self.heads_refused.get(why as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_that_it_is_now_can_fall_and_nothing_else() {
        for MetricDescription { name, says, is_gauge } in ProxyMetricsSnapshot::described() {
            let now = [" now.", " now:", " now,"].iter().any(|now| says.contains(now));
            assert_eq!(now, is_gauge, "{name}: {says}");
        }
    }

    #[test]
    fn each_kind_of_head_has_its_own_counter() {
        let counters = ProxyMetrics::default();
        for (n, kind) in HeadError::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, n, "{kind:?}");
            for _ in 0..=n {
                counters.refuse_head(kind);
            }
        }
        let seen = counters.snapshot().heads_refused;
        assert!(seen.iter().enumerate().all(|(n, count)| *count == n as u64 + 1), "{seen:?}");
    }
}
