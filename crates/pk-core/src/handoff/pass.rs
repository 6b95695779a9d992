//! Passing open descriptors over a unix socket (`SCM_RIGHTS`, unix(7)): what arrives is the very
//! same socket or lock, so there is no moment at which nobody has it. Never keeps a copy.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::sys;

/// The most descriptors that one message can carry (`SCM_MAX_FD`).
pub const MOST: usize = 253;

/// Sends `text`, which must not be empty, and copies of `descriptors`.
///
/// # Errors
/// The system's reason; `InvalidInput` for more than [`MOST`] descriptors or no text.
pub fn send(socket: impl AsFd, text: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > MOST || text.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The descriptors travel with the first byte; what the kernel did not take of the text follows.
    let sent = sendmsg(
        &socket,
        &[IoSlice::new(text)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    let mut rest = &text[sent..];
    while !rest.is_empty() {
        rest = &rest[rustix::net::send(&socket, rest, SendFlags::NOSIGNAL)?..];
    }
    Ok(())
}

/// Receives at most `buffer.len()` bytes and the descriptors that came with them, all
/// close-on-exec. No bytes mean that the other end is closed.
///
/// # Errors
/// The system's reason.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let answer = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    Ok((answer.bytes, descriptors))
}

/// The user at the other end of a connection, as it was when it connected, whatever process
/// namespace it lives in; the overflow user (65534) where its user namespace knows it by no number.
///
/// # Errors
/// The system's reason; `Unsupported` where there is no `SO_PEERCRED`.
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    sys::peer_uid(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn what_arrives_is_the_same_socket() {
        let _no_process_starts = crate::PROCESSES.read();
        let (here, mut there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        send(&here, b"hello", &[listener.as_fd()]).unwrap();
        drop(listener);
        let mut buffer = [0; 64];
        let (length, mut descriptors) = receive(&there, &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
        let listener = TcpListener::from(descriptors.pop().unwrap());
        assert_eq!(listener.local_addr().unwrap(), address);
        assert!(descriptors.is_empty());
        drop(here);
        assert_eq!(there.read(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn too_many_and_nothing_are_refused() {
        let _no_process_starts = crate::PROCESSES.read();
        let (here, _there) = UnixStream::pair().unwrap();
        let many = [here.as_fd(); MOST + 1];
        assert_eq!(
            send(&here, b"x", &many).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            send(&here, b"", &[]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_text_that_does_not_get_through_is_an_error() {
        let _no_process_starts = crate::PROCESSES.read();
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        let text = vec![7; 16 << 20];
        let refused = send(&here, &text, &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        // What has got through is the beginning.
        drop(here);
        let mut arrived = Vec::new();
        there.read_to_end(&mut arrived).unwrap();
        assert!(!arrived.is_empty() && text.starts_with(&arrived));
        drop(there);
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        let refused = send(&here, b"x", &[]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
        assert!(receive(std::fs::File::open("/dev/null").unwrap(), &mut [0]).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_other_end_of_a_pair_is_this_user() {
        let _no_process_starts = crate::PROCESSES.read();
        let (here, _there) = UnixStream::pair().unwrap();
        let me = rustix::process::geteuid().as_raw();
        assert_eq!(peer_uid(&here).unwrap(), me);
        let file = std::fs::File::open("/dev/null").unwrap();
        let none = UnixStream::from(OwnedFd::from(file));
        assert!(peer_uid(&none).is_err());
    }
}
