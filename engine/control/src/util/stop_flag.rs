//! The sign that the process is to end, for whoever works long.
//!
//! It is raised once and never lowered. Raising it ends nothing by itself: who reads many files,
//! compiles many parts or waits for a compiler looks at it between two steps and gives up. What was
//! made until then is not all, so whoever publishes looks at it once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is raised where the process is to end. Copies are the same flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Raises it.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
