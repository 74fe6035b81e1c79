//! The live connections of one worker, so that they can be ended.
//!
//! **By a ban.** A request of a banned client is refused when it comes; a download or an upgraded
//! connection that is under way has no next request. So, a moment after a ban was set, each worker
//! asks for each of its connections whether it is banned now. What that costs follows from the
//! connections and not from the bans, however many are set in a moment.
//!
//! **By a newcomer**, where all places are taken: thousands of connections that say nothing cost
//! their owner next to nothing and must not keep anybody out. So one that waits for a request makes
//! room: first those of sites with more than their share and those that never said for whom they
//! are, of these the ones that never asked, and then the one that waits longest. Not all are
//! looked through for that but the next so many, in turn: of 64, the most idle is with odds of 26
//! to 1 among the most idle twentieth of all (1 - 0.95^64), and what it costs is bounded. One that
//! came just now is left alone, so that it can speak; but for a client whom a site knows it goes.
//!
//! Where this does not protect you: from connections that are busy. A flood of requests has other
//! limits.

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
    /// Without gaps, so that each look meets somebody; each knows its place.
    conns: Vec<Arc<Connection>>,
    /// Where the last look for one that makes room ended.
    scan_cursor: usize,
}

/// For whom room is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EvictionPriority {
    /// Whoever comes.
    Normal,
    /// A client whom a site knows, or a trusted hop.
    High,
}

/// A connection's entry, taken out when dropped.
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

    /// Ends the connection that can best be spared of the next so many, one of a site that `is_over`
    /// its share before all others; `false` where none can.
    pub(crate) fn evict_one(
        &self,
        limits: &ProxyLimits,
        newcomer: EvictionPriority,
        is_over: impl Fn(&Connection) -> bool,
    ) -> bool {
        let mut live = self.0.lock();
        let places = live.conns.len();
        let looks = limits.eviction_sample_size.min(places);
        let next = || (0..looks).filter_map(|n| live.conns.get((live.scan_cursor + n) % places));
        let spared = next()
            .filter(|conn| !conn.is_aborted())
            .filter_map(|conn| Some(((is_over(conn), conn.idleness()?), conn)))
            .filter(|(of, _)| of.1.idle_ms >= min_idle_before_eviction(*of, newcomer, limits))
            .max_by_key(|(of, _)| *of);
        // A burst of newcomers may have ended all of them before any has gone.
        let is_going =
            || newcomer == EvictionPriority::High && next().any(|conn| conn.is_aborted());
        let is_made = spared.map(|(_, conn)| conn.abort()).is_some() || is_going();
        live.scan_cursor = (live.scan_cursor + looks).checked_rem(places).unwrap_or_default();
        is_made
    }

    /// Ends those that wait for a request for longer than they may and, where it is the last step,
    /// those that do not take their answers, the longest first and so many at most; says how many of
    /// each.
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

    /// Ends the connections of whom `banned` names, and says how many.
    fn end(&self, banned: impl Fn(&Connection) -> bool) -> u64 {
        let live = self.0.lock();
        live.conns.iter().filter(|conn| banned(conn)).map(|conn| conn.abort()).count() as u64
    }

    /// Looks for banned connections after bans were set, until the data plane stops.
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
            // Read before the bans are: one that is set meanwhile is looked at next time.
            let changes = bans.changes();
            if changes == seen {
                continue;
            }
            seen = changes;
            let now = (edge.now)();
            let ended =
                self.end(|conn| bans.covers(&conn.client, None, BanScope::Host, now).is_some());
            edge.counters.banned_closed.fetch_add(ended, Relaxed);
        }
    }
}

/// How long a connection is left alone.
fn min_idle_before_eviction(
    (is_over, of): (bool, IdleRank),
    newcomer: EvictionPriority,
    limits: &ProxyLimits,
) -> u64 {
    match newcomer {
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
        // First, last, and some between, in an order that moves those that were moved before.
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
