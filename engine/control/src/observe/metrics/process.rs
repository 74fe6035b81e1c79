//! The process itself, as the kernel counts it.

use std::fs;

use super::families::MetricKind;
use crate::observe::memory_monitor::{number_of, resident_in};

/// Ticks in a second of the kernel's accounts: `USER_HZ` is 100 on every Linux.
const TICKS_PER_S: f64 = 100.0;

type ProcessSample = (&'static str, MetricKind, &'static str, f64);

/// What the kernel tells; what it does not is left out.
pub(super) fn read() -> Vec<ProcessSample> {
    let mut lines = Vec::new();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = resident_in(&status).map(|bytes| bytes as f64);
    let threads = number_of(&status, "Threads").map(|threads| threads as f64);
    let mut tell = |name, kind, help, value: Option<f64>| {
        lines.extend(value.map(|value| (name, kind, help, value)));
    };
    tell("process_resident_memory_bytes", MetricKind::Gauge, "Memory of the process.", resident);
    tell("process_threads", MetricKind::Gauge, "Threads of the process.", threads);
    // The folder that is being read is one of them.
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
    let open = open.and_then(|open| u32::try_from(open).ok()).map(f64::from);
    tell("process_open_fds", MetricKind::Gauge, "Files that are open.", open);
    tell("process_max_fds", MetricKind::Gauge, "Files that may be open.", files_max());
    tell("process_cpu_seconds_total", MetricKind::Counter, "Processor time.", cpu_seconds());
    lines
}

fn files_max() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; utime and stime are the 14th and 15th fields.
    let (_, after) = stat.rsplit_once(')')?;
    let ticks: f64 =
        after.split_whitespace().skip(11).take(2).map_while(|n| n.parse::<f64>().ok()).sum();
    Some(ticks / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_all_of_it() {
        let told = read();
        let names: Vec<_> = told.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(told.iter().take(4).all(|(.., value)| *value >= 1.0), "{told:?}");
    }
}
