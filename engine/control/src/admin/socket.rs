//! The file of the admin socket.
//!
//! Only its owner may use it from the first moment, and it never replaces the socket of a running
//! server. A socket that is bound and then restricted is open to all users for an instant. So it is
//! bound inside a folder that only its owner may enter, restricted there, and then moved to its
//! path.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Only the owner may read and write.
const SOCKET_MODE: u32 = 0o600;
/// Mode of folders that are created for the socket.
const FOLDER_MODE: u32 = 0o700;

/// Name of the socket until it is moved to its path.
const BESIDE: &str = "s";

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Another process listens on it.
    #[error("{}: another server uses this socket", .0.display())]
    Taken(PathBuf),
    /// The path is not a socket.
    #[error("{}: the file is not a socket: move it away", .0.display())]
    NotASocket(PathBuf),
    /// The system returned an error.
    #[error("{path}: {1}", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// A bound socket; its file is removed with it.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    pub(crate) listener: UnixListener,
    pub(crate) file: SocketFile,
}

/// The socket's file, removed when dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Its temporary path until it is published.
    beside: Option<PathBuf>,
}

impl AdminSocket {
    /// Binds `path`, and creates its folder if necessary.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let mut socket = Self::bind_beside(path)?;
        make_way(path)?;
        socket.file.take_name()?;
        Ok(socket)
    }

    /// Binds like `bind`, but clients do not find the socket before
    /// [`take_name`](SocketFile::take_name).
    pub(crate) fn bind_beside(path: &Path) -> Result<Self, SocketError> {
        let failed = |error| SocketError::Io(path.to_owned(), error);
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder).map_err(failed)?;
        // A rename would accept a path that no client can connect to.
        SocketAddr::from_pathname(path).map_err(failed)?;
        // Short, because the whole path of a socket has at most 107 bytes.
        let private = folder.join(format!(".{}", std::process::id()));
        let _gone = fs::remove_dir_all(&private);
        DirBuilder::new().mode(FOLDER_MODE).create(&private).map_err(failed)?;
        // From here on, dropping it removes the folder.
        let mut file =
            SocketFile { path: path.to_owned(), inode: 0, beside: Some(private.clone()) };
        let (listener, inode) = bind_inside(&private.join(BESIDE)).map_err(failed)?;
        file.inode = inode;
        Ok(Self { listener, file })
    }
}

fn bind_inside(private: &Path) -> io::Result<(UnixListener, u64)> {
    let listener = UnixListener::bind(private)?;
    fs::set_permissions(private, Permissions::from_mode(SOCKET_MODE))?;
    listener.set_nonblocking(true)?;
    Ok((listener, fs::symlink_metadata(private)?.ino()))
}

impl SocketFile {
    /// Publishes the socket at its path, and replaces the present one.
    pub(crate) fn take_name(&mut self) -> Result<(), SocketError> {
        let Some(private) = &self.beside else { return Ok(()) };
        let failed = |error| SocketError::Io(self.path.clone(), error);
        fs::rename(private.join(BESIDE), &self.path).map_err(failed)?;
        let _gone = fs::remove_dir_all(private);
        self.beside = None;
        Ok(())
    }
}

/// Returns an error if `path` is in use.
fn make_way(path: &Path) -> Result<(), SocketError> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SocketError::Io(path.to_owned(), error)),
    };
    if !there.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(SocketError::Taken(path.to_owned())),
        Err(error) => Err(SocketError::Io(path.to_owned(), error)),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(private) = &self.beside {
            let _gone = fs::remove_dir_all(private);
            return;
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            // There is no caller to report to; the next start replaces a remaining file.
            let _left = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_only_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/deep/admin.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = AdminSocket::bind(&path).unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(SocketError::Taken(_))));
        UnixStream::connect(&path).unwrap();
        drop(first);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(AdminSocket::bind(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_successors_socket_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let old = AdminSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = AdminSocket::bind(&path).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
    }

    #[test]
    fn a_socket_that_waits_for_its_name_is_found_under_it_later_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let old = AdminSocket::bind(&path).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let was = inode();
        drop(AdminSocket::bind_beside(&path).unwrap());
        assert_eq!(inode(), was, "one that gave up changed nothing");
        let mut new = AdminSocket::bind_beside(&path).unwrap();
        assert_eq!(inode(), was);
        new.file.take_name().unwrap();
        assert_ne!(inode(), was);
        drop(old);
        UnixStream::connect(&path).unwrap();
        drop(new);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120));
        assert!(matches!(AdminSocket::bind(&path), Err(SocketError::Io(..))));
    }
}
