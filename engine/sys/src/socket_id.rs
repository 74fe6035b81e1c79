//! Ending a connection that another thread waits on.
//!
//! A descriptor is a number that is given to the next file once it is free, so a number alone must
//! never be acted on later. A socket has a cookie beside it, which Linux gives to no other socket
//! while it runs. Whoever wants to end the socket takes a descriptor of their own to whatever has
//! the number now, and looks whether it has the cookie too: from then on it cannot become another.

#![expect(unsafe_code, reason = "by number alone the standard library offers nothing")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc;

/// A connection of this process, by what no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    fd: RawFd,
    cookie: u64,
}

impl SocketId {
    /// The name of the socket with the descriptor `fd`; nothing where that is no socket.
    #[must_use]
    pub fn of(fd: RawFd) -> Option<Self> {
        cookie(fd).map(|cookie| Self { fd, cookie })
    }

    /// Its descriptor, which is another file's once it is closed.
    #[must_use]
    pub const fn fd(&self) -> RawFd {
        self.fd
    }

    /// Ends the connection in both directions, whoever reads from it; says whether it was still
    /// there.
    #[must_use]
    pub fn shutdown(&self) -> bool {
        // Looked at twice: taking and closing a descriptor of a file would release its locks.
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
    // SAFETY: the pointers are to two live values of ours, and the second says how long the first
    // is. A number that is no open socket is an error.
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
    // SAFETY: the descriptor is new, and nobody else knows of it.
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
        // Whether the thread reads already or not, it reads the end.
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
