//! Keeps client data out of the log lines of the HTTP engine.
//!
//! Pingora's lines carry client addresses, hosts and paths, and a client can cause one per
//! connection. So lines below the level error are discarded. An error becomes a fixed text that
//! only names the module, a few per second; the others are counted. Lines of other modules pass
//! unchanged.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use log::{Level, LevelFilter, Log, Metadata, Record};
use seawall_model::Now;

/// Returns whether a line may be written at all: everything but the HTTP engine's lines below
/// error.
#[must_use]
pub fn log_filter(target: &str, level: Level) -> bool {
    !is_engine(target) || level == Level::Error
}

fn is_engine(target: &str) -> bool {
    target.starts_with("pingora")
}

/// A logger that filters for another logger.
pub struct EngineLogFilter<L> {
    inner: L,
    now: Now,
    lines_per_s: u32,
    second: AtomicU64,
    in_second: AtomicU32,
    dropped: AtomicU64,
}

impl<L> std::fmt::Debug for EngineLogFilter<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineLogFilter")
            .field("lines_per_s", &self.lines_per_s)
            .finish_non_exhaustive()
    }
}

impl<L: Log> EngineLogFilter<L> {
    /// A filter in front of `inner` that lets so many lines of the HTTP engine through per second
    /// (`ProxyLimits::engine_log_lines_per_second`).
    pub fn new(inner: L, now: Now, lines_per_s: u32) -> Self {
        Self {
            inner,
            now,
            lines_per_s,
            second: AtomicU64::new(0),
            in_second: AtomicU32::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Returns the inner logger.
    pub const fn inner(&self) -> &L {
        &self.inner
    }

    /// Returns the number of suppressed lines of the HTTP engine.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Returns whether this second may have another line. At the turn of a second two threads may
    /// pass one line more.
    fn has_room(&self) -> bool {
        let second = (self.now)().0 / 1_000;
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        self.in_second.fetch_add(1, Relaxed) < self.lines_per_s
    }
}

impl<L: Log> Log for EngineLogFilter<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        log_filter(metadata.target(), metadata.level()) && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_engine(record.target()) {
            return self.inner.log(record);
        }
        if record.level() > LevelFilter::Error || !self.has_room() {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        // A module's name is ours or pingora's; the text may contain client data.
        let module = record.module_path_static().unwrap_or("pingora");
        self.inner.log(
            &Record::builder()
                .level(Level::Error)
                .target("seawall_proxy::engine")
                .args(format_args!("the HTTP engine reports an error in {module}"))
                .build(),
        );
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use seawall_model::Tick;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Log for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().push(format!("{} {}", record.target(), record.args()));
        }

        fn flush(&self) {}
    }

    /// Logs one line.
    fn say(log: &EngineLogFilter<Lines>, target: &str, level: Level) {
        let address = "192.0.2.77";
        log.log(
            &Record::builder()
                .target(target)
                .level(level)
                .module_path_static(Some("pingora_core::some"))
                .args(format_args!("error from {address}"))
                .build(),
        );
    }

    fn log_at(second: Arc<AtomicU64>) -> (EngineLogFilter<Lines>, Lines) {
        let lines = Lines::default();
        let now: Now = Arc::new(move || Tick(second.load(Relaxed) * 1_000));
        (EngineLogFilter::new(lines.clone(), now, 2), lines)
    }

    #[test]
    fn an_engine_line_loses_its_address_and_what_is_no_error_is_lost() {
        let (log, lines) = log_at(Arc::new(AtomicU64::new(1)));
        for level in [Level::Error, Level::Warn, Level::Info] {
            say(&log, "pingora_core::some", level);
        }
        let lines = lines.0.lock();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with("pingora_core::some") && !lines[0].contains("192.0.2"));
        assert_eq!(log.dropped(), 2);
    }

    #[test]
    fn engine_lines_are_capped_per_second() {
        let second = Arc::new(AtomicU64::new(1));
        let (log, lines) = log_at(Arc::clone(&second));
        (0..3).for_each(|_| say(&log, "pingora", Level::Error));
        assert_eq!((lines.0.lock().len(), log.dropped()), (2, 1));
        second.store(2, Relaxed);
        say(&log, "pingora", Level::Error);
        assert_eq!((lines.0.lock().len(), log.dropped()), (3, 1));
    }

    #[test]
    fn other_lines_pass_untouched() {
        let (log, lines) = log_at(Arc::new(AtomicU64::new(1)));
        say(&log, "seawall_control::reload", Level::Warn);
        assert_eq!(*lines.0.lock(), ["seawall_control::reload error from 192.0.2.77"]);
        assert!(log_filter("tokio", Level::Debug) && !log_filter("pingora_proxy", Level::Warn));
    }
}
