//! What is in force now: a ruleset with the state it judges on.
//!
//! One pointer, swapped in one step. A request loads it once and keeps what it loaded, so no
//! request sees parts of two generations, and the old one is freed when its last request ends.

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
    /// What judges.
    pub rules: Arc<RuleSet>,
    /// What it judges on. Counters that two generations share are the same tables in both.
    pub state: Arc<State>,
    /// What it has decided.
    pub tally: Arc<DecisionCounters>,
}

/// The place where the data plane finds the current generation and the control plane puts the next.
#[derive(Debug)]
pub struct RuleSetHandle(ArcSwap<ActiveGeneration>);

impl RuleSetHandle {
    /// With a first generation.
    #[must_use]
    pub fn new(live: ActiveGeneration) -> Self {
        Self(ArcSwap::from_pointee(live))
    }

    /// The current generation, to be kept for a whole request.
    #[must_use]
    pub fn load(&self) -> Arc<ActiveGeneration> {
        self.0.load_full()
    }

    /// Puts the next generation in force.
    pub fn publish(&self, live: ActiveGeneration) {
        self.0.store(Arc::new(live));
    }
}
