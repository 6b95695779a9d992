//! What happens in a child between fork(2) and exec(2), where only calls that are
//! async-signal-safe may be made (signal-safety(7)). Never allocates there.
#![allow(
    unsafe_code,
    reason = "pre_exec, the environment's pointer and the signal mask have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal};

use super::install_filter;
use crate::handoff::pass;

/// The first descriptor behind the three standard streams (`sd_listen_fds(3)`).
pub(crate) const FIRST: RawFd = 3;

/// The steps, in the order in which they are taken.
#[derive(Debug)]
pub(crate) struct Steps {
    /// When the thread of this process that starts the child ends, the child is asked to (SIGTERM).
    pub(crate) parent: Option<Pid>,
    /// The terminal whose foreground group the child becomes.
    pub(crate) terminal: Option<OwnedFd>,
    /// What becomes descriptors 3, 4, …; none of them may be one of these numbers.
    pub(crate) sockets: Vec<OwnedFd>,
    pub(crate) environment: Option<Environment>,
    pub(crate) adoption: Option<Adoption>,
}

/// The filter, and what is done where the kernel refuses it.
#[derive(Debug)]
pub(crate) struct Adoption {
    /// Where the listener of notifications, or the error, is sent.
    pub(crate) report: UnixStream,
    /// The sockets of the holds, shared with the parent until exec closes them here. They are
    /// relaxed when the filter is refused; none where a refusal ends the child.
    pub(crate) relaxed: Option<Vec<RawFd>>,
}

/// All variables of a program, each `NAME=value\0`.
#[derive(Debug)]
pub(crate) struct Environment {
    strings: Vec<Vec<u8>>,
    pointers: Vec<*const libc::c_char>,
    /// Which of them gets the child's number as its value, and where in it.
    pid: Option<(usize, usize)>,
}

// SAFETY: the pointers lead into `strings`, which moves with them and is only written through
// `&mut self`.
unsafe impl Send for Environment {}
// SAFETY: as above; nothing is changed through a shared reference.
unsafe impl Sync for Environment {}

/// Room for the longest process number.
const DIGITS: usize = 10;

impl Environment {
    /// `pid` names a variable whose value is to be the number of the process that execs.
    pub(crate) fn new(variables: Vec<Vec<u8>>, pid: Option<&str>) -> Environment {
        let mut strings: Vec<Vec<u8>> = variables
            .into_iter()
            .map(|mut string| {
                string.push(0);
                string
            })
            .collect();
        let pid = pid.map(|name| {
            let mut string = format!("{name}=").into_bytes();
            let at = string.len();
            string.resize(at + DIGITS + 1, 0);
            strings.push(string);
            (strings.len() - 1, at)
        });
        let mut environment = Environment {
            strings,
            pointers: Vec::new(),
            pid,
        };
        environment.pointers = environment
            .strings
            .iter()
            .map(|string| string.as_ptr().cast())
            .chain([std::ptr::null()])
            .collect();
        environment
    }

    fn become_current(&mut self, pid: u32) {
        if let Some((string, at)) = self.pid {
            write_decimal(pid, &mut self.strings[string][at..]);
            // Written through the vector, so the pointer is taken anew.
            self.pointers[string] = self.strings[string].as_ptr().cast();
        }
        unsafe extern "C" {
            static mut environ: *const *const libc::c_char;
        }
        // SAFETY: this process has one thread, between fork and exec, and the array, which ends in
        // a null pointer, and its strings live until exec has copied them.
        unsafe { environ = self.pointers.as_ptr() };
    }
}

/// Decimal digits and a zero byte, at the start of `place`.
fn write_decimal(number: u32, place: &mut [u8]) {
    let mut digits = [0_u8; DIGITS];
    let mut rest = number;
    let mut first = DIGITS;
    while rest > 0 || first == DIGITS {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let length = DIGITS - first;
    place[..length].copy_from_slice(&digits[first..]);
    place[length] = 0;
}

/// Makes the children that `command` starts take these steps.
pub(crate) fn before_exec(command: &mut Command, mut steps: Steps) {
    // SAFETY: `Steps::take` makes system calls and writes to memory that was allocated before the
    // fork; it neither allocates nor takes a lock.
    unsafe { command.pre_exec(move || steps.take()) };
}

impl Steps {
    fn take(&mut self) -> io::Result<()> {
        if let Some(parent) = self.parent {
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
            // It may have ended before that was said.
            if rustix::process::getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
        if let Some(terminal) = &self.terminal {
            // Without it the program runs in the background, as one started with `&` does.
            // Its group is its own: it was made the head of one.
            let _ = to_foreground(terminal.as_fd(), rustix::process::getpid());
        }
        for (socket, number) in self.sockets.iter().zip(FIRST..) {
            // SAFETY: plain dup2(2), which clears close-on-exec; nothing in this process, which is
            // about to become another program, owns the descriptor that is replaced.
            if unsafe { libc::dup2(socket.as_raw_fd(), number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        if let Some(environment) = &mut self.environment {
            environment.become_current(std::process::id());
        }
        match &self.adoption {
            Some(adoption) => adoption.take(),
            None => Ok(()),
        }
    }
}

impl Adoption {
    fn take(&self) -> io::Result<()> {
        match install_filter() {
            Ok(listener) => {
                // SAFETY: the descriptor was just opened and is open; it is closed below.
                let borrowed = unsafe { BorrowedFd::borrow_raw(listener) };
                let sent = pass::send(&self.report, &0_i32.to_ne_bytes(), &[borrowed]);
                // SAFETY: nobody else in this process knows of it.
                unsafe { libc::close(listener) };
                sent
            }
            Err(errno) => {
                let Some(members) = &self.relaxed else {
                    return Err(io::Error::from_raw_os_error(errno));
                };
                for member in members {
                    // SAFETY: the parent's socket, open here until exec.
                    let member = unsafe { BorrowedFd::borrow_raw(*member) };
                    rustix::net::sockopt::set_socket_reuseaddr(member, true)?;
                }
                pass::send(&self.report, &errno.to_ne_bytes(), &[])
            }
        }
    }
}

/// The process group of this process; 0 where its leader is of another process namespace, which
/// rustix takes for impossible.
pub(crate) fn own_group() -> i32 {
    // SAFETY: the call takes nothing and always succeeds.
    unsafe { libc::getpgrp() }
}

/// Makes a process group the one that a terminal's keys and input go to. Also allowed to a process
/// that is itself in the background, which the kernel would stop for it (SIGTTOU) otherwise.
pub(crate) fn to_foreground(terminal: BorrowedFd<'_>, group: Pid) -> io::Result<()> {
    let mut blocked = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first set is initialised by sigemptyset before it is used, the second is written
    // by pthread_sigmask.
    unsafe {
        libc::sigemptyset(blocked.as_mut_ptr());
        libc::sigaddset(blocked.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
    }
    let done = rustix::termios::tcsetpgrp(terminal, group);
    // SAFETY: `before` was written by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for (number, expect) in [(0, "0"), (7, "7"), (4711, "4711"), (u32::MAX, "4294967295")] {
            let mut place = [b'x'; DIGITS + 1];
            write_decimal(number, &mut place);
            let end = place.iter().position(|byte| *byte == 0).unwrap();
            assert_eq!(&place[..end], expect.as_bytes());
        }
    }
}
