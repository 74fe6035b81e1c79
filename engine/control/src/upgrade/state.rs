//! What a successor inherits.

use std::sync::{Arc, PoisonError};

use seawall_model::Now;
use seawall_ruleset::Handle;

use super::{HAND_OVER_REST_MS, HAND_OVER_SHUT_MS, HandOverError, LastUpgrade};
use crate::admin::api::Upgraded;
use crate::snapshot::encode;
use crate::storage::background_writer::Settle;
use crate::storage::write_gate::{Rest, Still};

/// What a successor inherits.
#[derive(Clone)]
pub struct Estate {
    pub(crate) still: Arc<Still>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) now: Now,
    pub(crate) settle: Settle,
    pub(crate) last: Arc<LastUpgrade>,
}

impl std::fmt::Debug for Estate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Estate").field("still", &self.still).finish_non_exhaustive()
    }
}

/// What a successor inherits, at rest. Dropped, all goes on as before.
#[derive(Debug)]
pub struct Frozen<'e> {
    estate: &'e Estate,
    rest: Rest<'e>,
}

impl Estate {
    pub(crate) fn new(handle: Arc<Handle>, now: Now, settle: Settle) -> Self {
        Self { still: Arc::default(), handle, now, settle, last: Arc::default() }
    }

    /// Notes what came of an attempt, for the status.
    pub fn note(&self, upgraded: &Upgraded) {
        *self.last.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgraded.clone());
    }

    /// Waits for what is being changed or written, and lets nothing begin. A reload that is under way
    /// is not waited for: it publishes nothing from here on, and the successor reads what it read.
    ///
    /// # Errors
    /// Something is being written for longer than [`HAND_OVER_REST_MS`], or all was given away before.
    pub fn freeze(&self) -> Result<Frozen<'_>, HandOverError> {
        // The successor reads the history from the disk. Most of that wait is over before anybody who
        // wants to change something is made to wait too.
        self.settle.wait(HAND_OVER_REST_MS);
        let rest = self.still.freeze(HAND_OVER_REST_MS)?;
        self.settle.wait(HAND_OVER_SHUT_MS);
        Ok(Frozen { estate: self, rest })
    }
}

impl Frozen<'_> {
    /// What is remembered at this moment.
    ///
    /// # Errors
    /// It is more than a snapshot may hold.
    pub fn state(&self) -> Result<Vec<u8>, HandOverError> {
        let live = self.estate.handle.load();
        encode::content_of(&live.state, (self.estate.now)()).map_err(HandOverError::State)
    }

    /// The successor serves: nothing that is remembered here is written from now on.
    pub fn give_away(self) {
        self.rest.give_away();
    }
}
