//! The gauge of open connections.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::context::SharedContext;
use crate::metrics::count;

/// Counts a connection as open while it lives.
#[derive(Debug)]
pub(crate) struct OpenConnectionGuard(Arc<SharedContext>);

impl OpenConnectionGuard {
    pub(crate) fn new(edge: &Arc<SharedContext>) -> Self {
        count(&edge.counters.connections.active);
        Self(Arc::clone(edge))
    }
}

impl Drop for OpenConnectionGuard {
    fn drop(&mut self) {
        self.0.counters.connections.active.fetch_sub(1, Relaxed);
    }
}
