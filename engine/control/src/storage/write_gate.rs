//! Whether the state of this process may still be changed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Controls changes of the state. While it is [frozen](Self::freeze), no manual change is made, no
/// generation is published and no snapshot is written. Once the state is transferred to a child
/// process, that holds for good.
///
/// Changes do not exclude each other, only a transfer: a ban is set while a reload builds and while
/// a snapshot is written. A change may also begin while a freeze waits, since changes are short; so
/// the freeze has a timeout.
#[derive(Debug, Default)]
pub(crate) struct WriteGate {
    now: Mutex<Standing>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Standing {
    /// Number of current changes.
    inside: usize,
    frozen: bool,
    gone: bool,
}

/// Why no change is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    /// The state was transferred.
    #[error("another process serves now: repeat the request")]
    Gone,
    /// The state is frozen for longer than the caller waited.
    #[error("an upgrade is in progress: repeat the request")]
    Frozen,
}

/// Why the state was not frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfrozen {
    /// The state was transferred.
    Gone,
    /// A change or another freeze lasts for longer than the caller waited.
    Busy,
}

/// A change in progress; until it is dropped the state cannot be transferred.
#[derive(Debug)]
pub(crate) struct Changing<'s>(&'s WriteGate);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.inside = now.inside.saturating_sub(1);
        drop(now);
        self.0.changed.notify_all();
    }
}

/// The frozen state; dropping it permits changes again.
#[derive(Debug)]
pub(crate) struct Rest<'s>(&'s WriteGate);

impl Rest<'_> {
    /// Prevents changes for good.
    pub(crate) fn give_away(self) {
        self.0.lock().gone = true;
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.lock().frozen = false;
        self.0.changed.notify_all();
    }
}

impl WriteGate {
    /// Waits until nothing is frozen, which takes seconds at most.
    ///
    /// # Errors
    /// The state was transferred.
    pub(crate) fn enter(&self) -> Result<Changing<'_>, Closed> {
        let frozen = |now: &mut Standing| now.frozen && !now.gone;
        let waited = self.changed.wait_while(self.lock(), frozen);
        self.admit(waited.unwrap_or_else(PoisonError::into_inner))
    }

    /// Does the same, for at most `ms`.
    ///
    /// # Errors
    /// It is frozen for longer, or the state was transferred.
    pub(crate) fn enter_within(&self, ms: u64) -> Result<Changing<'_>, Closed> {
        let frozen = |now: &mut Standing| now.frozen && !now.gone;
        let waited =
            self.changed.wait_timeout_while(self.lock(), Duration::from_millis(ms), frozen);
        self.admit(waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn admit(&self, mut now: MutexGuard<'_, Standing>) -> Result<Changing<'_>, Closed> {
        if now.gone {
            return Err(Closed::Gone);
        }
        if now.frozen {
            return Err(Closed::Frozen);
        }
        now.inside = now.inside.saturating_add(1);
        Ok(Changing(self))
    }

    /// Returns whether the state was transferred.
    pub(crate) fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// Waits until no change is in progress, for at most `ms`, and prevents new ones.
    pub(crate) fn freeze(&self, ms: u64) -> Result<Rest<'_>, Unfrozen> {
        let busy = |now: &mut Standing| (now.inside > 0 || now.frozen) && !now.gone;
        let waited = self.changed.wait_timeout_while(self.lock(), Duration::from_millis(ms), busy);
        let mut now = waited.unwrap_or_else(PoisonError::into_inner).0;
        if now.gone {
            return Err(Unfrozen::Gone);
        }
        if now.inside > 0 || now.frozen {
            return Err(Unfrozen::Busy);
        }
        now.frozen = true;
        Ok(Rest(self))
    }

    /// Marks the state as transferred at once.
    #[cfg(test)]
    pub(crate) fn give_away(&self) {
        self.lock().gone = true;
        self.changed.notify_all();
    }

    /// Its content is valid at every moment, so a panic elsewhere changes nothing.
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_changed_while_it_is_still_nor_after_it_is_gone() {
        let still = Arc::new(WriteGate::default());
        let rest = still.freeze(0).unwrap();
        assert_eq!(still.enter_within(1).unwrap_err(), Closed::Frozen);
        assert!(matches!(still.freeze(1), Err(Unfrozen::Busy)), "two do not hand over at once");
        let changing = thread::spawn({
            let still = still.clone();
            move || still.enter().is_ok()
        });
        assert!(!changing.is_finished());
        drop(rest);
        assert!(changing.join().unwrap(), "after an attempt that failed all goes on");
        let rest = still.freeze(0).unwrap();
        let waiting = thread::spawn({
            let still = still.clone();
            move || still.enter().map(drop)
        });
        still.lock().gone = true;
        drop(rest);
        assert_eq!(waiting.join().unwrap(), Err(Closed::Gone));
        assert_eq!(still.enter_within(0).unwrap_err(), Closed::Gone);
        assert!(matches!(still.freeze(0), Err(Unfrozen::Gone)));
    }

    #[test]
    fn those_who_change_something_wait_for_nobody_and_a_hand_over_waits_for_them() {
        let still = WriteGate::default();
        let (first, second) = (still.enter_within(0).unwrap(), still.enter_within(0).unwrap());
        assert!(matches!(still.freeze(0), Err(Unfrozen::Busy)));
        drop(first);
        assert!(matches!(still.freeze(0), Err(Unfrozen::Busy)));
        let third = still.enter_within(0).unwrap();
        drop((second, third));
        assert!(still.freeze(0).is_ok());
        assert!(still.enter_within(0).is_ok(), "dropped, all goes on");
    }
}
