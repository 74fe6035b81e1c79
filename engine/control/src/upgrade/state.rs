//! What a successor inherits.

use std::sync::{Arc, PoisonError};

use seawall_admin_api::UpgradeOutcome;
use seawall_model::Now;
use seawall_ruleset::RuleSetHandle;

use super::{HAND_OVER_REST_MS, HAND_OVER_SHUT_MS, LastUpgrade, UpgradeError};
use crate::snapshot::encode;
use crate::storage::background_writer::FlushHandle;
use crate::storage::write_gate::{Rest, WriteGate};

/// What a successor inherits.
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

/// What a successor inherits, at rest. Dropped, all goes on as before.
#[derive(Debug)]
pub struct FrozenState<'e> {
    transfer: &'e TransferableState,
    rest: Rest<'e>,
}

impl TransferableState {
    pub(crate) fn new(handle: Arc<RuleSetHandle>, now: Now, settle: FlushHandle) -> Self {
        Self { still: Arc::default(), handle, now, settle, last: Arc::default() }
    }

    /// Notes what came of an attempt, for the status.
    pub fn note(&self, upgraded: &UpgradeOutcome) {
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded.clone());
    }

    /// Waits for what is being changed or written, and lets nothing begin. A reload that is under way
    /// is not waited for: it publishes nothing from here on, and the successor reads what it read.
    ///
    /// # Errors
    /// Something is being written for longer than [`HAND_OVER_REST_MS`], or all was given away before.
    pub fn freeze(&self) -> Result<FrozenState<'_>, UpgradeError> {
        // The successor reads the history from the disk. Most of that wait is over before anybody who
        // wants to change something is made to wait too.
        self.settle.wait(HAND_OVER_REST_MS);
        let rest = self.still.freeze(HAND_OVER_REST_MS)?;
        self.settle.wait(HAND_OVER_SHUT_MS);
        Ok(FrozenState { transfer: self, rest })
    }
}

impl FrozenState<'_> {
    /// What is remembered at this moment.
    ///
    /// # Errors
    /// It is more than a snapshot may hold.
    pub fn state(&self) -> Result<Vec<u8>, UpgradeError> {
        let live = self.transfer.handle.load();
        encode::content_of(&live.state, (self.transfer.now)()).map_err(UpgradeError::State)
    }

    /// The successor serves: nothing that is remembered here is written from now on.
    pub fn give_away(self) {
        self.rest.give_away();
    }
}
