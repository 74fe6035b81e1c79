//! Who may come in, and how often: limits on the connections and requests of a client and of its
//! network, on new connections in a second, and whose word about the client is believed.

pub(crate) mod concurrency_limit;
pub(crate) mod connection_rate;
pub(crate) mod trusted_proxies;
