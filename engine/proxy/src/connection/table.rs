//! The live connections of one worker, and the reasons to end them.
//!
//! **Bans.** A request of a banned client is rejected when it comes. A download or a tunnel has no
//! next request. So shortly after a ban each worker checks all its connections against the bans.
//! The cost depends on the number of connections, not on the number of bans.
//!
//! **Eviction** when the total limit is reached: idle connections must not keep new clients out.
//! Connections of sites over their fair share and those without a site go first; among these,
//! connections without a request; then the one with the longest idle time. Only a sample of the
//! entries is examined; a cursor moves through the table. Of 64 entries, the most idle is among the
//! most idle twentieth of all with probability 96 % (1 - 0.95^64). Connections are protected for a
//! minimum idle time, except those without a request if the new client is known.
//!
//! Limitation: busy connections are not evicted. Request limits cover a flood of requests.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use seawall_state::{BanScope, Step};

use crate::ProxyLimits;
use crate::connection::Connection;
use crate::connection::idle::IdleRank;
use crate::context::SharedContext;
use crate::shutdown::ShutdownSignal;

#[derive(Debug, Default)]
pub(crate) struct ConnectionTable(Mutex<TableInner>);

#[derive(Debug, Default)]
struct TableInner {
    /// Without gaps, so that each sample finds entries; each connection knows its index.
    conns: Vec<Arc<Connection>>,
    /// Where the last sample for an eviction ended.
    scan_cursor: usize,
}

/// For which client a connection is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EvictionPriority {
    /// For any client.
    Normal,
    /// For a known client, or a trusted proxy.
    High,
}

/// A connection's entry, removed when dropped.
#[derive(Debug)]
pub(crate) struct TableEntryGuard {
    registry: Arc<ConnectionTable>,
    conn: Arc<Connection>,
}

impl Drop for TableEntryGuard {
    fn drop(&mut self) {
        let mut live = self.registry.0.lock();
        let place = self.conn.place.load(Relaxed);
        if live.conns.get(place).is_some_and(|conn| Arc::ptr_eq(conn, &self.conn)) {
            live.conns.swap_remove(place);
        }
        if let Some(moved) = live.conns.get(place) {
            moved.place.store(place, Relaxed);
        }
    }
}

impl ConnectionTable {
    pub(crate) fn enter(self: &Arc<Self>, conn: Arc<Connection>) -> TableEntryGuard {
        let mut live = self.0.lock();
        conn.place.store(live.conns.len(), Relaxed);
        live.conns.push(Arc::clone(&conn));
        TableEntryGuard { registry: Arc::clone(self), conn }
    }

    /// Evicts the connection with the highest rank among the next sample; one of a site that
    /// `is_over` its fair share goes first. Returns `false` if none can be evicted.
    pub(crate) fn evict_one(
        &self,
        limits: &ProxyLimits,
        priority: EvictionPriority,
        is_over: impl Fn(&Connection) -> bool,
    ) -> bool {
        let mut live = self.0.lock();
        let places = live.conns.len();
        let looks = limits.eviction_sample_size.min(places);
        let next = || (0..looks).filter_map(|n| live.conns.get((live.scan_cursor + n) % places));
        let spared = next()
            .filter(|conn| !conn.is_aborted())
            .filter_map(|conn| Some(((is_over(conn), conn.idleness()?), conn)))
            .filter(|(of, _)| of.1.idle_ms >= min_idle_before_eviction(*of, priority, limits))
            .max_by_key(|(of, _)| *of);
        // A burst of new connections may have ended all of them before any has closed.
        let is_going =
            || priority == EvictionPriority::High && next().any(|conn| conn.is_aborted());
        let is_made = spared.map(|(_, conn)| conn.abort()).is_some() || is_going();
        live.scan_cursor = (live.scan_cursor + looks).checked_rem(places).unwrap_or_default();
        is_made
    }

