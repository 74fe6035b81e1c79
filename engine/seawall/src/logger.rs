//! Log lines on standard error, with a rate limit for each class.
//!
//! A line that every request could cause could fill the disk, so there is a limit. Each class of
//! events has its own, so that many lines of one class (a member's policy that fails at every save)
//! never suppress another's (a raised level). The number of suppressed lines is logged with the
//! next line of the class, and counted in the metrics. Lines have no time stamp: the log collector
//! adds it.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use log::{Level, Log, Metadata, Record};
use seawall_model::{Now, shown};
use seawall_proxy::EngineLogFilter;

/// Maximum of lines per class and second: a rejected policy with all its diagnostics fits.
pub(crate) const LINES_PER_CLASS_PER_S_MAX: u32 = 50;

/// The class of a line, by its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogClass {
    /// The policy: reloads, members, lists, watches.
    Policy,
    /// WASM rules, and compiling them.
    Rules,
    /// Changes of levels.
    Levels,
    /// Files in the state folder: snapshots, history.
    State,
    /// Everything else of Seawall.
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

/// The limit of one class.
#[derive(Debug, Default)]
struct ClassRateLimit {
    second: AtomicU64,
    in_second: AtomicU32,
    untold: AtomicU64,
    swallowed: AtomicU64,
}

impl ClassRateLimit {
    /// Returns the number of lines that were suppressed since the last one, or none if this one is
    /// suppressed too. At the turn of a second two threads may pass one line more.
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

    /// Returns the number of suppressed lines of each class.
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
            text = format!("seawall: {swallowed} lines of the class `{class}` were suppressed\n");
        }
        text.push_str(&line(word, &record.args().to_string()));
        // In one write: during an upgrade both processes write there.
        let _unwritten = std::io::stderr().write_all(text.as_bytes());
    }

    fn flush(&self) {}
}

/// Returns one line. It may contain text of members: a line feed in it begins no new line of the
/// log.
fn line(word: &str, text: &str) -> String {
    format!("seawall: {word}{}\n", shown::one_line(text))
}

/// The active logger.
static LOGGER: OnceLock<EngineLogFilter<Stderr>> = OnceLock::new();

/// Starts logging, up to `level`; a second call has no effect.
pub(crate) fn start(level: log::LevelFilter, now: &Now, engine_lines_per_s: u32) {
    let make = || EngineLogFilter::new(Stderr::new(now.clone()), now.clone(), engine_lines_per_s);
    if log::set_logger(LOGGER.get_or_init(make)).is_ok() {
        log::set_max_level(level);
    }
}

/// Returns the number of suppressed lines so far, by class. Lines that the filter of the HTTP
/// engine removed have the class `engine_filtered`.
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
        let forged = "test `x\nseawall: generation 99 is active (1 ms)\u{2028}\u{1b}[2J` fails";
        assert_eq!(
            line("warning: ", forged),
            "seawall: warning: test `x\\nseawall: generation 99 is active (1 ms)\\u{2028}\\u{1b}[2J` fails\n"
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
