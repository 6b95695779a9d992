//! Descriptors of other processes, as `/proc` shows them, and what a socket must have in common with
//! the one whose place it takes. Never opens one.

use std::fs;
use std::io;

use socket2::Socket;
use tracing::debug;

use crate::{Machine, tree};

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

/// Gives a socket the options that the program has set on the one that it replaces. One that can't
/// be set is left: the port matters more.
pub(super) fn copy_options(from: &Socket, to: &Socket) {
    let copied = || -> io::Result<()> {
        to.set_keepalive(from.keepalive()?)?;
        to.set_tcp_nodelay(from.tcp_nodelay()?)?;
        // The kernel doubles what it is told.
        to.set_recv_buffer_size(from.recv_buffer_size()? / 2)?;
        to.set_send_buffer_size(from.send_buffer_size()? / 2)
    };
    debug!(copied = ?copied(), "options of a replaced socket");
}

/// Whether a process below this one has the socket of this number open. Where that can't be told it
/// has.
pub(super) fn is_open_below(inode: u64) -> bool {
    let Ok(below) = tree::descendants(std::process::id(), &Machine::here()) else {
        return true;
    };
    let wanted = format!("socket:[{inode}]");
    below.iter().any(|process| {
        let Ok(open) = fs::read_dir(format!("/proc/{}/fd", process.pid)) else {
            // It has ended, or is another user's now.
            return false;
        };
        open.flatten().any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        })
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
