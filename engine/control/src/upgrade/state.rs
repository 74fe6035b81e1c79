//! The state that a child process takes over.

use std::sync::{Arc, PoisonError};

use seawall_admin_api::UpgradeOutcome;
use seawall_model::Now;
use seawall_ruleset::RuleSetHandle;

use super::{HAND_OVER_REST_MS, HAND_OVER_SHUT_MS, LastUpgrade, UpgradeError};
use crate::snapshot::encode;
use crate::storage::background_writer::FlushHandle;
use crate::storage::write_gate::{Rest, WriteGate};

/// The state that a child process takes over.
#[derive(Clone)]
pub struct TransferableState {
    pub(crate) still: Arc<WriteGate>,
    pub(crate) handle: Arc<RuleSetHandle>,
    pub(crate) now: Now,
    pub(crate) settle: FlushHandle,
    pub(crate) last: Arc<LastUpgrade>,
}

impl std::fmt::Debug for TransferableState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransferableState").field("still", &self.still).finish_non_exhaustive()
    }
}

/// The same, frozen. Dropping it permits changes again.
#[derive(Debug)]
pub struct FrozenState<'e> {
    transfer: &'e TransferableState,
    rest: Rest<'e>,
}

impl TransferableState {
    pub(crate) fn new(handle: Arc<RuleSetHandle>, now: Now, settle: FlushHandle) -> Self {
        Self { still: Arc::default(), handle, now, settle, last: Arc::default() }
    }

    /// Records the result of an upgrade, for the status.
    pub fn note(&self, upgraded: &UpgradeOutcome) {
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded.clone());
    }

    /// Waits for changes and writes in progress, and prevents new ones. A current reload is not
    /// waited for: it publishes nothing from here on, and the child reads the same files.
    ///
    /// # Errors
    /// A write lasts for longer than [`HAND_OVER_REST_MS`], or the state was transferred before.
    pub fn freeze(&self) -> Result<FrozenState<'_>, UpgradeError> {
        // The child reads the history from the disk. Most of that wait is over before changes have
        // to wait too.
        self.settle.wait(HAND_OVER_REST_MS);
        let rest = self.still.freeze(HAND_OVER_REST_MS)?;
        self.settle.wait(HAND_OVER_SHUT_MS);
        Ok(FrozenState { transfer: self, rest })
    }
}

impl FrozenState<'_> {
    /// Returns the state at this moment.
    ///
    /// # Errors
    /// It exceeds the maximum of a snapshot.
    pub fn state(&self) -> Result<Vec<u8>, UpgradeError> {
        let live = self.transfer.handle.load();
        encode::content_of(&live.state, (self.transfer.now)()).map_err(UpgradeError::State)
    }

    /// Marks the state as transferred: the child serves, and this process writes nothing from now
    /// on.
    pub fn give_away(self) {
        self.rest.give_away();
    }
}
