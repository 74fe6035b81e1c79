//! The number of live objects in a sandbox, counted at creation and drop. After many reloads it
//! must be that of one generation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::budget::Epochs;

/// The number of live objects of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveCounts {
    /// Compiled components.
    pub components: u64,
    /// Bound functions.
    pub functions: u64,
    /// Instances, including idle ones.
    pub instances: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct LiveGauges {
    pub(crate) components: Gauge,
    pub(crate) functions: Gauge,
    pub(crate) instances: Gauge,
    pub(crate) epochs: Epochs,
}

impl LiveGauges {
    pub(crate) fn read(&self) -> LiveCounts {
        LiveCounts {
            components: self.components.0.load(Relaxed),
            functions: self.functions.0.load(Relaxed),
            instances: self.instances.0.load(Relaxed),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Counts one more until the guard is dropped.
    pub(crate) fn one(&self) -> GaugeGuard {
        self.0.fetch_add(1, Relaxed);
        GaugeGuard(self.clone())
    }
}

/// Counts one live object.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
