//! The process itself, as the kernel counts it.

use std::fs;

use crate::observe::memory_monitor::{number_of, resident_in};

/// Ticks in a second of the kernel's accounts: `USER_HZ` is 100 on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// What the kernel tells of the process; what it does not tell is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ProcessSample {
    pub(super) resident_bytes: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) open_fds: Option<f64>,
    pub(super) max_fds: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
    /// In seconds since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl ProcessSample {
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The folder that is being read is one of them.
        let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
        Self {
            resident_bytes: resident_in(&status).map(|bytes| bytes as f64),
            threads: number_of(&status, "Threads").map(|threads| threads as f64),
            open_fds: open.and_then(|open| u32::try_from(open).ok()).map(f64::from),
            max_fds: files_max(),
            cpu_seconds: cpu_seconds(&stat),
            start_seconds: start_seconds(&stat),
        }
    }
}

fn files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The fields of `stat` from the third on: the name before them, in parentheses, may hold spaces.
fn fields(stat: &str) -> Option<impl Iterator<Item = &str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace())
}

/// utime and stime, the 14th and 15th fields.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let ticks = fields(stat)?.skip(11).take(2).map_while(|n| n.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / TICKS_PER_S)
}

/// When the machine started, and how long after that the process did: the 22nd field.
fn start_seconds(stat: &str) -> Option<f64> {
    let ticks: f64 = fields(stat)?.nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + ticks / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::clock::clock;

    #[test]
    fn the_kernel_tells_all_of_it() {
        let sample = ProcessSample::read();
        let ProcessSample { resident_bytes, threads, open_fds, max_fds, .. } = sample;
        for value in [resident_bytes, threads, open_fds, max_fds] {
            assert!(value.is_some_and(|value| value >= 1.0), "{sample:?}");
        }
        let now = clock()().0 as f64 / 1e3;
        let age = now - sample.start_seconds.unwrap();
        assert!((-2.0..3_600.0).contains(&age), "{sample:?} at {now}");
        assert!(sample.cpu_seconds.is_some());
    }
}
