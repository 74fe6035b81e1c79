//! The five operations of a snapshot on the disk, each of which can fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A file system.
pub(crate) trait FileSystem: Send + Sync + std::fmt::Debug {
    /// Creates a file that only its owner can read, in place of a leftover one.
    fn create(&self, path: &Path) -> io::Result<File> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    /// Writes all of `bytes`.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Waits until what was written is on the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Moves a file over another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Waits until the folder's names are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

/// The disk.
#[derive(Debug)]
pub(crate) struct RealFileSystem;

impl FileSystem for RealFileSystem {}

/// Writes `parts` to `place` atomically: to a temporary file first, which is then moved.
pub(crate) fn put(medium: &dyn FileSystem, place: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let new = place.with_extension("new");
    let written = write_temp(medium, &new, parts).and_then(|()| medium.rename(&new, place));
    if written.is_err() {
        // On a full disk it would use space; if it stays, the next one replaces it.
        let _stays = fs::remove_file(&new);
        return written;
    }
    medium.sync_folder(place.parent().unwrap_or(Path::new(".")))
}

fn write_temp(medium: &dyn FileSystem, new: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = medium.create(new)?;
    for part in parts {
        medium.write(&mut file, part)?;
    }
    medium.sync(&file)
}
