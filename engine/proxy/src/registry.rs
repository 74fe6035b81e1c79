//! The live connections of one worker, so that a ban ends them.
//!
//! A request of a banned client is refused when it comes; a download or an upgraded connection that
//! is under way has no next request. So, a moment after a ban was set, each worker asks for each of
//! its connections whether it is banned now. What that costs follows from the connections and not
//! from the bans, however many are set in a moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use seawall_state::BanScope;

use crate::conn::Conn;
use crate::drain::Stop;
use crate::edge::Edge;

#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    conns: HashMap<u64, Arc<Conn>>,
    number: u64,
}

/// A connection's entry, taken out when dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.0.lock().conns.remove(&self.number);
    }
}

impl Registry {
    pub(crate) fn enter(self: &Arc<Self>, conn: Arc<Conn>) -> Entry {
        let mut live = self.0.lock();
        let number = live.number;
        live.number = number.wrapping_add(1);
        live.conns.insert(number, conn);
        Entry { registry: Arc::clone(self), number }
    }

    /// Ends the connections of whom `banned` names, and says how many.
    fn end(&self, banned: impl Fn(&Conn) -> bool) -> u64 {
        let live = self.0.lock();
        live.conns.values().filter(|conn| banned(conn)).map(|conn| conn.end()).count() as u64
    }

    /// Looks for banned connections after bans were set, until the data plane stops.
    pub(crate) async fn watch(self: Arc<Self>, edge: Arc<Edge>, mut stop: Stop) {
        let pause = Duration::from_millis(edge.limits.ban_sweep_ms);
        let mut seen = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.asked() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let live = edge.handle.load();
            let bans = live.state.bans();
            // Read before the bans are: one that is set meanwhile is looked at next time.
            let changes = bans.changes();
            if changes == seen {
                continue;
            }
            seen = changes;
            let now = (edge.now)();
            let ended =
                self.end(|conn| bans.covers(&conn.client, None, BanScope::Host, now).is_some());
            edge.counters.banned_closed.fetch_add(ended, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::{Client, ClientUnits, Tick};

    fn conn(ip: &str) -> Arc<Conn> {
        let client = Client::of(ip.parse().unwrap(), &ClientUnits::default());
        Arc::new(Conn::new(client, 1, Tick::TEST_START))
    }

    #[test]
    fn whoever_is_named_is_ended_once_and_whoever_left_is_not_there() {
        let registry = Arc::new(Registry::default());
        let (one, two) = (conn("192.0.2.1"), conn("192.0.2.2"));
        let _one = registry.enter(Arc::clone(&one));
        let entry = registry.enter(Arc::clone(&two));
        assert_eq!(registry.end(|conn| conn.client == one.client), 1);
        assert_eq!((one.is_ended(), two.is_ended()), (true, false));
        drop(entry);
        assert_eq!(registry.end(|_| true), 1);
        assert!(!two.is_ended());
    }
}
