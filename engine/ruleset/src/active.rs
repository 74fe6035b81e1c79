//! The active generation: a rule set with its state.
//!
//! It is one pointer that is replaced atomically. A request loads it once and keeps it, so no
//! request sees parts of two generations. The old generation is freed when its last request ends.

use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_model::Generation;
use seawall_state::{DecisionCounters, State};

use crate::ruleset::RuleSet;

/// One generation.
#[derive(Debug, Clone)]
pub struct ActiveGeneration {
    /// Its number.
    pub generation: Generation,
    /// The rule set that evaluates requests.
    pub rules: Arc<RuleSet>,
    /// Its state. Counters that two generations share are the same tables in both.
    pub state: Arc<State>,
    /// The counts of its decisions.
    pub tally: Arc<DecisionCounters>,
}

/// The active generation: the data plane loads it, and the control plane replaces it.
#[derive(Debug)]
pub struct RuleSetHandle(ArcSwap<ActiveGeneration>);

impl RuleSetHandle {
    /// Creates a handle with a first generation.
    #[must_use]
    pub fn new(live: ActiveGeneration) -> Self {
        Self(ArcSwap::from_pointee(live))
    }

    /// Returns the active generation. A request keeps it until its end.
    #[must_use]
    pub fn load(&self) -> Arc<ActiveGeneration> {
        self.0.load_full()
    }

    /// Publishes the next generation.
    pub fn publish(&self, live: ActiveGeneration) {
        self.0.store(Arc::new(live));
    }
}
