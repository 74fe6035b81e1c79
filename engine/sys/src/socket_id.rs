//! Shutdown of a connection that another thread waits on.
//!
//! The kernel reuses the number of a closed descriptor, so a number alone does not identify a
//! socket. Linux gives each socket a cookie that no other socket gets. To shut down a socket, the
//! code first duplicates the descriptor with that number and then compares the cookie of the
//! duplicate. The duplicate cannot become another socket.

#![expect(unsafe_code, reason = "by number alone the standard library offers nothing")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// A connection of this process, with its unique identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    fd: RawFd,
    cookie: u64,
}

impl SocketId {
    /// Returns the identity of the socket with the descriptor `fd`; `None` if `fd` is not a socket.
    #[must_use]
    pub fn of(fd: RawFd) -> Option<Self> {
        cookie(fd).map(|cookie| Self { fd, cookie })
    }

    /// Returns the descriptor. After the socket is closed, the number can belong to another file.
    #[must_use]
    pub const fn fd(&self) -> RawFd {
        self.fd
    }

    /// Shuts the connection down in both directions. Returns whether the socket was still open.
    #[must_use]
    pub fn shutdown(&self) -> bool {
        // Checked before the duplication too: duplicating and closing a file would release its
        // locks.
        if cookie(self.fd) != Some(self.cookie) {
            return false;
        }
        let Some(own) = duplicate(self.fd) else { return false };
        if cookie(own.as_raw_fd()) != Some(self.cookie) {
            return false;
        }
        // SAFETY: the call takes two numbers and reads no memory of ours.
        unsafe { libc::shutdown(own.as_raw_fd(), libc::SHUT_RDWR) == 0 }
    }
}

fn cookie(fd: RawFd) -> Option<u64> {
    let mut cookie: u64 = 0;
    let mut bytes = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: the pointers are to two live values of ours, and the second is the length of the
    // first. A number that is no open socket is an error.
    let result = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut bytes,
        )
    };
    (result == 0).then_some(cookie)
}

fn duplicate(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: the call takes numbers and reads no memory of ours. A number that is no open file is
    // an error.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) };
    if new < 0 {
        return None;
    }
    // SAFETY: the descriptor is new, and no other code knows its number.
    Some(unsafe { OwnedFd::from_raw_fd(new) })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn who_reads_learns_of_the_end() {
        let (mut near, _far) = pair();
        let name = SocketId::of(near.as_raw_fd()).unwrap();
        let reader = std::thread::spawn(move || near.read(&mut [0; 8]).map_err(|e| e.kind()));
        // The reader gets the end of the stream whether or not it reads already.
        assert!(name.shutdown());
        assert_eq!(reader.join().unwrap(), Ok(0));
    }

    #[test]
    fn the_next_socket_with_the_number_is_left_alone() {
        let (near, _far) = pair();
        let number = near.as_raw_fd();
        let name = SocketId::of(number).unwrap();
        drop(near);
        let (other, mut far) = pair();
        let another = SocketId { fd: other.as_raw_fd(), ..name };
        assert!(!another.shutdown() && !name.shutdown());
        far.set_nonblocking(true).unwrap();
        let still_open = far.read(&mut [0; 8]).unwrap_err().kind();
        assert_eq!(still_open, std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_is_no_socket_has_no_name() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(SocketId::of(file.as_raw_fd()), None);
        assert_eq!(SocketId::of(-1), None);
    }
}
