//! Periodic tasks: the epoch of running rules every millisecond, and levels every second.
//!
//! Without the first a rule's time limit has no effect. It has a thread of its own, since a busy
//! worker must not delay it. With a policy without externs it only waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, park, park_timeout};
use std::time::Duration;

use seawall_ruleset::EPOCH_TICK_MS;

/// The thread that ticks, until dropped.
#[derive(Debug)]
pub(crate) struct PeriodicTask {
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    wanted: AtomicBool,
}

impl PeriodicTask {
    /// Calls `tick` every [`EPOCH_TICK_MS`] while that is wanted, which it is at first.
    pub(crate) fn start(tick: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        Self::every(EPOCH_TICK_MS, tick)
    }

    /// Calls `tick` every `period_ms`.
    pub(crate) fn every(
        period_ms: u64,
        mut tick: impl FnMut() + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { wanted: true.into(), stopped: false.into() });
        let of_thread = shared.clone();
        let run = move || {
            while !of_thread.stopped.load(Ordering::Acquire) {
                if of_thread.wanted.load(Ordering::Acquire) {
                    park_timeout(Duration::from_millis(period_ms));
                    tick();
                } else {
                    park();
                }
            }
        };
        let thread = std::thread::Builder::new().name("seawall-ticker".into()).spawn(run)?;
        Ok(Self { thread: Some(thread), shared })
    }

    /// Sets whether rules can run.
    pub(crate) fn want(&self, wanted: bool) {
        self.shared.wanted.store(wanted, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for PeriodicTask {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It can only have panicked in the tick, and the process ends anyway.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn it_ticks_while_wanted_and_ends_when_dropped() {
        let (sender, ticks) = mpsc::sync_channel(0);
        let ticker = PeriodicTask::start(move || {
            let _full = sender.try_send(());
        })
        .unwrap();
        let long = Duration::from_secs(20);
        ticks.recv_timeout(long).unwrap();
        ticker.want(false);
        ticker.want(true);
        ticks.recv_timeout(long).unwrap();
        drop(ticker);
        assert!(matches!(ticks.recv_timeout(long), Err(mpsc::RecvTimeoutError::Disconnected)));
    }
}