    /// Ends connections that are idle for longer than their timeout. In the stage *critical* it
    /// also ends those that do not take their responses, the longest stall first, up to a maximum.
    /// Returns the number of each.
    pub(crate) fn shed(
        &self,
        step: Step,
        idle_ms: impl Fn(&Connection) -> u64,
        limits: &ProxyLimits,
    ) -> (u64, u64) {
        let live = self.0.lock();
        let open = || live.conns.iter().filter(|conn| !conn.is_aborted());
        let waits =
            |conn: &&Arc<Connection>| conn.idleness().is_some_and(|of| of.idle_ms >= idle_ms(conn));
        let idle = open().filter(waits).map(|conn| conn.abort()).count() as u64;
        if step < Step::Last {
            return (idle, 0);
        }
        let mut stalled: Vec<_> =
            open().filter_map(|conn| Some((conn.send_stalled_ms()?, conn))).collect();
        stalled.sort_unstable_by_key(|(ms, _)| std::cmp::Reverse(*ms));
        stalled.truncate(limits.eviction_sample_size);
        stalled.iter().for_each(|(_, conn)| conn.abort());
        (idle, stalled.len() as u64)
    }

    /// Ends the connections that `banned` selects, and returns their number.
    fn end(&self, banned: impl Fn(&Connection) -> bool) -> u64 {
        let live = self.0.lock();
        live.conns.iter().filter(|conn| banned(conn)).map(|conn| conn.abort()).count() as u64
    }

    /// Checks for banned connections after bans were set, until the data plane stops.
    pub(crate) async fn watch(self: Arc<Self>, edge: Arc<SharedContext>, mut stop: ShutdownSignal) {
        let pause = Duration::from_millis(edge.limits.ban_sweep_interval_ms);
        let mut seen = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.closing() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let live = edge.handle.load();
            let bans = live.state.bans();
            // Read before the bans: a ban that is set meanwhile is checked in the next round.
            let changes = bans.changes();
            if changes == seen {
                continue;
            }
            seen = changes;
            let now = (edge.now)();
            let ended =
                self.end(|conn| bans.covers(&conn.client, None, BanScope::Host, now).is_some());
            edge.counters.connections.closed.banned.fetch_add(ended, Relaxed);
        }
    }
}

