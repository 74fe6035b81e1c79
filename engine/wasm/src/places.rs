//! Places for instances: a function has so many, and all large components together so many.

use crate::SandboxLimits;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The places of one function.
pub(crate) struct Places {
    /// Instances alive, idle ones included.
    live: AtomicU32,
    live_max: u32,
    /// Instances alive of all large components, if this is one's function.
    shared: Option<Arc<AtomicU32>>,
    shared_max: u32,
}

/// One place, given back when it is dropped, however the call ends.
pub(crate) struct Place<'f>(&'f Places);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Places {
    pub(crate) const fn new(max: &SandboxLimits, shared: Option<Arc<AtomicU32>>) -> Self {
        Self {
            live: AtomicU32::new(0),
            live_max: max.instances_per_function_max,
            shared,
            shared_max: max.large_instances_max,
        }
    }

    /// A place for a new instance, if there is one.
    pub(crate) fn take(&self) -> Option<Place<'_>> {
        let before = self.live.fetch_add(1, Relaxed);
        let shared = self.shared.as_ref().map_or(0, |all| all.fetch_add(1, Relaxed));
        let place = Place(self);
        (before < self.live_max && (self.shared.is_none() || shared < self.shared_max))
            .then_some(place)
    }

    /// The place of an instance that was kept: its own was forgotten and not given back.
    pub(crate) const fn held(&self) -> Place<'_> {
        Place(self)
    }

    /// An instance is gone.
    pub(crate) fn give_back(&self) {
        self.live.fetch_sub(1, Relaxed);
        if let Some(all) = &self.shared {
            all.fetch_sub(1, Relaxed);
        }
    }

    #[cfg(test)]
    pub(crate) fn live(&self) -> u32 {
        self.live.load(Relaxed)
    }
}

/// Idle instances die with their function and leave no place taken.
impl Drop for Places {
    fn drop(&mut self) {
        if let Some(all) = &self.shared {
            all.fetch_sub(*self.live.get_mut(), Relaxed);
        }
    }
}
