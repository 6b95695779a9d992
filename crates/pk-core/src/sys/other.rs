//! Where there is no Linux: the calls say that they are not supported.

use std::io;
use std::os::fd::AsFd;

pub(crate) fn bind_to_interface(_socket: impl AsFd, _index: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn network_cookie(_socket: impl AsFd) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn close_inherited() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