/// Returns how long a connection is protected from eviction.
fn min_idle_before_eviction(
    (is_over, of): (bool, IdleRank),
    priority: EvictionPriority,
    limits: &ProxyLimits,
) -> u64 {
    match priority {
        EvictionPriority::High if of.no_request_yet => 0,
        _ if is_over || of.no_request_yet => limits.eviction_min_idle_new_ms,
        _ => limits.eviction_min_idle_kept_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::ConnectionPhase;
    use seawall_model::{Client, ClientPrefixes, Tick};

    fn conn(ip: &str) -> Arc<Connection> {
        let client = Client::of(ip.parse().unwrap(), &ClientPrefixes::default());
        Arc::new(Connection::new(client, 1, Tick::TEST_START))
    }

    #[tokio::test(start_paused = true)]
    async fn room_is_made_by_the_one_that_waits_longest_and_by_who_never_asked_before_others() {
        let limits = ProxyLimits {
            eviction_min_idle_new_ms: 0,
            eviction_min_idle_kept_ms: 5,
            ..ProxyLimits::default()
        };
        let registry = Arc::new(ConnectionTable::default());
        assert!(
            !registry.evict_one(&limits, EvictionPriority::Normal, |_| false),
            "nobody is there"
        );
        let [asked, busy, silent] = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(conn);
        let pause = || tokio::time::advance(Duration::from_millis(3));
        asked.mark_request_received();
        asked.mark_idle(tokio::time::Instant::now());
        busy.set_phase(ConnectionPhase::SendingResponse);
        pause().await;
        silent.mark_idle(tokio::time::Instant::now());
        pause().await;
        let young = conn("192.0.2.4");
        young.mark_idle(tokio::time::Instant::now());
        let all = [&asked, &busy, &silent, &young];
        let entries = all.map(|conn| registry.enter(Arc::clone(conn)));
        let ended = || all.map(|conn| conn.is_aborted());
        assert!(registry.evict_one(&limits, EvictionPriority::Normal, |_| false));
        assert_eq!(ended(), [false, false, true, false]);
        assert!(registry.evict_one(&limits, EvictionPriority::Normal, |_| false));
        assert_eq!(ended(), [false, false, true, true]);
        assert!(registry.evict_one(&limits, EvictionPriority::Normal, |_| false));
        assert_eq!(ended(), [true, false, true, true]);
        assert!(
            !registry.evict_one(&limits, EvictionPriority::Normal, |_| false),
            "the busy one stays"
        );
        drop(entries);
    }

    #[test]
    fn whoever_came_just_now_may_speak_first() {
        let limits = ProxyLimits { eviction_min_idle_new_ms: 60_000, ..ProxyLimits::default() };
        let registry = Arc::new(ConnectionTable::default());
        let asked = conn("192.0.2.1");
        asked.mark_request_received();
        let (silent, _entry) = (conn("192.0.2.2"), registry.enter(asked));
        let _other = registry.enter(Arc::clone(&silent));
        assert!(!registry.evict_one(&limits, EvictionPriority::Normal, |_| false));
        assert!(
            registry.evict_one(&limits, EvictionPriority::High, |_| false),
            "but not before a regular"
        );
        assert!(silent.is_aborted());
        assert!(registry.evict_one(&limits, EvictionPriority::High, |_| false), "it is going");
        assert!(!registry.evict_one(&limits, EvictionPriority::Normal, |_| false));
    }

    #[test]
    fn whoever_leaves_leaves_no_gap_and_the_others_are_found_where_they_are() {
        let registry = Arc::new(ConnectionTable::default());
        let mut entries: Vec<_> = (0..100).map(|_| registry.enter(conn("192.0.2.1"))).collect();
        // First, last and some between, in an order that removes moved entries again.
        for left in [0, 98, 50, 50, 1, 94, 0, 0, 60] {
            entries.swap_remove(left);
            let live = registry.0.lock();
            assert_eq!(live.conns.len(), entries.len());
            let places = live.conns.iter().map(|conn| conn.place.load(Relaxed));
            assert!(places.eq(0..entries.len()));
        }
        drop(entries);
        assert!(registry.0.lock().conns.is_empty());
    }

    #[test]
    fn each_place_is_looked_at_in_turn() {
        let limits = ProxyLimits {
            eviction_min_idle_new_ms: 0,
            eviction_sample_size: 4,
            ..ProxyLimits::default()
        };
        let registry = Arc::new(ConnectionTable::default());
        let conns: Vec<_> = (0..64).map(|_| conn("192.0.2.1")).collect();
        let entries: Vec<_> = conns.iter().map(|c| registry.enter(Arc::clone(c))).collect();
        for conn in &conns[1..] {
            conn.set_phase(ConnectionPhase::SendingResponse);
        }
        let found = (0..16)
            .filter(|_| registry.evict_one(&limits, EvictionPriority::Normal, |_| false))
            .count();
        assert_eq!((found, conns[0].is_aborted()), (1, true));
        drop(entries);
    }

    #[test]
    fn whoever_is_named_is_ended_once_and_whoever_left_is_not_there() {
        let registry = Arc::new(ConnectionTable::default());
        let (one, two) = (conn("192.0.2.1"), conn("192.0.2.2"));
        let _one = registry.enter(Arc::clone(&one));
        let entry = registry.enter(Arc::clone(&two));
        assert_eq!(registry.end(|conn| conn.client == one.client), 1);
        assert_eq!((one.is_aborted(), two.is_aborted()), (true, false));
        drop(entry);
        assert_eq!(registry.end(|_| true), 1);
        assert!(!two.is_aborted());
    }
}
