//! Resource limits that a process sets on itself before it reads untrusted data.

use rustix::process::{self, Resource, Rlimit, Signal};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The resources that the process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Seconds of CPU time since the start of the process. Then it gets SIGXCPU, which ends it; a
    /// second later it is killed.
    pub cpu_s: u64,
    /// Bytes of address space.
    pub address_space_bytes: u64,
    /// The nice value for the scheduler: 0 to 19.
    pub niceness: i32,
}

/// Confines this process permanently: CPU time, address space and priority. It can write no file
/// and leaves no core dump. It ends when its parent thread ends.
///
/// # Errors
/// A system call failed. The process should then exit.
pub fn confine(to: ProcessLimits) -> io::Result<()> {
    process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let exactly = |value| Rlimit { current: Some(value), maximum: Some(value) };
    let killed = Some(to.cpu_s.saturating_add(1));
    process::setrlimit(Resource::Cpu, Rlimit { current: Some(to.cpu_s), maximum: killed })?;
    process::setrlimit(Resource::As, exactly(to.address_space_bytes))?;
    process::setrlimit(Resource::Core, exactly(0))?;
    process::setrlimit(Resource::Fsize, exactly(0))?;
    process::nice(to.niceness)?;
    Ok(())
}

/// Protects the memory of this process permanently. It leaves no core dump, no process of the same
/// user may read its memory, and its child processes gain no additional rights. Call this before
/// there is a second thread.
///
/// # Errors
/// A system call failed.
pub fn harden_process() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Returns whether a folder belongs to this user and no other user can read or write it.
///
/// # Errors
/// The folder cannot be examined.
pub fn is_private_dir(folder: &Path) -> io::Result<bool> {
    let seen = std::fs::symlink_metadata(folder)?;
    let closed = seen.mode() & 0o077 == 0;
    Ok(seen.is_dir() && closed && seen.uid() == process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_may_enter_is_not_ours_alone() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        for (mode, ours) in [(0o700, true), (0o710, false), (0o701, false), (0o500, true)] {
            std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_private_dir(&folder).unwrap(), ours, "{mode:o}");
        }
        let link = around.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(!is_private_dir(&link).unwrap(), "a link may come to lead elsewhere");
        assert!(is_private_dir(&around.path().join("none")).is_err());
    }
}
