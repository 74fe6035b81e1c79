//! Bans handed on to whoever follows them: a kernel's set, an upstream, other nodes.
//!
//! A follower that is slow loses events and never holds up a ban. It sees how many it lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use seawall_model::Tick;

use crate::bans::target::{BanScope, BanTarget};

/// A ban that was set or lifted. Those that end by time end silently: their end was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanEvent {
    /// What is banned.
    pub unit: BanTarget,
    /// The member on whose sites it holds; everywhere if `None`.
    pub member: Option<Box<str>>,
    /// When it ends; `None` where it was lifted.
    pub until: Option<Tick>,
}

impl BanEvent {
    pub(crate) fn set(unit: BanTarget, scope: BanScope<'_>, until: Tick) -> Self {
        Self { until: Some(until), ..Self::lifted(unit, scope) }
    }

    pub(crate) fn lifted(unit: BanTarget, scope: BanScope<'_>) -> Self {
        let member = match scope {
            BanScope::Host => None,
            BanScope::Member(name) => Some(name.into()),
        };
        Self { unit, member, until: None }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Vec<Subscriber>>);

#[derive(Debug)]
struct Subscriber {
    events: SyncSender<BanEvent>,
    lost: Arc<AtomicU64>,
}

/// One follower's end.
#[derive(Debug)]
pub struct BanSubscription {
    events: Receiver<BanEvent>,
    lost: Arc<AtomicU64>,
}

impl Subscribers {
    pub(crate) fn add(&self, room: usize) -> BanSubscription {
        let (sender, events) = sync_channel(room);
        let lost = Arc::new(AtomicU64::new(0));
        self.0.lock().push(Subscriber { events: sender, lost: Arc::clone(&lost) });
        BanSubscription { events, lost }
    }

    /// Hands it to every follower; one that is gone is forgotten.
    pub(crate) fn tell(&self, event: impl Fn() -> BanEvent) {
        self.0.lock().retain(|follower| match follower.events.try_send(event()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                follower.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }
}

impl BanSubscription {
    /// The next event, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<BanEvent> {
        self.events.try_recv().ok()
    }

    /// How many events found no room since this was asked last.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}
