//! Keeps a few unusable files of each name for analysis.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Maximum of damaged files of one name; the oldest is removed.
pub const DAMAGED_FILES_MAX: usize = 3;

/// Moves a file aside as `NAME.damaged-1`, the newest, and returns its path.
pub(crate) fn keep_damaged(path: &Path) -> io::Result<PathBuf> {
    let place = |n: usize| {
        let mut name = OsString::from(path.as_os_str());
        name.push(format!(".damaged-{n}"));
        PathBuf::from(name)
    };
    for n in (1..DAMAGED_FILES_MAX).rev() {
        match fs::rename(place(n), place(n.saturating_add(1))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, place(1))?;
    Ok(place(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_few_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snapshot");
        for n in 0..DAMAGED_FILES_MAX + 2 {
            fs::write(&path, n.to_string()).unwrap();
            assert!(keep_damaged(&path).unwrap().ends_with("snapshot.damaged-1"));
        }
        let read = |n| fs::read_to_string(dir.path().join(format!("snapshot.damaged-{n}")));
        assert_eq!([1, 2, 3].map(|n| read(n).unwrap()), ["4", "3", "2"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), DAMAGED_FILES_MAX);
        assert!(keep_damaged(&path).is_err());
    }
}
