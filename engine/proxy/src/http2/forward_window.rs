//! Limits how many requests of one HTTP/2 connection are at their origins at once.
//!
//! A client may open a hundred streams and read no response, and each unread response costs a
//! quarter of a megabyte. So a connection begins with a few slots and gets one more with each
//! response that was read whole, like TCP slow start. A browser has dozens after its first page; a
//! client that reads nothing keeps the first few. Other requests wait. That is no error: the client
//! announced its windows itself.
//!
//! Long polls and event streams keep their slots for minutes. So a request that has waited for a
//! second gets one more slot if all slots are held by requests that wait for their origins: then no
//! response is unread.
//!
//! Limitation: a client that read responses before and then stops. The limits on its concurrent
//! requests and the write timeout end that.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::connection::Connection;

/// The slots of one connection; none until it is opened.
#[derive(Debug)]
pub(crate) struct ForwardWindow {
    free: Semaphore,
    all: AtomicU32,
    /// Requests that hold a slot and wait for their origin now.
    waiting: AtomicU32,
    /// Responses that were given up since the last that was read whole.
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

    /// Records whether a request with a slot waits for its origin.
    pub(crate) fn note_waiting(&self, is_waiting: bool) {
        match is_waiting {
            true => self.waiting.fetch_add(1, Relaxed),
            false => self.waiting.fetch_sub(1, Relaxed),
        };
    }

    /// Adds a slot, up to `most`, if all requests with a slot wait for their origins.
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

    /// Begins with so many slots.
    pub(crate) fn open(&self, first: u32) {
        self.all.store(first, Relaxed);
        self.free.add_permits(first as usize);
    }

    /// Adds a slot, up to `most`, after a response was read whole.
    fn earn(&self, most: u32) {
        self.stalled.store(0, Relaxed);
        self.one_more(most);
    }
}

/// A request's slot, released when dropped.
#[derive(Debug)]
pub(crate) struct ForwardSlot(Arc<Connection>);

/// Milliseconds that a request waits before it is checked whether a slot can be added.
const LOOK_MS: u64 = 1_000;

/// Waits for a slot, in order of arrival; there are at most `most`.
pub(crate) async fn acquire(conn: &Arc<Connection>, most: u32) -> ForwardSlot {
    if let Ok(permit) = conn.turns.free.try_acquire() {
        // Most requests get one at once and need no timer.
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
            // Only a closed semaphore fails, and none is closed.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => conn.turns.widen(most),
        }
    }
}

impl ForwardSlot {
    /// Records that the response was read whole.
    pub(crate) fn earn(&self, most: u32) {
        self.0.turns.earn(most);
    }

    /// Records that the client did not read the response. One is a paused download; `most` in a row
    /// are a client that reads nothing, and reset its connection. Returns whether that is so.
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
