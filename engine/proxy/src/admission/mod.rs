//! Limits on connections and requests per client and per network, the connection rate limit, and
//! the trusted proxies.

pub(crate) mod concurrency_limit;
pub(crate) mod connection_rate;
pub(crate) mod trusted_proxies;
