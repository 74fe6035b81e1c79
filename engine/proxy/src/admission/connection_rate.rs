//! Connection rate limit of each client.
//!
//! The concurrency limits count open connections. A client that opens and closes at once stays
//! below them, but each connection costs an accept, and over TLS a signature (0.7 ms of CPU time
//! for RSA with 2,048 bits). Therefore each client has a rate limit, counted like a policy's
//! `limit`. Its burst equals the rate and refills in ten seconds. A connection over the limit is
//! reset before a byte is read.
//!
//! Limitation: many clients, each below its limit.

use seawall_model::{Client, Tick};
use seawall_state::{Rate, RateLimitTable, State};

use crate::ProxyLimits;

/// Connections that each client opened in the last second.
#[derive(Debug)]
pub(crate) struct ConnectionRateLimiter {
    counts: RateLimitTable,
    rate: Rate,
}

impl ConnectionRateLimiter {
    pub(crate) fn new(limits: &ProxyLimits) -> Self {
        let per_s = u64::from(limits.settings.connections.connection_rate_per_client);
        let rate = Rate { n: per_s, window_ms: 1_000, burst: per_s };
        Self { counts: RateLimitTable::alone(limits.connection_rate_table_size), rate }
    }

    /// Counts a connection of `client` and returns whether it is over the limit. `state` supplies
    /// the secret for the key.
    pub(crate) fn is_over(&self, state: &State, client: &Client, now: Tick) -> bool {
        let mut key = state.key();
        match client.key.0.addr() {
            std::net::IpAddr::V4(v4) => key.part(&v4.octets()),
            std::net::IpAddr::V6(v6) => key.part(&v6.octets()),
        }
        let outcome = self.counts.admit(key.finish(), &self.rate, None, now);
        outcome != seawall_state::RateLimitOutcome::Allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::ClientPrefixes;
    use seawall_state::Seed;

    #[test]
    fn a_client_has_its_rate_and_its_reserve_and_its_neighbour_too() {
        let mut limits = ProxyLimits::default();
        limits.settings.connections.connection_rate_per_client = 10;
        let arrivals = ConnectionRateLimiter::new(&limits);
        let state = State::new(Seed([7; 16]), &[]);
        let client = |ip: &str| Client::of(ip.parse().unwrap(), &ClientPrefixes::default());
        let start = Tick::TEST_START;
        let come = |ip: &str, times: u32, at: Tick| {
            (0..times).filter(|_| !arrivals.is_over(&state, &client(ip), at)).count()
        };
        assert_eq!(come("192.0.2.1", 100, start), 20);
        assert_eq!(come("192.0.2.2", 5, start), 5);
        assert_eq!(come("2001:db8::1", 15, start), 15);
        assert_eq!(come("2001:db8::2", 15, start), 5, "a household is one client");
        // After ten more seconds the whole burst is available again.
        assert_eq!(come("192.0.2.1", 100, start.plus_ms(12_000)), 20);
    }
}
