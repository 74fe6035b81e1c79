//! The processor time of a program with its workers: all processes of its group.

use anyhow::Context;

/// Returns the processor time of the process group `group`, in milliseconds.
///
/// # Errors
/// There is no `/proc`, or no process of the group.
pub(crate) fn of_group_ms(group: u32) -> anyhow::Result<u64> {
    sum_of_group(group, cpu_ms_in)
}

/// Returns the sum of what `part` finds in the lines of `/proc/PID/stat` of the process group.
///
/// # Errors
/// There is no `/proc`, or no process of the group.
pub(crate) fn sum_of_group(
    group: u32,
    part: impl Fn(&str, u32) -> Option<u64>,
) -> anyhow::Result<u64> {
    let mut found = None;
    for entry in std::fs::read_dir("/proc").context("no /proc")?.flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(more) = part(&stat, group) {
            found = Some(more + found.unwrap_or(0));
        }
    }
    found.with_context(|| format!("no process of the group {group} runs"))
}

/// Returns the fields of a line of `/proc/PID/stat` behind the name, if it is of this process
/// group. The name may contain anything, so they are counted from its closing bracket.
pub(crate) fn fields_of_group(stat: &str, group: u32) -> Option<Vec<&str>> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let is_of_it = fields.get(2)?.parse::<u32>().ok()? == group;
    is_of_it.then_some(fields)
}

/// User and system time in a line of `/proc/PID/stat`, if it is of this process group. Ticks are
/// hundredths of a second on every Linux that Rust runs on.
fn cpu_ms_in(stat: &str, group: u32) -> Option<u64> {
    let fields = fields_of_group(stat, group)?;
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(number(11)?.saturating_add(number(12)?).saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_that_of_the_group() {
        let stat = "9 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 12 34 0 0 20 0 1 0 5";
        assert_eq!(cpu_ms_in(stat, 7), Some(460));
        assert_eq!(cpu_ms_in(stat, 9), None);
        assert_eq!(cpu_ms_in("", 7), None);
    }
}
