//! The five things that a snapshot asks of a disk, each of which can fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A place for files.
pub(crate) trait FileSystem: Send + Sync + std::fmt::Debug {
    /// Makes a file that only we can read, in place of one that was left behind.
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

/// Puts `parts` at `place`, whole or not at all: beside it first, then over it.
pub(crate) fn put(medium: &dyn FileSystem, place: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let new = place.with_extension("new");
    let written = write_temp(medium, &new, parts).and_then(|()| medium.rename(&new, place));
    if written.is_err() {
        // On a full disk it would be in the way; where it stays, the next one replaces it.
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
