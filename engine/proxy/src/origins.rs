//! A site's origins: their addresses, and whose turn it is.
//!
//! Origins are resolved once, at start: a name that is asked for on each request would let a slow
//! resolver slow every site.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{BindError, Site};

/// Where a site is served from; at least one address.
#[derive(Debug)]
pub(crate) struct Origins {
    addresses: Vec<SocketAddr>,
    next: AtomicUsize,
}

impl Origins {
    /// Resolves every origin of `site`.
    ///
    /// # Errors
    /// The first that cannot be found, or none is configured.
    pub(crate) fn resolve(site: &Site) -> Result<Self, BindError> {
        let mut addresses = Vec::with_capacity(site.origins.len());
        for origin in &site.origins {
            let found = origin.to_socket_addrs().map_err(|error| BindError::Origin {
                site: site.name.clone(),
                origin: origin.clone(),
                why: error.to_string(),
            })?;
            addresses.extend(found.take(1));
        }
        if addresses.is_empty() {
            return Err(BindError::NoOrigin { site: site.name.clone() });
        }
        Ok(Self { addresses, next: AtomicUsize::new(0) })
    }

    /// The origin whose turn it is.
    pub(crate) fn next(&self) -> Option<SocketAddr> {
        let turn = self.next.fetch_add(1, Relaxed);
        self.addresses.get(turn.checked_rem(self.addresses.len())?).copied()
    }

    /// Every origin's address, in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(origins: &[&str]) -> Site {
        let origins = origins.iter().map(|origin| (*origin).into()).collect();
        Site { origins, ..Site::test("a.example", "127.0.0.1:9") }
    }

    #[test]
    fn origins_take_turns() {
        let origins = Origins::resolve(&site(&["127.0.0.1:1", "127.0.0.1:2"])).unwrap();
        let ports: Vec<_> = (0..4).map(|_| origins.next().unwrap().port()).collect();
        assert_eq!(ports, [1, 2, 1, 2]);
    }

    #[test]
    fn an_origin_that_is_none_is_told_with_its_site() {
        let error = Origins::resolve(&site(&["127.0.0.1"])).unwrap_err().to_string();
        assert!(error.contains("a.example") && error.contains("127.0.0.1"), "{error}");
        let error = Origins::resolve(&site(&[])).unwrap_err().to_string();
        assert!(error.contains("a.example"), "{error}");
    }
}
