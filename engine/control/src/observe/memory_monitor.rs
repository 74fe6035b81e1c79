//! Memory of the process, and its limit.
//!
//! There are two limits, of which the closer counts: the configured one, for the process's resident
//! set, and that of its control group. The group's use is its charge without the file pages that
//! the kernel reclaims by itself. Without a limit there is no value.

use std::path::{Path, PathBuf};

/// A control group's limit above this value means that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// A control group that limits memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CgroupMemory {
    used: PathBuf,
    stat: PathBuf,
    /// The line of `stat` with the reclaimable memory.
    spare: &'static str,
    most: u64,
}

/// Reads the memory of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryMonitor {
    configured: Option<u64>,
    group: Option<CgroupMemory>,
}

impl MemoryMonitor {
    /// Finds the limit of the process's control group; `configured` is another limit.
    #[must_use]
    pub fn find(configured: Option<u64>) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { configured, group: group_of(&own, Path::new("/sys/fs/cgroup")) }
    }

    /// Returns whether there is any limit.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        self.configured.is_some() || self.group.is_some()
    }

    /// Returns used bytes and limit, for the closer limit: the process's own, or that of its
    /// control group, which it may share with others.
    #[must_use]
    pub fn used_of(&self) -> Option<(u64, u64)> {
        let own = self.configured.and_then(|most| Some((resident_bytes()?, most)));
        let group = self.group.as_ref().and_then(|group| Some((group.used()?, group.most)));
        let fill = |(used, most): &(u64, u64)| used.saturating_mul(1_000).checked_div(*most);
        own.into_iter().chain(group).max_by_key(fill)
    }
}

impl CgroupMemory {
    fn used(&self) -> Option<u64> {
        let used = number_in(&self.used)?;
        let stat = std::fs::read_to_string(&self.stat).unwrap_or_default();
        let spare =
            stat.lines().find_map(|line| line.strip_prefix(self.spare)?.trim().parse().ok());
        Some(used.saturating_sub(spare.unwrap_or(0)))
    }
}

/// Returns the nearest group at or above the process's with a limit, in either version of the
/// interface.
fn group_of(own: &str, root: &Path) -> Option<CgroupMemory> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        match controllers {
            "" => bounded(root, path, ("memory.max", "memory.current", "inactive_file ")),
            _ if controllers.split(',').any(|name| name == "memory") => bounded(
                &root.join("memory"),
                path,
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
            ),
            _ => None,
        }
    })
}

fn bounded(
    root: &Path,
    path: &str,
    (limit, used, spare): (&str, &str, &'static str),
) -> Option<CgroupMemory> {
    let folder = root.join(path);
    let above = folder.ancestors().take_while(|folder| folder.starts_with(root));
    let limited = above.filter_map(|folder| {
        let most = number_in(&folder.join(limit)).filter(|most| *most < NO_LIMIT)?;
        Some(CgroupMemory {
            used: folder.join(used),
            stat: folder.join("memory.stat"),
            spare,
            most,
        })
    });
    limited.min_by_key(|group| group.most)
}

fn number_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn resident_bytes() -> Option<u64> {
    resident_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// Returns the resident set in the text of `/proc/PID/status`, which is in KiB for any page size.
pub(crate) fn resident_in(status: &str) -> Option<u64> {
    Some(number_of(status, "VmRSS")?.saturating_mul(1_024))
}

/// Returns a number of such a text, by its name.
pub(crate) fn number_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    fn watch(own: &str, root: &Path, configured: Option<u64>) -> MemoryMonitor {
        MemoryMonitor { configured, group: group_of(own, root) }
    }

    #[test]
    fn the_least_limit_above_the_process_counts_and_what_can_be_had_back_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                ("a/memory.max", "1000\n"),
                ("a/memory.current", "900\n"),
                ("a/memory.stat", "anon 1\ninactive_file 300\n"),
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.current", "800\n"),
            ],
        );
        let own = watch("0::/a/b\n", root, None);
        assert_eq!(own.used_of(), Some((600, 1_000)));
        // The process's own memory is far above the one limit, and far below the other.
        assert_eq!(watch("0::/a/b\n", root, Some(500)).used_of().unwrap().1, 500);
        assert_eq!(watch("0::/a/b\n", root, Some(1 << 50)).used_of(), Some((600, 1_000)));
    }

    #[test]
    fn the_older_interface_is_read_too() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(
            root,
            &[
                ("memory/x/memory.limit_in_bytes", "268435456\n"),
                ("memory/x/memory.usage_in_bytes", "100\n"),
                ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        let own = watch("3:cpu,memory:/x\n1:name=systemd:/y\n", root, None);
        assert_eq!(own.used_of(), Some((100, 268_435_456)));
    }

    #[test]
    fn without_a_group_the_process_itself_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let own = watch("0::/\n", dir.path(), Some(1 << 40));
        let (used, most) = own.used_of().unwrap();
        assert!(used > 1 << 20 && most == 1 << 40);
        assert_eq!(watch("", dir.path(), None).used_of(), None);
    }
}
