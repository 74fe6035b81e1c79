//! The flag that ends long operations when the process is to end.
//!
//! It is set once and never cleared. Setting it ends nothing by itself: an operation that reads
//! many files, compiles many parts or waits for a compiler checks it between two steps and stops.
//! Its result is then incomplete, so the publisher checks the flag once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag that is set when the process is to end. Copies are the same flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Sets it.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether it is set.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
