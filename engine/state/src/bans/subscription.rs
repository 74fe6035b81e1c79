//! Ban events for subscribers: the set of a kernel, an upstream proxy, other nodes.
//!
//! A slow subscriber loses events and never delays a ban. It can read the number of lost events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use seawall_model::Tick;

use crate::bans::target::{BanScope, BanTarget};

/// A ban that was added or removed. No event reports the end of a ban, because the end is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanEvent {
    /// The target.
    pub unit: BanTarget,
    /// The member on whose sites it applies; `None` for all sites.
    pub member: Option<Box<str>>,
    /// The end of the ban; `None` for a removed ban.
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

/// The receiver of one subscriber.
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

    /// Sends the event to every subscriber, and removes subscribers that no longer exist.
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
    /// Returns the next event, if there is one.
    #[must_use]
    pub fn next(&self) -> Option<BanEvent> {
        self.events.try_recv().ok()
    }

    /// Returns the number of events lost since the last call.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}
