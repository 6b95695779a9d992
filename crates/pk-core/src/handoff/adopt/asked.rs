//! What a process asked the kernel for, read from its memory once. Never acts on it.
//!
//! The memory may be changed by another thread of the process after it was read. That does no harm:
//! what is done is done with the copy, and a call that is let go on meets the kernel's own checks.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use rustix::net::AddressFamily;

use crate::sys::filter::Call;
use crate::sys::notification::{Notification, read_memory};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Bind {
        descriptor: i32,
        address: SocketAddr,
    },
    Listen {
        descriptor: i32,
        backlog: i32,
    },
    /// Something that is no affair of ours: another family, a port that the kernel is to choose.
    Else,
}

/// Reads it.
pub(super) fn read(notification: &Notification) -> io::Result<Asked> {
    let thread = notification.thread;
    match notification.call {
        Call::Bind([descriptor, address, length]) => {
            bind(thread, descriptor, address, length as u32)
        }
        Call::Listen([descriptor, backlog, _]) => Ok(listen(descriptor, backlog)),
        Call::MultiplexedBind(at) => {
            let [descriptor, address, length] = words(thread, at)?;
            bind(thread, descriptor, address, length as u32)
        }
        Call::MultiplexedListen(at) => {
            let [descriptor, backlog, _] = words(thread, at)?;
            Ok(listen(descriptor, backlog))
        }
        Call::Other => Ok(Asked::Else),
    }
}

fn bind(thread: u32, descriptor: u64, at: u64, length: u32) -> io::Result<Asked> {
    /// What the kernel takes at most for an address (`struct sockaddr_storage`).
    const LONGEST: u32 = 128;
    if length > LONGEST {
        return Ok(Asked::Else);
    }
    let mut bytes = [0; 28];
    let length = bytes.len().min(length as usize);
    let read = read_memory(thread, at, &mut bytes[..length])?;
    Ok(match address(&bytes[..read]) {
        Some(address) if address.port() != 0 => Asked::Bind {
            descriptor: descriptor as i32,
            address,
        },
        _ => Asked::Else,
    })
}

fn listen(descriptor: u64, backlog: u64) -> Asked {
    Asked::Listen {
        descriptor: descriptor as i32,
        backlog: backlog as i32,
    }
}

/// The arguments of an i386 program's `socketcall(2)`. A listen(2) has only two; what follows them
/// is read too, and not looked at.
fn words(thread: u32, at: u64) -> io::Result<[u64; 3]> {
    let mut bytes = [0; 12];
    let read = read_memory(thread, at & 0xffff_ffff, &mut bytes)?;
    if read < 8 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let word = |at: usize| {
        u64::from(u32::from_ne_bytes([
            bytes[at],
            bytes[at + 1],
            bytes[at + 2],
            bytes[at + 3],
        ]))
    };
    Ok([word(0), word(4), word(8)])
}

/// ip(7) and ipv6(7).
fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if family == AddressFamily::INET.as_raw() {
        // The kernel wants the whole struct, of which the last eight bytes mean nothing.
        let octets: [u8; 4] = bytes.get(..16)?.get(4..8)?.try_into().ok()?;
        return Some(SocketAddrV4::new(Ipv4Addr::from(octets), port).into());
    }
    if family == AddressFamily::INET6.as_raw() {
        let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        // Without a scope in programs of the last century.
        let (flow, scope) = (word(4)?, word(24).unwrap_or(0));
        return Some(
            SocketAddrV6::new(Ipv6Addr::from(octets), port, u32::from_be(flow), scope).into(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_reads_them() {
        let four = [2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let check = |bytes: &[u8], expect: Option<&str>| {
            let got = address(bytes).map(|address| address.to_string());
            assert_eq!(got.as_deref(), expect, "{bytes:?}");
        };
        check(&four, Some("127.0.0.1:8080"));
        check(&four[..8], None);
        let mut six = [0; 28];
        six[0] = AddressFamily::INET6.as_raw() as u8;
        six[2..4].copy_from_slice(&[0x1f, 0x90]);
        six[23] = 1;
        check(&six, Some("[::1]:8080"));
        check(&six[..24], Some("[::1]:8080"));
        check(&six[..20], None);
        check(&[1, 0, b'/', b'x'], None);
        check(&[], None);
    }
}
