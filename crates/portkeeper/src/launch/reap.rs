//! The ends of processes: noticing them, and bringing them about. Never touches a process that is
//! not below this one.
//!
//! This process must be a child subreaper (prctl(2)): then everything that was started below it
//! stays below it, whatever it does to its parents, groups and sessions, and when nothing is left
//! to wait for, nothing is left.

use std::io;
use std::time::{Duration, Instant};

use pk_core::{Machine, process, tree};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::message::Status;

/// How long processes may take to end by themselves once they were asked to.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long to wait for those that were killed: one that the kernel can't interrupt is left behind.
const LIMIT: Duration = Duration::from_secs(5);

/// How often those that are left are killed, because they may have had children meanwhile.
pub(super) const AGAIN: Duration = Duration::from_millis(50);

/// What has become of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Ended(Pid, Status),
    Stopped(Pid, i32),
    /// Nothing has changed.
    None,
    /// There is no child.
    Childless,
}

/// Makes this process the parent of every orphan below it.
pub(super) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// The next change of a child. Does not wait.
pub(super) fn next() -> io::Result<Change> {
    loop {
        let change = match rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) => change(pid, status),
            Ok(None) => Some(Change::None),
            Err(Errno::CHILD) => Some(Change::Childless),
            Err(Errno::INTR) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(change) = change {
            return Ok(change);
        }
    }
}

fn change(pid: Pid, status: WaitStatus) -> Option<Change> {
    if let Some(signal) = status.stopping_signal() {
        return Some(Change::Stopped(pid, signal));
    }
    let ended = status
        .exit_status()
        .map(Status::Exited)
        .or_else(|| status.terminating_signal().map(Status::Signalled))?;
    Some(Change::Ended(pid, ended))
}

/// Sends a signal to every process below this one. Those that are stopped are woken up, so that
/// they can act on it.
pub(super) fn signal_all(machine: &Machine, signal: Signal) {
    for found in tree::descendants(std::process::id(), machine).unwrap_or_default() {
        let Ok(descriptor) = found.descriptor(machine) else {
            continue;
        };
        // One that belongs to another user can't be reached; it is not waited for for ever.
        let sent = process::signal(&descriptor, signal)
            .and_then(|()| process::signal(&descriptor, Signal::CONT));
        tracing::debug!(pid = found.pid, ?signal, ?sent, "ending what is left");
    }
}

/// Ends every process below this one, and waits until they are gone.
pub(super) fn end_all(machine: &Machine) -> io::Result<()> {
    if !is_childless()? {
        signal_all(machine, Signal::TERM);
    }
    let begun = Instant::now();
    while !is_childless()? && begun.elapsed() < GRACE + LIMIT {
        if begun.elapsed() >= GRACE {
            signal_all(machine, Signal::KILL);
        }
        // There is no event for "the last one has gone" where the signal has no handler.
        std::thread::sleep(AGAIN / 10);
    }
    Ok(())
}

fn is_childless() -> io::Result<bool> {
    loop {
        match next()? {
            Change::Childless => return Ok(true),
            Change::None => return Ok(false),
            Change::Ended(..) | Change::Stopped(..) => {}
        }
    }
}

/// When what is being ended is waited for no longer.
pub(super) fn gives_up(begun: Instant) -> bool {
    begun.elapsed() >= GRACE + LIMIT
}
