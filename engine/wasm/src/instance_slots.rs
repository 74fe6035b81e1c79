//! Slots for instances: a function has a maximum, and its owner has a share of all.

use crate::SandboxLimits;
use crate::pools::Account;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The slots of one function.
pub(crate) struct InstanceSlots {
    /// Number of instances, including idle ones.
    live: AtomicU32,
    live_max: u32,
    /// The account that counts them with those of its owner's other functions.
    account: Arc<Account>,
}

/// One slot, released on drop, however the call ends.
pub(crate) struct InstanceSlot<'f>(&'f InstanceSlots);

impl Drop for InstanceSlot<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl InstanceSlots {
    pub(crate) const fn new(max: &SandboxLimits, account: Arc<Account>) -> Self {
        Self { live: AtomicU32::new(0), live_max: max.instances_per_function_max, account }
    }

    /// Takes a slot for a new instance, if one is free.
    pub(crate) fn take(&self) -> Option<InstanceSlot<'_>> {
        let before = self.live.fetch_add(1, Relaxed);
        if before < self.live_max && self.account.take() {
            return Some(InstanceSlot(self));
        }
        self.live.fetch_sub(1, Relaxed);
        None
    }

    /// Returns the slot of a kept instance, which was not released.
    pub(crate) const fn held(&self) -> InstanceSlot<'_> {
        InstanceSlot(self)
    }

    /// Releases the slot of an instance.
    pub(crate) fn give_back(&self) {
        self.live.fetch_sub(1, Relaxed);
        self.account.give_back(1);
    }

    #[cfg(test)]
    pub(crate) fn live(&self) -> u32 {
        self.live.load(Relaxed)
    }
}

/// Idle instances end with their function and release their slots.
impl Drop for InstanceSlots {
    fn drop(&mut self) {
        self.account.give_back(*self.live.get_mut());
    }
}
