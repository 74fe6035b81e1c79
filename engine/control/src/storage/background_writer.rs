//! Writes files after a reload, on a thread of its own.
//!
//! A sync can take half a minute on a busy disk, and an edit under attack must not wait. So the
//! publisher enqueues its writes and continues. Writes that are pending when the process is killed
//! are lost; each completed file is intact.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Maximum of waiting jobs; beyond it the oldest is dropped.
pub(crate) const SCRIBE_JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct JobQueue {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    jobs: VecDeque<Job>,
    stopped: bool,
}

/// The thread; when dropped, it completes the pending jobs and ends.
pub(crate) struct BackgroundWriter {
    queue: Arc<JobQueue>,
    thread: Option<JoinHandle<()>>,
}

impl BackgroundWriter {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system provides no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let queue = Arc::new(JobQueue::default());
        let of_thread = queue.clone();
        let work = move || {
            while let Some(job) = of_thread.next() {
                job();
            }
        };
        let thread = std::thread::Builder::new().name("seawall-scribe".into()).spawn(work)?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Returns a handle that waits for it.
    pub(crate) fn settle(&self) -> FlushHandle {
        FlushHandle(self.queue.clone())
    }

    /// Enqueues `job` behind those before it.
    pub(crate) fn enqueue(&self, job: impl FnOnce() + Send + 'static) {
        let mut pending = self.queue.lock();
        if pending.jobs.len() >= SCRIBE_JOBS_MAX {
            pending.jobs.pop_front();
            log::error!(
                target: "seawall::state",
                "the disk of `[state] dir` is too slow for the edits: the files of an earlier \
                 generation are not stored"
            );
        }
        pending.jobs.push_back(Box::new(job));
        self.queue.changed.notify_one();
    }
}

/// Waits for a writer that another component owns.
#[derive(Clone)]
pub(crate) struct FlushHandle(Arc<JobQueue>);

impl FlushHandle {
    /// Waits until all present jobs are done, for at most `ms`.
    pub(crate) fn wait(&self, ms: u64) {
        let (done, is_done) = mpsc::channel();
        let mut pending = self.0.lock();
        if pending.stopped {
            return;
        }
        // The receiver may be gone.
        pending.jobs.push_back(Box::new(move || {
            let _unheard = done.send(());
        }));
        self.0.changed.notify_one();
        drop(pending);
        let _late = is_done.recv_timeout(Duration::from_millis(ms));
    }
}

impl JobQueue {
    fn next(&self) -> Option<Job> {
        let idle = |pending: &mut Pending| pending.jobs.is_empty() && !pending.stopped;
        let waited = self.changed.wait_while(self.lock(), idle);
        waited.unwrap_or_else(PoisonError::into_inner).jobs.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BackgroundWriter {
    fn drop(&mut self) {
        self.queue.lock().stopped = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has written what it could.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_job_that_takes_long_and_all_are_done_in_the_end() {
        let scribe = BackgroundWriter::start().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (done, seen) = mpsc::channel();
        scribe.enqueue(move || gate.recv().unwrap());
        for n in 0..10 {
            let done = done.clone();
            scribe.enqueue(move || done.send(n).unwrap());
        }
        assert!(seen.try_recv().is_err(), "the first job still runs");
        open.send(()).unwrap();
        drop(scribe);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn whoever_waits_for_it_waits_for_what_was_there_and_not_for_ever() {
        let scribe = BackgroundWriter::start().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (done, seen) = mpsc::channel();
        scribe.enqueue(move || gate.recv().unwrap());
        scribe.enqueue(move || done.send(()).unwrap());
        let settle = scribe.settle();
        settle.wait(1);
        assert!(seen.try_recv().is_err());
        open.send(()).unwrap();
        settle.wait(60_000);
        assert!(seen.try_recv().is_ok());
        drop(scribe);
        settle.wait(60_000);
    }

    #[test]
    fn what_waits_has_a_limit_and_the_oldest_goes() {
        let scribe = BackgroundWriter::start().unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (started, begun) = mpsc::channel();
        let (done, seen) = mpsc::channel();
        scribe.enqueue(move || {
            started.send(()).unwrap();
            gate.recv().unwrap();
        });
        begun.recv().unwrap();
        for n in 0..=SCRIBE_JOBS_MAX {
            let done = done.clone();
            scribe.enqueue(move || done.send(n).unwrap());
        }
        open.send(()).unwrap();
        drop(scribe);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), (1..=SCRIBE_JOBS_MAX).collect::<Vec<_>>());
    }
}
