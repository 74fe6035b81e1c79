//! How many requests of one HTTP/2 connection are at their origins at once.
//!
//! A client may open a hundred streams and read none of the answers, and each answer that nobody
//! reads costs us a quarter of a megabyte. So a connection begins with a few turns and gets one more
//! with each answer that was taken whole, as TCP begins slowly: a browser has dozens after its first
//! page, and who takes nothing never gets past the first. The others wait; that is no error, their
//! client told us to.
//!
//! Long polls and event streams keep their turns for minutes. A request that has waited for a second
//! gets one more where all who have a turn wait for their origins: nobody's answer is unread then.
//!
//! Where this does not protect you: a client that took answers before and then stops. The limits on
//! its requests under way are for that, and the write stall ends it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::connection::Connection;

/// The turns of one connection; none until it is opened.
#[derive(Debug)]
pub(crate) struct ForwardWindow {
    free: Semaphore,
    all: AtomicU32,
    /// Those of who has a turn and waits for its origin now.
    waiting: AtomicU32,
    /// Answers that were given up since the last that was taken whole.
    stalled: AtomicU32,
}

impl ForwardWindow {
    pub(crate) const fn new() -> Self {
        Self {
            free: Semaphore::const_new(0),
            all: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            stalled: AtomicU32::new(0),
        }
    }

    /// Notes whether one that has a turn waits for its origin.
    pub(crate) fn note_waiting(&self, is_waiting: bool) {
        match is_waiting {
            true => self.waiting.fetch_add(1, Relaxed),
            false => self.waiting.fetch_sub(1, Relaxed),
        };
    }

    /// One more, up to `most`, where all who have a turn wait for their origins.
    fn widen(&self, most: u32) {
        let free = u32::try_from(self.free.available_permits()).unwrap_or(u32::MAX);
        let taken = self.all.load(Relaxed).saturating_sub(free);
        if self.waiting.load(Relaxed) >= taken {
            self.one_more(most);
        }
    }

    fn one_more(&self, most: u32) {
        let more = |all: u32| (all < most).then(|| all.saturating_add(1));
        if self.all.fetch_update(Relaxed, Relaxed, more).is_ok() {
            self.free.add_permits(1);
        }
    }

    /// Begins with so many.
    pub(crate) fn open(&self, first: u32) {
        self.all.store(first, Relaxed);
        self.free.add_permits(first as usize);
    }

    /// One more from now on, up to `most`.
    fn earn(&self, most: u32) {
        self.stalled.store(0, Relaxed);
        self.one_more(most);
    }
}

/// A request's turn, given back when dropped.
#[derive(Debug)]
pub(crate) struct ForwardSlot(Arc<Connection>);

/// How long a request waits before it is looked whether there can be one turn more.
const LOOK_MS: u64 = 1_000;

/// Waits for a turn, in the order of asking; there can be `most`.
pub(crate) async fn acquire(conn: &Arc<Connection>, most: u32) -> ForwardSlot {
    if let Ok(permit) = conn.turns.free.try_acquire() {
        // For most there is one at once, and no clock is asked for.
        permit.forget();
        return ForwardSlot(Arc::clone(conn));
    }
    let mut acquired = pin!(conn.turns.free.acquire());
    loop {
        match tokio::time::timeout(Duration::from_millis(LOOK_MS), acquired.as_mut()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                return ForwardSlot(Arc::clone(conn));
            }
            // Only one that was closed fails, and none is.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => conn.turns.widen(most),
        }
    }
}

impl ForwardSlot {
    pub(crate) fn conn(&self) -> &Arc<Connection> {
        &self.0
    }

    /// The answer was taken whole.
    pub(crate) fn earn(&self, most: u32) {
        self.0.turns.earn(most);
    }

    /// Nobody took the answer. One is a film that was paused; `most` without one that was taken in
    /// between are a client that reads nothing, and end its connection.
    pub(crate) fn is_stalled(&self, most: u32) -> bool {
        let ends = self.0.turns.stalled.fetch_add(1, Relaxed).saturating_add(1) >= most;
        if ends {
            self.0.abort();
        }
        ends
    }
}

impl Drop for ForwardSlot {
    fn drop(&mut self) {
        self.0.turns.free.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::{Client, ClientPrefixes, Tick};

    fn conn(first: u32) -> Arc<Connection> {
        let client = Client::of("192.0.2.1".parse().unwrap(), &ClientPrefixes::default());
        let conn = Arc::new(Connection::new(client, 1, Tick::TEST_START));
        conn.turns.open(first);
        conn
    }

    async fn at_once(conn: &Arc<Connection>) -> Option<ForwardSlot> {
        tokio::time::timeout(Duration::from_millis(1), acquire(conn, 24)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_never_gets_past_the_first() {
        let conn = conn(2);
        let (one, two) = (at_once(&conn).await.unwrap(), at_once(&conn).await);
        assert!(two.is_some() && at_once(&conn).await.is_none());
        drop(one);
        assert!(at_once(&conn).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_takes_nothing_at_all_is_ended() {
        let conn = conn(1);
        for _ in 0..10 {
            assert!(!at_once(&conn).await.unwrap().is_stalled(2));
            at_once(&conn).await.unwrap().earn(1);
        }
        assert!(!at_once(&conn).await.unwrap().is_stalled(2) && !conn.is_aborted());
        assert!(at_once(&conn).await.unwrap().is_stalled(2) && conn.is_aborted());
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_that_is_taken_is_a_turn_more_up_to_the_most() {
        let conn = conn(1);
        for _ in 0..10 {
            at_once(&conn).await.unwrap().earn(3);
        }
        let mut held = Vec::new();
        while let Some(turn) = at_once(&conn).await {
            held.push(turn);
        }
        assert_eq!(held.len(), 3);
    }
}
