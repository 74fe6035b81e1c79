//! Passing of open files from one process to another over a private channel.
//!
//! The channel is a pair of unnamed sockets. One end is the standard input of the child process. No
//! other process can connect, so the channel needs no authentication.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Files in one message. The kernel allows 253.
pub const FILES_PER_MESSAGE: usize = 64;
/// The payload of each message. The kernel passes no files with an empty message.
const MARK: [u8; 1] = [b'f'];

/// Sends open files, in order. The receiver gets its own descriptors of the same files.
///
/// # Errors
/// The other process has closed the channel or does not read from it.
pub fn send_files(channel: &UnixStream, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    for some in files.chunks(FILES_PER_MESSAGE) {
        let raw: Vec<_> = some.iter().map(AsRawFd::as_raw_fd).collect();
        let (with, flags) = ([ControlMessage::ScmRights(&raw)], MsgFlags::MSG_NOSIGNAL);
        let mark = [IoSlice::new(&MARK)];
        sendmsg::<UnixAddr>(channel.as_raw_fd(), &mark, &with, flags, None)?;
    }
    Ok(())
}

/// Receives `count` open files, in order. Programs that start later do not inherit them.
///
/// # Errors
/// The other process has closed the channel, is too slow, or sends other data.
pub fn receive_files(channel: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut files = Vec::new();
    while files.len() < count {
        let some = receive_some(channel)?;
        if some.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "channel closed too early"));
        }
        files.extend(some);
    }
    if files.len() == count { Ok(files) } else { Err(io::ErrorKind::InvalidData.into()) }
}

#[expect(unsafe_code, reason = "the kernel hands over files as numbers")]
fn receive_some(channel: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut room = cmsg_space!([i32; FILES_PER_MESSAGE]);
    let mut mark = [0; MARK.len()];
    let mut into = [IoSliceMut::new(&mut mark)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let heard = recvmsg::<UnixAddr>(channel.as_raw_fd(), &mut into, Some(&mut room), flags)?;
    let mut files = Vec::new();
    for control in heard.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            for number in raw {
                // SAFETY: the kernel created this descriptor for us with the message, and no other
                // code knows its number.
                files.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    Ok(files)
}

/// Returns the channel at the standard input of this process. Afterwards the standard input is
/// empty.
///
/// # Errors
/// The standard input is not such a channel.
pub fn channel_from_stdin() -> io::Result<UnixStream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails here if the standard input is not a socket.
    channel.peer_addr()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_file_that_was_handed_over_is_the_same() {
        let (here, there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send_files(&here, &[listener.as_fd()]).unwrap();
        let mut handed = receive_files(&there, 1).unwrap();
        drop(listener);
        let heir = TcpListener::from(handed.remove(0));
        let _client = TcpStream::connect(address).unwrap();
        assert!(heir.accept().is_ok());
    }

    #[test]
    fn more_than_one_message_holds_keep_their_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut ends = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..FILES_PER_MESSAGE + 3 {
            let (end, other) = UnixStream::pair().unwrap();
            ends.push(end);
            sent.push(other);
        }
        let fds: Vec<_> = sent.iter().map(AsFd::as_fd).collect();
        send_files(&here, &fds).unwrap();
        let handed = receive_files(&there, fds.len()).unwrap();
        for (place, (mut end, other)) in ends.into_iter().zip(handed).enumerate() {
            end.write_all(&[u8::try_from(place).unwrap()]).unwrap();
            let mut byte = [0];
            UnixStream::from(other).read_exact(&mut byte).unwrap();
            assert_eq!(usize::from(byte[0]), place);
        }
    }

    #[test]
    fn a_channel_that_ends_or_carries_none_is_an_error() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"x").unwrap();
        assert!(receive_files(&there, 1).is_err());
        drop(here);
        assert!(receive_files(&there, 1).is_err());
    }
}
