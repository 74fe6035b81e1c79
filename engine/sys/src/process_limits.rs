//! Limits that a process puts on itself before it touches what a stranger made.

use rustix::process::{self, Resource, Rlimit, Signal};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the process may use from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Seconds of processor time, from the start of the process. After them it is sent SIGXCPU, which
    /// ends it and says why; a second later it is killed.
    pub cpu_s: u64,
    /// Bytes of address space.
    pub address_space_bytes: u64,
    /// How much it stands behind others for the processor: 0 to 19.
    pub niceness: i32,
}

/// Confines this process for good: processor time, address space and priority; it writes no file and
/// leaves no core; and it ends with the thread that started it.
///
/// # Errors
/// The system refuses; then the process should end.
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

/// Keeps what is in this process's memory from others, for good: it leaves no core, no process of
/// the same user may look into it, and what it starts gains no rights that it lacks. To be called
/// before there is a second thread.
///
/// # Errors
/// The system refuses.
pub fn harden_process() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    Ok(nix::sys::prctl::set_no_new_privs()?)
}

/// Whether a folder is ours and nobody else may look into it or write there.
///
/// # Errors
/// It cannot be looked at.
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
