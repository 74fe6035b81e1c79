//! Places for instances: a function has so many, and its owner has a share of them all.

use crate::SandboxLimits;
use crate::pools::Account;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The places of one function.
pub(crate) struct InstanceSlots {
    /// Instances alive, idle ones included.
    live: AtomicU32,
    live_max: u32,
    /// Where they are counted beside those of its owner's other functions.
    account: Arc<Account>,
}

/// One place, given back when it is dropped, however the call ends.
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

    /// A place for a new instance, if there is one.
    pub(crate) fn take(&self) -> Option<InstanceSlot<'_>> {
        let before = self.live.fetch_add(1, Relaxed);
        if before < self.live_max && self.account.take() {
            return Some(InstanceSlot(self));
        }
        self.live.fetch_sub(1, Relaxed);
        None
    }

    /// The place of an instance that was kept: its own was forgotten and not given back.
    pub(crate) const fn held(&self) -> InstanceSlot<'_> {
        InstanceSlot(self)
    }

    /// An instance is gone.
    pub(crate) fn give_back(&self) {
        self.live.fetch_sub(1, Relaxed);
        self.account.give_back(1);
    }

    #[cfg(test)]
    pub(crate) fn live(&self) -> u32 {
        self.live.load(Relaxed)
    }
}

/// Idle instances die with their function and leave no place taken.
impl Drop for InstanceSlots {
    fn drop(&mut self) {
        self.account.give_back(*self.live.get_mut());
    }
}
