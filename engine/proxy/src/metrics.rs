//! Functions to count requests and connections.
//!
//! The counters are declared in `seawall-admin-api`, once for the proxy, reports and metrics. They
//! are plain atomics that all workers add to, without a lock or a lookup. No counter contains a
//! client, a host or a path.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use seawall_admin_api::ProxyMetrics;

use seawall_admin_api::{ConnectionRejectionCounters, RequestCounters, WordCounters};

use crate::admission::concurrency_limit::LimitReached;
use crate::forward::response_error::ResponseError;
use crate::http1::head::HeadError;
use crate::listener::proxy_protocol::ProxyHeaderError;

/// Returns the counters, with the reasons for invalid headers.
pub(crate) fn proxy_metrics() -> ProxyMetrics {
    ProxyMetrics {
        requests: RequestCounters {
            header_errors: WordCounters::new(HeadError::ALL.iter().map(|why| why.word())),
            origin_response_errors: WordCounters::new(
                ResponseError::ALL.iter().map(|why| why.word()),
            ),
            ..RequestCounters::default()
        },
        ..ProxyMetrics::default()
    }
}

/// Counts a connection that a concurrency limit rejected.
pub(crate) fn reject_connection(counters: &ProxyMetrics, why: LimitReached) {
    let rejected: &ConnectionRejectionCounters = &counters.connections.rejected;
    count(match why {
        LimitReached::Total => &rejected.max_connections,
        LimitReached::Client => &rejected.max_connections_per_client,
        LimitReached::Network => &rejected.max_connections_per_network,
    });
}

/// Counts a connection of a trusted proxy that named no client. A closed connection is no error.
pub(crate) fn reject_proxy_header(counters: &ProxyMetrics, why: ProxyHeaderError) {
    let rejected = &counters.connections.rejected;
    match why {
        ProxyHeaderError::Timeout => count(&rejected.proxy_protocol_timeout),
        ProxyHeaderError::Malformed => count(&rejected.proxy_protocol_invalid),
        ProxyHeaderError::Closed => {}
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

#[cfg(test)]
mod tests {
    use seawall_admin_api::Live;

    use super::*;

    #[test]
    fn each_kind_of_header_error_has_its_own_counter() {
        let counters = proxy_metrics();
        for (nth, kind) in HeadError::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, nth, "{kind:?}");
            counters.requests.header_errors.count(kind as usize);
        }
        let seen = counters.report().requests.header_errors;
        assert_eq!(seen.len(), HeadError::ALL.len());
        assert!(seen.values().all(|count| *count == 1), "{seen:?}");
    }
}
