//! Who may hold a connection at all.
//!
//! Counted before a byte is read, in one map from client to open connections. The map holds at most
//! as many clients as there are connections, so the total cap bounds it; std's map hashes with a
//! random key, so nobody can aim at one bucket. The permit is the only way to count down.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use seawall_model::ClientKey;

use crate::EdgeLimits;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Admission {
    total_max: usize,
    client_max: u32,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_client: HashMap<ClientKey, u32>,
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All places are taken.
    Total,
    /// The client's places are.
    Client,
}

/// One connection's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    client: ClientKey,
}

impl Admission {
    pub(crate) fn new(limits: &EdgeLimits) -> Self {
        Self {
            total_max: limits.connections_max,
            client_max: limits.connections_per_client_max,
            open: Mutex::new(Open::default()),
        }
    }

    /// A place for a connection of `client`.
    ///
    /// # Errors
    /// Which cap is reached.
    pub(crate) fn enter(self: &Arc<Self>, client: ClientKey) -> Result<Permit, NoRoom> {
        let mut open = self.open.lock();
        if open.total >= self.total_max {
            return Err(NoRoom::Total);
        }
        let held = open.by_client.get(&client).copied().unwrap_or_default();
        if held >= self.client_max {
            return Err(NoRoom::Client);
        }
        open.by_client.insert(client, held + 1);
        open.total += 1;
        Ok(Permit { admission: Arc::clone(self), client })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.total = open.total.saturating_sub(1);
        match open.by_client.get_mut(&self.client) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                open.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::{Client, ClientUnits};

    fn client(ip: &str) -> ClientKey {
        Client::of(ip.parse().unwrap(), &ClientUnits::default()).key
    }

    fn admission(total: usize, per_client: u32) -> Arc<Admission> {
        Arc::new(Admission::new(&EdgeLimits {
            connections_max: total,
            connections_per_client_max: per_client,
            ..EdgeLimits::default()
        }))
    }

    #[test]
    fn a_client_has_its_places_and_not_one_more() {
        let admission = admission(100, 2);
        let held: Vec<_> = (0..2).map(|_| admission.enter(client("192.0.2.1")).unwrap()).collect();
        assert_eq!(admission.enter(client("192.0.2.1")).err(), Some(NoRoom::Client));
        assert!(admission.enter(client("192.0.2.2")).is_ok());
        drop(held);
        assert!(admission.enter(client("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_household_shares_its_places() {
        let admission = admission(100, 1);
        let _held = admission.enter(client("2001:db8::1")).unwrap();
        assert_eq!(admission.enter(client("2001:db8:0:1::1")).err(), Some(NoRoom::Client));
    }

    #[test]
    fn all_places_together_are_counted_first() {
        let admission = admission(2, 2);
        let _one = admission.enter(client("192.0.2.1")).unwrap();
        let two = admission.enter(client("192.0.2.2")).unwrap();
        assert_eq!(admission.enter(client("192.0.2.3")).err(), Some(NoRoom::Total));
        drop(two);
        assert!(admission.enter(client("192.0.2.3")).is_ok());
    }

    #[test]
    fn whoever_left_leaves_nothing_behind() {
        let admission = admission(100, 5);
        for n in 0..50 {
            let _permit = admission.enter(client(&format!("192.0.2.{n}"))).unwrap();
        }
        let open = admission.open.lock();
        assert_eq!((open.total, open.by_client.len()), (0, 0));
    }

    #[test]
    fn the_defaults_hold_a_hundred_of_one_client() {
        let admission = Arc::new(Admission::new(&EdgeLimits::default()));
        let held: Vec<_> = (0..100).map(|_| admission.enter(client("192.0.2.1"))).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(admission.enter(client("192.0.2.1")).err(), Some(NoRoom::Client));
    }
}
