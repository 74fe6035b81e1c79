//! The ways in which editors and tools save a file.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap());
    name.push(ending);
    path.with_file_name(name)
}

/// Truncates and writes.
pub fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}

/// Writes another file and renames it onto `path`, as editors do.
pub fn rename_over(path: &Path, bytes: impl AsRef<[u8]>) {
    let new = beside(path, ".new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Points `link` to `target` in one step, as deployment tools do.
pub fn swap_link(link: &Path, target: &str) {
    let new = beside(link, ".link");
    symlink(target, &new).unwrap();
    std::fs::rename(new, link).unwrap();
}
