//! Determines which generation can convert shared counters.
//!
//! A request in flight keeps its generation, so for a moment two windows can be requested for one
//! counter. If each converted the slot to its own window, the history would be lost step by step.
//! Only the newest generation with a request therefore converts a slot. An older generation
//! evaluates a converted copy and adds the admitted amount to the slot.
//!
//! The mark moves with the first request of a generation, not with its creation. A generation that
//! is only tested and discarded changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Number of times that a [`State`](crate::State) was carried over.
pub(crate) type Epoch = u64;

/// The newest generation with a request.
#[derive(Debug, Default)]
pub(crate) struct GenerationGuard(AtomicU64);

/// The age of the calling generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerAge {
    /// The newest generation.
    Newest,
    /// An older generation, of a request in flight.
    Older,
}

impl GenerationGuard {
    /// Compares `epoch` with the newest one and updates the mark.
    pub(crate) fn caller(&self, epoch: Epoch) -> CallerAge {
        // A plain load first: the mark rarely moves, and its cache line stays shared.
        let newest = self.0.load(Ordering::Relaxed);
        if epoch == newest {
            return CallerAge::Newest;
        }
        if epoch > newest && self.0.fetch_max(epoch, Ordering::Relaxed) <= epoch {
            return CallerAge::Newest;
        }
        CallerAge::Older
    }
}

/// The window that a caller requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestedWindow {
    /// Its length.
    pub(crate) window_ms: u64,
    /// The age of the caller.
    pub(crate) by: CallerAge,
}

impl RequestedWindow {
    /// Returns the new window of a slot that has `window_ms` now.
    pub(crate) const fn for_slot(self, window_ms: u64) -> u64 {
        match self.by {
            CallerAge::Newest => self.window_ms,
            CallerAge::Older => window_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_moves_with_the_first_question_and_never_back() {
        let newest = GenerationGuard::default();
        assert_eq!(newest.caller(0), CallerAge::Newest);
        assert_eq!(newest.caller(2), CallerAge::Newest);
        assert_eq!(newest.caller(1), CallerAge::Older);
        assert_eq!(newest.caller(2), CallerAge::Newest);
    }
}
