//! Where there is no Linux: the calls say that they are not supported.

use std::io;
use std::os::fd::{AsFd, RawFd};

fn unsupported<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn bind_to_interface(_socket: impl AsFd, _index: u32) -> io::Result<()> {
    unsupported()
}

pub(crate) fn interface_of(_socket: impl AsFd) -> io::Result<u32> {
    Ok(0)
}

pub(crate) fn network_cookie(_socket: impl AsFd) -> io::Result<u64> {
    unsupported()
}

pub(crate) fn peer_uid(_socket: impl AsFd) -> io::Result<u32> {
    unsupported()
}

pub(crate) fn close_inherited() -> io::Result<()> {
    unsupported()
}

pub(crate) fn install_filter() -> Result<RawFd, i32> {
    Err(rustix::io::Errno::NOSYS.raw_os_error())
}
