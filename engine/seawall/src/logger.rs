//! Log lines on standard error, at most so many a second of each class.
//!
//! A line that every request could cause is a way to fill a disk, so there is a cap. Each class of
//! events has its own, so that a flood of one, such as a member's policy that fails at every save,
//! never swallows another's line: that a level was raised must be read that night. What a cap
//! swallowed is told with the next line of its class, and counted for the metrics. Time stamps are
//! left to whoever collects the lines.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use log::{Level, Log, Metadata, Record};
use seawall_model::{Now, shown};
use seawall_proxy::EngineLogFilter;

/// Most lines of one class in a second: a refused policy with all its complaints fits.
pub(crate) const LINES_PER_CLASS_PER_S_MAX: u32 = 50;

/// What a line is about, by its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogClass {
    /// The policy: reloads, members, lists, what is watched.
    Policy,
    /// Rules in WebAssembly, and compiling them.
    Rules,
    /// Levels that rise and fall.
    Levels,
    /// What is kept on the disk: snapshots, history.
    State,
    /// Everything else of ours.
    Server,
    /// The HTTP engine, and libraries.
    Engine,
}

impl LogClass {
    const ALL: [Self; 6] =
        [Self::Policy, Self::Rules, Self::Levels, Self::State, Self::Server, Self::Engine];

    fn of(target: &str) -> Self {
        match target {
            "seawall::policy" | "seawall_proxy::policy_log" => Self::Policy,
            "seawall::rules" => Self::Rules,
            "seawall::levels" => Self::Levels,
            "seawall::state" => Self::State,
            "seawall_proxy::engine" => Self::Engine,
            ours if ours.starts_with("seawall") => Self::Server,
            _ => Self::Engine,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Rules => "rules",
            Self::Levels => "levels",
            Self::State => "state",
            Self::Server => "server",
            Self::Engine => "engine",
        }
    }
}

/// The cap of one class.
#[derive(Debug, Default)]
struct ClassRateLimit {
    second: AtomicU64,
    in_second: AtomicU32,
    untold: AtomicU64,
    swallowed: AtomicU64,
}

impl ClassRateLimit {
    /// How many lines were swallowed since one was let through, or nothing where this one is to be
    /// swallowed too. Two threads at the turn of a second may let one more through.
    fn admit(&self, second: u64) -> Option<u64> {
        if self.second.swap(second, Relaxed) != second {
            self.in_second.store(0, Relaxed);
        }
        if self.in_second.fetch_add(1, Relaxed) < LINES_PER_CLASS_PER_S_MAX {
            return Some(self.untold.swap(0, Relaxed));
        }
        self.untold.fetch_add(1, Relaxed);
        self.swallowed.fetch_add(1, Relaxed);
        None
    }
}

/// The logger.
pub(crate) struct Stderr {
    now: Now,
    caps: [ClassRateLimit; LogClass::ALL.len()],
}

impl Stderr {
    fn new(now: Now) -> Self {
        Self { now, caps: Default::default() }
    }

    fn admit(&self, class: LogClass) -> Option<u64> {
        self.caps.get(class as usize)?.admit((self.now)().0 / 1_000)
    }

    /// Lines of each class that were swallowed.
    fn swallowed(&self) -> Vec<(&'static str, u64)> {
        let caps = LogClass::ALL.iter().zip(&self.caps);
        caps.map(|(class, cap)| (class.word(), cap.swallowed.load(Relaxed))).collect()
    }
}

impl Log for Stderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let class = LogClass::of(record.target());
        let Some(swallowed) = self.admit(class) else { return };
        let word = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info => "",
            Level::Debug | Level::Trace => "debug: ",
        };
        let mut text = String::new();
        if swallowed > 0 {
            let class = class.word();
            text = format!("seawall: {swallowed} lines of the class `{class}` were left out\n");
        }
        text.push_str(&line(word, &record.args().to_string()));
        // In one piece: while one process takes over from another both write there.
        let _unwritten = std::io::stderr().write_all(text.as_bytes());
    }

    fn flush(&self) {}
}

/// One line. What members wrote is in it: a line feed of theirs begins no line of the log.
fn line(word: &str, text: &str) -> String {
    format!("seawall: {word}{}\n", shown::one_line(text))
}

/// The one that is in force.
static LOGGER: OnceLock<EngineLogFilter<Stderr>> = OnceLock::new();

/// Logs from here on, up to `level`; a second call changes nothing.
pub(crate) fn start(level: log::LevelFilter, now: &Now, engine_lines_per_s: u32) {
    let make = || EngineLogFilter::new(Stderr::new(now.clone()), now.clone(), engine_lines_per_s);
    if log::set_logger(LOGGER.get_or_init(make)).is_ok() {
        log::set_max_level(level);
    }
}

/// Lines that were not written so far, by class; those of the HTTP engine that its own filter took
/// out are the class `engine_filtered`.
pub(crate) fn swallowed() -> Vec<(&'static str, u64)> {
    let Some(logger) = LOGGER.get() else { return Vec::new() };
    let mut all = logger.inner().swallowed();
    all.push(("engine_filtered", logger.dropped()));
    all
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
        for _ in 0..LINES_PER_CLASS_PER_S_MAX {
            assert_eq!(logger.admit(LogClass::Policy), Some(0));
        }
        assert_eq!(logger.admit(LogClass::Policy), None);
        assert_eq!(logger.admit(LogClass::Policy), None);
        assert_eq!(logger.admit(LogClass::Levels), Some(0), "a flood of one is none of another");
        ms.store(6_000, Relaxed);
        assert_eq!(logger.admit(LogClass::Policy), Some(2));
        assert_eq!(logger.admit(LogClass::Policy), Some(0));
        let swallowed: Vec<_> = logger.swallowed().into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(swallowed, [("policy", 2)]);
    }

    #[test]
    fn nothing_that_is_logged_begins_a_line_of_its_own() {
        let forged = "test `x\nseawall: generation 99 judges now (1 ms)\u{2028}\u{1b}[2J` fails";
        assert_eq!(
            line("warning: ", forged),
            "seawall: warning: test `x\\nseawall: generation 99 judges now (1 ms)\\u{2028}\\u{1b}[2J` fails\n"
        );
    }

    #[test]
    fn a_line_belongs_to_the_class_that_its_target_names() {
        for (target, class) in [
            ("seawall::policy", LogClass::Policy),
            ("seawall_proxy::policy_log", LogClass::Policy),
            ("seawall::levels", LogClass::Levels),
            ("seawall::state", LogClass::State),
            ("seawall::rules", LogClass::Rules),
            ("seawall::server", LogClass::Server),
            ("seawall_proxy::overload", LogClass::Server),
            ("seawall_proxy::engine", LogClass::Engine),
            ("h2::proto", LogClass::Engine),
        ] {
            assert_eq!(LogClass::of(target), class, "{target}");
        }
        for (place, class) in LogClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, place, "each has its own cap");
        }
    }
}
