//! A thread that is joined with a timeout.
//!
//! At the end of the process no thread may prevent its exit: one that does not end in time ends
//! with the process.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that is to end at some time.
#[derive(Debug)]
pub(crate) struct Ending {
    thread: JoinHandle<()>,
    /// Closed when the thread has ended, or has panicked.
    running: Receiver<()>,
}

impl Ending {
    /// Runs `work` on a thread of this name.
    ///
    /// # Errors
    /// The system provides no thread.
    pub(crate) fn of(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (done, running) = channel();
        let work = move || {
            let _open_until_the_end = done;
            work();
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self { thread, running })
    }

    /// Waits for its end for at most `ms`, and returns whether it ended.
    pub(crate) fn within(self, ms: u64) -> bool {
        let waited = self.running.recv_timeout(Duration::from_millis(ms));
        if waited == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        // A thread that panicked has ended.
        let _ended = self.thread.join();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_waited_for_and_not_for_ever() {
        let (go, gate) = channel::<()>();
        let held = Ending::of("held", move || _ = gate.recv()).unwrap();
        assert!(!held.within(1));
        drop(go);
        let (go, gate) = channel::<()>();
        let free = Ending::of("free", move || _ = gate.recv()).unwrap();
        drop(go);
        assert!(free.within(60_000));
    }

    #[test]
    fn one_that_panics_has_ended() {
        let broken = Ending::of("broken", || panic!("asked to")).unwrap();
        assert!(broken.within(60_000));
    }
}
