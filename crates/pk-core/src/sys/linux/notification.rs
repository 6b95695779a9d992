//! Answering bind(2) and listen(2) of other processes: the calls with which they are heard and the
//! answer is given (`seccomp_unotify(2)`). Never decides what the answer is.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::{c_int, c_void};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};

use super::filter::{Call, call};

/// A call that waits for its answer. Its process may die at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    /// The thread that calls.
    pub(crate) thread: u32,
    pub(crate) call: Call,
}

/// Answer as soon as it is asked, on the same processor (Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// Whether the kernel knows of such filters at all, and how large its messages are.
pub(crate) fn message_sizes() -> io::Result<libc::seccomp_notif_sizes> {
    let mut sizes = libc::seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: the kernel writes three numbers into `sizes`.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            &raw mut sizes,
        )
    };
    match answer {
        0 => Ok(sizes),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Asks the kernel to be quick about answers; one that can't is as good, and slower.
pub(crate) fn hurry(listener: impl AsFd) {
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the call takes a number.
    let answer = unsafe {
        libc::ioctl(
            listener,
            libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS as _,
            SYNC_WAKE_UP,
        )
    };
    tracing::trace!(answer, "synchronous wake-ups");
}

/// Whether a call waits.
pub(crate) fn is_there(listener: impl AsFd) -> io::Result<bool> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut watched = [PollFd::new(&listener, PollFlags::IN)];
    rustix::event::poll(&mut watched, Some(&now))?;
    Ok(watched[0].revents().contains(PollFlags::IN))
}

/// The next call that waits; `None` when its process has died meanwhile.
pub(crate) fn receive(listener: impl AsFd, size: usize) -> io::Result<Option<Notification>> {
    let words = size.max(size_of::<libc::seccomp_notif>()).div_ceil(8);
    let mut space = vec![0_u64; words];
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one message of the size that it has named before.
    let answer = unsafe {
        libc::ioctl(
            listener,
            libc::SECCOMP_IOCTL_NOTIF_RECV as _,
            space.as_mut_ptr().cast::<c_void>(),
        )
    };
    if answer != 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOENT | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: the space is at least as large as the struct, aligned for it, and every bit pattern is
    // a value of its numbers.
    let message = unsafe { space.as_ptr().cast::<libc::seccomp_notif>().read() };
    let number = message.data.nr.cast_unsigned();
    let arguments = [
        message.data.args[0],
        message.data.args[1],
        message.data.args[2],
    ];
    Ok(Some(Notification {
        id: message.id,
        thread: message.pid,
        call: call(message.data.arch, number, arguments),
    }))
}

/// Whether a call still waits: only then is what was read of its process really that process'.
pub(crate) fn is_waiting(listener: impl AsFd, id: u64) -> bool {
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one number.
    unsafe {
        libc::ioctl(
            listener,
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _,
            &raw const id,
        ) == 0
    }
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The kernel does as if nobody had been asked.
    GoOn,
    /// It has been done.
    Done,
    /// It fails with this error number.
    Failed(i32),
}

/// Answers a call; one whose process has died needs no answer.
pub(crate) fn reply(listener: impl AsFd, id: u64, reply: Reply) -> io::Result<()> {
    let mut response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: match reply {
            Reply::Failed(number) => -number,
            Reply::GoOn | Reply::Done => 0,
        },
        flags: match reply {
            Reply::GoOn => libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Reply::Done | Reply::Failed(_) => 0,
        },
    };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one response.
    let answer = unsafe {
        libc::ioctl(
            listener,
            libc::SECCOMP_IOCTL_NOTIF_SEND as _,
            &raw mut response,
        )
    };
    gone_is_fine(answer)
}

/// Puts a copy of `socket` in the place of the caller's descriptor `number`.
pub(crate) fn replace(
    listener: impl AsFd,
    id: u64,
    number: u32,
    socket: impl AsFd,
    close_on_exec: bool,
) -> io::Result<()> {
    let mut exchange = libc::seccomp_notif_addfd {
        id,
        flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
        srcfd: socket.as_fd().as_raw_fd().cast_unsigned(),
        newfd: number,
        newfd_flags: if close_on_exec {
            libc::O_CLOEXEC.cast_unsigned()
        } else {
            0
        },
    };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one struct.
    let answer: c_int = unsafe {
        libc::ioctl(
            listener,
            libc::SECCOMP_IOCTL_NOTIF_ADDFD as _,
            &raw mut exchange,
        )
    };
    match answer {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn gone_is_fine(answer: c_int) -> io::Result<()> {
    let error = io::Error::last_os_error();
    match answer {
        0 => Ok(()),
        _ if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        _ => Err(error),
    }
}

/// Reads a thread's memory; how much could be read.
pub(crate) fn read_memory(thread: u32, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut local = [IoSliceMut::new(into)];
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(address as usize),
        iov_len: local[0].len(),
    };
    // SAFETY: the kernel writes at most so many bytes into `into` (IoSliceMut is an iovec), and
    // checks the other process' addresses itself.
    let length = unsafe {
        libc::process_vm_readv(
            thread.cast_signed(),
            local.as_mut_ptr().cast(),
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// A copy of a thread's descriptor (`pidfd_getfd(2)`).
pub(crate) fn descriptor(thread: u32, number: i32) -> io::Result<OwnedFd> {
    /// `PIDFD_THREAD`, since Linux 6.9.
    const THREAD: PidfdFlags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    let pid = |number: u32| Pid::from_raw(number.cast_signed()).ok_or(Errno::SRCH);
    let opened = match rustix::process::pidfd_open(pid(thread)?, THREAD) {
        Err(Errno::INVAL) => {
            let process = process_of(thread).ok_or(Errno::SRCH)?;
            rustix::process::pidfd_open(pid(process)?, PidfdFlags::empty())?
        }
        opened => opened?,
    };
    let copied = rustix::process::pidfd_getfd(opened, number, PidfdGetfdFlags::empty());
    Ok(copied?)
}

/// The process that a thread belongs to.
pub(crate) fn process_of(thread: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}
