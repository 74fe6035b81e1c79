//! Waiting for an event of another process or thread.
//!
//! Only this module reads a clock. The timeout is far longer than any event takes, so a slow
//! machine makes a test slower and does not fail it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The usual timeout: the events take milliseconds.
pub const LONG: Duration = Duration::from_secs(40);
/// The timeout for compiling a component: it takes many seconds of CPU time on a busy machine.
pub const COMPILED: Duration = Duration::from_secs(240);
/// Time between two checks.
const AGAIN: Duration = Duration::from_millis(5);

/// Measures a duration.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "a test is an edge: its bounds need a clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Tells threads to stop when dropped: a failed test must not wait for them.
#[derive(Debug)]
pub struct StopAtEnd<'f>(pub &'f AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `look` until it returns a value, and returns the value.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_for_within(LONG, what, look)
}

/// The same with another timeout, for events that take longer than [`LONG`] on a busy machine.
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

/// Waits until `is_so` returns true.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// The same with another timeout, for events that take longer than [`LONG`] on a busy machine.
#[track_caller]
pub fn wait_until_within(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for_within(within, what, || is_so().then_some(()));
}
