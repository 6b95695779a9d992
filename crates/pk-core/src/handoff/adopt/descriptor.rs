//! Descriptors of other processes, as `/proc` shows them. Never opens one.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use socket2::Socket;

use crate::{Machine, Transport, tree};

/// The flags of a descriptor that are not the socket's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) is_nonblocking: bool,
    pub(super) closes_on_exec: bool,
}

/// `proc_pid_fdinfo(5)`.
pub(super) fn flags(thread: u32, descriptor: i32) -> io::Result<Flags> {
    let text = fs::read_to_string(format!("/proc/{thread}/fdinfo/{descriptor}"))?;
    parse(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(text: &str) -> Option<Flags> {
    const NONBLOCK: u32 = 0o4000;
    const CLOEXEC: u32 = 0o2_000_000;
    let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    let flags = u32::from_str_radix(line.trim(), 8).ok()?;
    Some(Flags {
        is_nonblocking: flags & NONBLOCK != 0,
        closes_on_exec: flags & CLOEXEC != 0,
    })
}

/// What a socket speaks that can't be copied, if it can be bound to this address at all.
pub(super) fn transport(thread: u32, descriptor: i32, address: SocketAddr) -> Option<Transport> {
    let mut name = [0; 32];
    let path = format!("/proc/{thread}/fd/{descriptor}");
    let length = rustix::fs::getxattr(path, "system.sockprotoname", &mut name).ok()?;
    let name = name[..length].split(|byte| *byte == 0).next()?;
    let (kind, is_six) = match name.strip_suffix(b"v6") {
        Some(kind) => (kind, true),
        None => (name, false),
    };
    match kind {
        _ if is_six != address.is_ipv6() => None,
        b"TCP" | b"MPTCP" => Some(Transport::Tcp),
        b"UDP" => Some(Transport::Udp),
        _ => None,
    }
}

/// Whether a process' descriptor is this very socket.
pub(super) fn is_at(process: u32, descriptor: i32, socket: &Socket) -> bool {
    let path = format!("/proc/{process}/fd/{descriptor}");
    name(socket).is_some_and(|name| fs::read_link(path).is_ok_and(|target| target == name))
}

/// What `/proc/PID/fd` calls a socket.
fn name(socket: &Socket) -> Option<PathBuf> {
    let stat = rustix::fs::fstat(socket).ok()?;
    Some(format!("socket:[{}]", stat.st_ino).into())
}

/// Whether a process below this one has this very socket open. One that forbids that it is looked
/// into has it, if it is the one that the socket was given to, or one that this has started.
pub(super) fn is_open_below(socket: &Socket, given_to: u32) -> bool {
    let machine = Machine::here();
    let below = |root| tree::descendants(root, &machine).unwrap_or_default();
    let Some(name) = name(socket) else {
        return true;
    };
    let leads_there =
        |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|target| target == name);
    let may_have = |pid: u32| pid == given_to || below(given_to).iter().any(|it| it.pid == pid);
    below(std::process::id()).iter().any(|process| {
        match fs::read_dir(format!("/proc/{}/fd", process.pid)) {
            Ok(open) => open.flatten().any(leads_there),
            Err(error) => error.kind() == io::ErrorKind::PermissionDenied && may_have(process.pid),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_octal() {
        let check = |text: &str, expect: Option<(bool, bool)>| {
            let flags = parse(text).map(|it| (it.is_nonblocking, it.closes_on_exec));
            assert_eq!(flags, expect, "{text}");
        };
        check(
            "pos:\t0\nflags:\t02004002\nmnt_id:\t9\n",
            Some((true, true)),
        );
        check("pos:\t0\nflags:\t02\n", Some((false, false)));
        check("flags:\t04002\n", Some((true, false)));
        check("pos:\t0\n", None);
        check("flags:\t9\n", None);
    }
}
