//! Linux' own calls: two socket options and close_range(2).
#![allow(
    unsafe_code,
    reason = "three system calls that neither socket2 nor rustix wraps"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// socket(7), since Linux 5.1; not in libc.
const SO_BINDTOIFINDEX: libc::c_int = 62;

/// Binds a socket to the network interface of this number, which need not exist; 0 undoes it,
/// which needs `CAP_NET_RAW`.
pub(crate) fn bind_to_interface(socket: impl AsFd, index: u32) -> io::Result<()> {
    let length = size_of::<u32>() as libc::socklen_t;
    // SAFETY: the option takes an int, `index` is one of that size and lives through the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_BINDTOIFINDEX,
            (&raw const index).cast(),
            length,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The number of the network namespace that a socket lives in: unique until the next boot, unlike
/// the inode of `/proc/self/ns/net`, which is used again. Since Linux 5.14.
pub(crate) fn network_cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes, which is the size of `cookie`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Closes every descriptor above the three standard streams. Since Linux 5.9.
pub(crate) fn close_inherited() -> io::Result<()> {
    // SAFETY: only called by a process that has just started and has opened nothing itself (see
    // `process::detach`), so that no value in it owns one of these descriptors.
    let answer = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
