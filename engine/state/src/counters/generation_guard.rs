//! Which generation may reshape what generations share.
//!
//! Requests in flight keep the generation they began with, so for a moment two windows may be
//! asked of one counter. Were each to convert the slot to its own, history would be worn down at
//! every turn. So only the newest generation that has asked converts a slot; an older one is
//! judged on a converted copy and adds what it admits to the slot as that stands.
//!
//! The first request of a generation moves the mark, and not its making: a generation that is made
//! for a dry run and thrown away changes nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often a [`State`](crate::State) was carried on since the first.
pub(crate) type Epoch = u64;

/// The mark of the newest generation that has asked.
#[derive(Debug, Default)]
pub(crate) struct GenerationGuard(AtomicU64);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallerAge {
    /// The newest generation.
    Newest,
    /// A request in flight that began under an older one.
    Older,
}

impl GenerationGuard {
    /// Whether `epoch` is the newest, noting it.
    pub(crate) fn caller(&self, epoch: Epoch) -> CallerAge {
        // A plain load first: in the long run the mark does not move and its line stays shared.
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

/// The window that a caller has in mind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestedWindow {
    /// Its length.
    pub(crate) window_ms: u64,
    /// Who asks.
    pub(crate) by: CallerAge,
}

impl RequestedWindow {
    /// The window that a slot which now has `window_ms` is to have.
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
