//! What `/proc` says about the attacked process, a few times a second.

use crate::report::{Phases, ServerPhase};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// The phase of a run, shared by all recorders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// Quiet 0, attack 1, recovery 2.
    pub(crate) fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    /// Returns the part of `phases` for the current phase.
    pub(crate) fn of<'p, T>(&self, phases: &'p mut Phases<T>) -> &'p mut T {
        match self.0.load(Ordering::Relaxed) {
            0 => &mut phases.quiet,
            1 => &mut phases.attack,
            _ => &mut phases.recovery,
        }
    }
}

/// One look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    rss_kib: u64,
    cpu_ms: u64,
    threads: u64,
    fds: u64,
    watched: u64,
}

fn look(process: &Path, watch: Option<&Path>) -> Result<Look> {
    let status = std::fs::read_to_string(process.join("status"))?;
    let stat = std::fs::read_to_string(process.join("stat"))?;
    Ok(Look {
        rss_kib: field(&status, "VmRSS:"),
        cpu_ms: cpu_ms(&stat).context("cannot read stat")?,
        threads: field(&status, "Threads:"),
        fds: std::fs::read_dir(process.join("fd"))?.count() as u64,
        watched: watch.map_or(0, size),
    })
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// User and system time; ticks are hundredths of a second on every Linux that Rust runs on.
fn cpu_ms(stat: &str) -> Option<u64> {
    // The name may hold anything, so count from its closing bracket.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system).saturating_mul(10))
}

/// Returns the bytes of a file, or of everything in a folder.
fn size(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().map(|entry| size(&entry.path())).fold(0, u64::saturating_add)
}

/// Looks until it is stopped.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Phases<ServerPhase>>,
}

impl Sampler {
    /// Samples process `pid`; `phase` selects the record.
    ///
    /// # Errors
    /// There is no such process, or another user owns it.
    pub(crate) fn start(pid: u32, watch: Option<PathBuf>, phase: Phase) -> Result<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        look(&process, None).with_context(|| format!("cannot look at process {pid}"))?;
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut phases = Phases::<Noted>::default();
            let mut last = None;
            loop {
                if let Ok(now) = look(&process, watch.as_deref()) {
                    phase.of(&mut phases).note(now, last);
                    last = Some(now);
                }
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            Phases {
                quiet: phases.quiet.report,
                attack: phases.attack.report,
                recovery: phases.recovery.report,
            }
        });
        Ok(Self { stop, thread })
    }

    /// Stops, and returns the samples.
    pub(crate) fn stop(self) -> Option<Phases<ServerPhase>> {
        drop(self.stop);
        self.thread.join().ok()
    }
}

#[derive(Debug, Default)]
struct Noted {
    report: ServerPhase,
}

impl Noted {
    fn note(&mut self, now: Look, last: Option<Look>) {
        let report = &mut self.report;
        if report.samples == 0 {
            report.rss_kib_first = now.rss_kib;
            report.watched_bytes_first = now.watched;
        }
        report.samples = report.samples.saturating_add(1);
        report.rss_kib_max = report.rss_kib_max.max(now.rss_kib);
        report.rss_kib_last = now.rss_kib;
        report.threads_max = report.threads_max.max(now.threads);
        report.fds_max = report.fds_max.max(now.fds);
        report.watched_bytes_last = now.watched;
        let spent = last.map_or(0, |last| now.cpu_ms.saturating_sub(last.cpu_ms));
        report.cpu_ms = report.cpu_ms.saturating_add(spent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 12 34 0 0 20 0 1 0 5";
        assert_eq!(cpu_ms(stat), Some(460));
        assert_eq!(cpu_ms("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_can_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/log"), [0; 1_000]).unwrap();
        let phase = Phase::default();
        let watch = Some(folder.path().to_path_buf());
        let sampler = Sampler::start(std::process::id(), watch, phase).unwrap();
        let seen = sampler.stop().unwrap();
        assert!(seen.quiet.samples >= 1);
        assert!(seen.quiet.rss_kib_max > 500 && seen.quiet.threads_max >= 2, "{seen:?}");
        assert_eq!(seen.quiet.watched_bytes_last, 1_000);
        assert_eq!(seen.attack.samples, 0);
    }

    #[test]
    fn no_process_is_an_error() {
        assert!(Sampler::start(u32::MAX, None, Phase::default()).is_err());
    }
}
