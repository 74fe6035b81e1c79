//! The gauge of open connections.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::context::Edge;
use crate::metrics::count;

/// Counts a connection as open while it lives.
#[derive(Debug)]
pub(crate) struct Open(Arc<Edge>);

impl Open {
    pub(crate) fn new(edge: &Arc<Edge>) -> Self {
        count(&edge.counters.open);
        Self(Arc::clone(edge))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counters.open.fetch_sub(1, Relaxed);
    }
}
