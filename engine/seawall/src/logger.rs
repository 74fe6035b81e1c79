//! Log lines on standard error, at most so many a second.
//!
//! A line that every request could cause is a way to fill a disk, so there is a cap, and what it
//! swallowed is told with the next line. Time stamps are left to whoever collects the lines.

use std::io::Write;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use log::{Level, Log, Metadata, Record};
use seawall_model::Now;
use seawall_proxy::EngineLog;

/// Most lines in a second.
pub(crate) const LINES_PER_S_MAX: u32 = 100;

/// The logger.
pub(crate) struct Stderr {
    now: Now,
    second: AtomicU64,
    in_second: AtomicU32,
    swallowed: AtomicU64,
}

impl Stderr {
    fn new(now: Now) -> Self {
        Self {
            now,
            second: AtomicU64::new(0),
            in_second: AtomicU32::new(0),
            swallowed: AtomicU64::new(0),
        }
    }

    /// How many lines were swallowed since one was let through, or nothing where this one is to be
    /// swallowed too. Two threads at the turn of a second may let one more through.
    fn admit(&self) -> Option<u64> {
        let second = (self.now)().0 / 1_000;
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        if self.in_second.fetch_add(1, Relaxed) < LINES_PER_S_MAX {
            return Some(self.swallowed.swap(0, Relaxed));
        }
        self.swallowed.fetch_add(1, Relaxed);
        None
    }
}

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let Some(swallowed) = self.admit() else { return };
        let mut err = std::io::stderr().lock();
        if swallowed > 0 {
            let _unwritten = writeln!(err, "seawall: {swallowed} lines were left out");
        }
        let word = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug | Level::Trace => "debug: ",
        };
        let _unwritten = writeln!(err, "seawall: {word}{}", record.args());
    }

    fn flush(&self) {}
}

/// Logs from here on, up to `level`; a second call changes nothing.
pub(crate) fn start(level: log::LevelFilter, now: &Now, engine_lines_per_s: u32) {
    let logger = EngineLog::new(Stderr::new(now.clone()), now.clone(), engine_lines_per_s);
    if log::set_logger(Box::leak(Box::new(logger))).is_ok() {
        log::set_max_level(level);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use seawall_model::Tick;

    use super::*;

    #[test]
    fn so_many_lines_a_second_and_the_rest_is_counted() {
        let ms = Arc::new(AtomicU64::new(5_000));
        let clock = ms.clone();
        let logger = Stderr::new(Arc::new(move || Tick(clock.load(Relaxed))));
        for _ in 0..LINES_PER_S_MAX {
            assert_eq!(logger.admit(), Some(0));
        }
        assert_eq!(logger.admit(), None);
        assert_eq!(logger.admit(), None);
        ms.store(6_000, Relaxed);
        assert_eq!(logger.admit(), Some(2));
        assert_eq!(logger.admit(), Some(0));
    }
}
