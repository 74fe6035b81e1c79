//! How much memory the process uses, and how much it may.
//!
//! The limit is the configured one or that of the process's control group, whichever is less; the
//! use is what the group is charged with less the file pages that the kernel takes back by itself,
//! or without a group the process's resident set. Where there is neither limit, nothing is said.

use std::path::{Path, PathBuf};

/// Bytes of a page, in which `/proc/self/statm` counts, on the machines that we build for.
const PAGE_BYTES: u64 = 4_096;
/// A control group's limit above which it means that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// A control group that bounds memory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    used: PathBuf,
    stat: PathBuf,
    /// The line of `stat` with what can be had back.
    spare: &'static str,
    most: u64,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryWatch {
    configured: Option<u64>,
    group: Option<Group>,
}

impl MemoryWatch {
    /// Looks for the limit of the process's control group; `configured` is one besides.
    #[must_use]
    pub fn find(configured: Option<u64>) -> Self {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self { configured, group: group_of(&own, Path::new("/sys/fs/cgroup")) }
    }

    /// Bytes that may be used, where there is a limit.
    #[must_use]
    pub fn most(&self) -> Option<u64> {
        let group = self.group.as_ref().map(|group| group.most);
        self.configured.into_iter().chain(group).min()
    }

    /// Bytes that are used.
    #[must_use]
    pub fn used(&self) -> Option<u64> {
        match &self.group {
            Some(group) => group.used(),
            None => resident_bytes(),
        }
    }
}

impl Group {
    fn used(&self) -> Option<u64> {
        let used = number_in(&self.used)?;
        let stat = std::fs::read_to_string(&self.stat).unwrap_or_default();
        let spare =
            stat.lines().find_map(|line| line.strip_prefix(self.spare)?.trim().parse().ok());
        Some(used.saturating_sub(spare.unwrap_or(0)))
    }
}

/// The nearest group at or above the process's that has a limit, in either version of the interface.
fn group_of(own: &str, root: &Path) -> Option<Group> {
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
) -> Option<Group> {
    let folder = root.join(path);
    let above = folder.ancestors().take_while(|folder| folder.starts_with(root));
    let limited = above.filter_map(|folder| {
        let most = number_in(&folder.join(limit)).filter(|most| *most < NO_LIMIT)?;
        Some(Group { used: folder.join(used), stat: folder.join("memory.stat"), spare, most })
    });
    limited.min_by_key(|group| group.most)
}

fn number_in(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(PAGE_BYTES))
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

    fn watch(own: &str, root: &Path, configured: Option<u64>) -> MemoryWatch {
        MemoryWatch { configured, group: group_of(own, root) }
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
        assert_eq!((own.most(), own.used()), (Some(1_000), Some(600)));
        assert_eq!(watch("0::/a/b\n", root, Some(500)).most(), Some(500));
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
        assert_eq!((own.most(), own.used()), (Some(268_435_456), Some(100)));
    }

    #[test]
    fn without_a_group_the_process_itself_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let own = watch("0::/\n", dir.path(), Some(1 << 40));
        assert_eq!(own.most(), Some(1 << 40));
        assert!(own.used().unwrap() > 1 << 20);
        assert_eq!(watch("", dir.path(), None).most(), None);
    }
}
