//! Linux' own calls: a few socket options, close_range(2), and answering other processes' calls.
#![allow(
    unsafe_code,
    reason = "system calls that neither socket2 nor rustix wraps"
)]

#[cfg(test)]
pub(crate) mod failing;
pub(crate) mod filter;
pub(crate) mod notification;

use std::io;
use std::os::fd::{AsFd, AsRawFd};

pub(crate) use filter::install_filter;

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

/// The number of the network interface that a socket is bound to; 0 for none.
pub(crate) fn interface_of(socket: impl AsFd) -> io::Result<u32> {
    option(socket, SO_BINDTOIFINDEX)
}

/// The number of the network namespace that a socket lives in: unique until the next boot, unlike
/// the inode of `/proc/self/ns/net`, which is used again. Since Linux 5.14.
pub(crate) fn network_cookie(socket: impl AsFd) -> io::Result<u64> {
    option(socket, libc::SO_NETNS_COOKIE)
}

/// The protocol that a socket speaks, as in `/etc/protocols`.
pub(crate) fn protocol_of(socket: impl AsFd) -> io::Result<i32> {
    option(socket, libc::SO_PROTOCOL)
}

/// An option of any level whose value is a number.
pub(crate) fn number(socket: impl AsFd, level: i32, name: i32) -> io::Result<i32> {
    option_of(socket, level, name)
}

/// Sets such an option.
pub(crate) fn set_number(socket: impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes, which is the size of `value`.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            length,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// An option of the socket level whose value is a number of the type that is asked for.
fn option<T: Number>(socket: impl AsFd, name: libc::c_int) -> io::Result<T> {
    option_of(socket, libc::SOL_SOCKET, name)
}

fn option_of<T: Number>(socket: impl AsFd, level: libc::c_int, name: libc::c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes, which is the size of `value`, a number for
    // which every bit pattern is a value.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(value)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// What an option's value can be.
trait Number: Default {}
impl Number for i32 {}
impl Number for u32 {}
impl Number for u64 {}
/// The effective user of the process at the other end, at the moment when it connected
/// (`SO_PEERCRED`, unix(7)). The number of the process is left aside: it is 0 for one of another
/// process namespace, which rustix takes for impossible.
pub(crate) fn peer_uid(socket: impl AsFd) -> io::Result<u32> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: libc::uid_t::MAX,
        gid: libc::gid_t::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the option writes at most `length` bytes, which is the size of `peer`, and any bytes
    // make a `ucred`.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if answer == 0 {
        Ok(peer.uid)
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
