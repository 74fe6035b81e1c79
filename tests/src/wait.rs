//! Waiting for what another process or thread brings about.
//!
//! The one place that reads a clock. The bound is far beyond what anything takes, so that a slow
//! machine makes a test slower and never red.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// After this a test has failed: whatever it waits for takes milliseconds.
pub const LONG: Duration = Duration::from_secs(40);
/// A server compiles whatever a test gives it in less, however busy the machine is: that takes many
/// seconds of a processor, behind all else that runs.
pub const COMPILED: Duration = Duration::from_secs(240);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(5);

/// Measures how long something took.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a test is an edge: its bounds need a clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Tells threads to stop, when dropped: a test that fails must not wait for them for ever.
#[derive(Debug)]
pub struct StopAtEnd<'f>(pub &'f AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Looks until there is something to give back.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_within(LONG, what, look)
}

/// The same for what takes longer than [`LONG`] on a machine with much else to do.
#[track_caller]
pub fn wait_for_within<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(watch.elapsed() < within, "it never came: {what}");
        std::thread::park_timeout(AGAIN);
    }
}

/// Looks until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// The same for what takes longer than [`LONG`] on a machine with much else to do.
#[track_caller]
pub fn wait_until_within(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for_within(within, what, || is_so().then_some(()));
}
