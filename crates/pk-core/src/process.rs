//! Who a process is, and whether it still lives. A number alone is not an identity: it is used
//! again, and means another process in another namespace. Never starts one.

mod about;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod faults;
mod itself;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::{Machine, sys};

pub use about::About;
pub(crate) use itself::Itself;

/// A process: its number, and what tells it from the next one with that number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its number, in its namespace.
    pub pid: u32,
    /// When it started, in clock ticks after boot (10 ms each), the same in every time namespace.
    pub start: u64,
    /// The namespace that the number belongs to (inode).
    pub namespace: u64,
}

/// What can be told of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs (or is stopped).
    Alive,
    /// It has ended, though its parent may not have asked for its status yet.
    Gone,
    /// It can't be seen from here.
    Unknown,
}

impl ProcessId {
    /// The process with this number, as seen from here; `None` when there is none. Where `/proc` is
    /// of no use it is one of an unknown namespace, whose end can't be told.
    ///
    /// # Errors
    /// The system's reason, where it does not tell.
    pub fn of(pid: u32, machine: &Machine) -> io::Result<Option<ProcessId>> {
        if machine.processes == 0 {
            let anonymous = ProcessId {
                pid,
                start: 0,
                namespace: 0,
            };
            let lives = anonymous.answers() != ProcessState::Gone;
            return Ok(lives.then_some(anonymous));
        }
        match stat(pid) {
            Ok(Stat { ended: true, .. }) => Ok(None),
            Ok(stat) => Ok(Some(ProcessId {
                pid,
                start: unshifted(stat.start),
                namespace: machine.processes,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// This very process.
    #[must_use]
    pub fn this(machine: &Machine) -> ProcessId {
        ProcessId {
            pid: std::process::id(),
            start: Itself::start(),
            namespace: machine.processes,
        }
    }

    /// Whether it still lives.
    #[must_use]
    pub fn state(&self, machine: &Machine) -> ProcessState {
        // A namespace that nothing is known of may be any.
        if self.namespace != machine.processes || self.namespace == 0 {
            return ProcessState::Unknown;
        }
        match stat(self.pid) {
            Ok(stat) if stat.ended || !self.started_at(stat.start) => ProcessState::Gone,
            Ok(_) => ProcessState::Alive,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.answers(),
            Err(_) => ProcessState::Unknown,
        }
    }

    /// Whether it is what `/proc` shows as started at that tick. One that was shifted there and back
    /// may be off by one.
    fn started_at(&self, shown: u64) -> bool {
        shown == self.start || unshifted(shown).abs_diff(self.start) <= 1
    }

    /// `/proc` may hide other users' processes (hidepid), kill(2) with signal 0 does not.
    fn answers(&self) -> ProcessState {
        match pid(self.pid).map(rustix::process::test_kill_process) {
            Some(Ok(()) | Err(Errno::PERM)) => ProcessState::Alive,
            Some(Err(Errno::SRCH)) | None => ProcessState::Gone,
            Some(Err(_)) => ProcessState::Unknown,
        }
    }

    /// A descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3).
    ///
    /// # Errors
    /// The system's reason; `NotFound` when it has ended, or another process has its number now;
    /// `Unsupported` for one of another process namespace, where the number is somebody else's.
    pub fn descriptor(&self, machine: &Machine) -> io::Result<OwnedFd> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        if self.namespace != machine.processes || self.namespace == 0 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let pid = pid(self.pid).ok_or_else(gone)?;
        #[cfg(target_os = "linux")]
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
        #[cfg(not(target_os = "linux"))]
        let descriptor = Err::<OwnedFd, _>(Errno::NOSYS);
        let descriptor = descriptor.map_err(|error| match error {
            Errno::SRCH => gone(),
            error => error.into(),
        })?;
        // Looked at after opening: from here on the descriptor is of the process that was meant.
        match self.state(machine) {
            ProcessState::Gone => Err(gone()),
            _ => Ok(descriptor),
        }
    }
}

/// Cuts this process off from the one that started it: a session of its own, `/` as the current
/// folder, nothing open but the three standard streams, which the caller sees to. To be called as
/// the first thing in a fresh process.
///
/// # Errors
/// The system's reason.
pub fn detach() -> io::Result<()> {
    match sys::close_inherited() {
        // Before Linux 5.9 what was inherited stays open: unwanted, but no reason not to start.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => {
            tracing::debug!(%error, "inherited descriptors stay open");
        }
        _ => {}
    }
    // A process that was just started leads no group, so this can only fail if it has a session
    // of its own already.
    let _ = rustix::process::setsid();
    rustix::process::chdir("/")?;
    Ok(())
}

/// Waits until the process behind a [`ProcessId::descriptor`] has ended; `false` when it has not
/// within `limit`.
///
/// # Errors
/// The system's reason.
pub fn wait(descriptor: &OwnedFd, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut watched = [PollFd::new(descriptor, PollFlags::IN)];
    Ok(rustix::event::poll(&mut watched, Some(&limit))? > 0)
}

/// Ends the process behind a [`ProcessId::descriptor`] at once (SIGKILL), and no other.
///
/// # Errors
/// The system's reason; `PermissionDenied` for another user's.
pub fn kill(descriptor: &OwnedFd) -> io::Result<()> {
    signal(descriptor, Signal::KILL)
}

/// Sends a signal to the process behind a [`ProcessId::descriptor`], and to no other.
///
/// # Errors
/// As [`kill`].
pub fn signal(descriptor: &OwnedFd, signal: Signal) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::pidfd_send_signal(descriptor, signal)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (descriptor, signal);
    Ok(())
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

/// The process that started `pid`, or has taken its place; `None` where there is no such process.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    stat(pid).ok().map(|stat| stat.parent)
}

/// The tick of the boot clock itself. In a time namespace `/proc` shows the start of a process as
/// that namespace counts, time_namespaces(7).
fn unshifted(shown: u64) -> u64 {
    let offsets = fs::read_to_string("/proc/self/timens_offsets");
    shown.saturating_add_signed(-boot_offset(&offsets.unwrap_or_default()))
}

/// By how many ticks a time namespace shifts the boot clock: `boottime 86400 500000000`, in seconds
/// and nanoseconds.
fn boot_offset(offsets: &str) -> i64 {
    let line = offsets
        .lines()
        .find_map(|line| line.strip_prefix("boottime"));
    let mut numbers = line
        .into_iter()
        .flat_map(|line| line.split_ascii_whitespace());
    let mut next = || numbers.next()?.parse::<i64>().ok();
    let (seconds, nanoseconds) = (next().unwrap_or(0), next().unwrap_or(0));
    seconds
        .saturating_mul(100)
        .saturating_add(nanoseconds / 10_000_000)
}

pub(crate) struct Stat {
    pub(crate) ended: bool,
    pub(crate) parent: u32,
    pub(crate) start: u64,
}

/// proc_pid_stat(5).
fn stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read(Path::new("/proc").join(pid.to_string()).join("stat"));
    parse(&text.map_err(gone_between)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A process that ends between open and read is one that was not there.
fn gone_between(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) if code == Errno::SRCH.raw_os_error() => io::ErrorKind::NotFound.into(),
        _ => error,
    }
}

/// The command name in the second field may contain anything, so the fields are counted from the
/// *last* parenthesis: the state is the 3rd of all, the start time the 22nd.
pub(crate) fn parse(text: &[u8]) -> Option<Stat> {
    let name_ends = text.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(text.get(name_ends + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X" | "x");
    Some(Stat {
        ended,
        parent: fields.next()?.parse().ok()?,
        start: fields.nth(17)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stat_is_read_from_the_last_parenthesis() {
        let check = |text: &str, expect: Option<(bool, u64)>| {
            let got = parse(text.as_bytes()).map(|stat| (stat.ended, stat.start));
            assert_eq!(got, expect, "{text}");
        };
        let tail = "1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 153593 99 1";
        check(&format!("7 (sh) S {tail}"), Some((false, 153_593)));
        check(&format!("7 (a) Z) R 9 (b) Z {tail}"), Some((true, 153_593)));
        check(&format!("7 (\n) X {tail}"), Some((true, 153_593)));
        check("7 (sh) S 1 2 3", None);
        check("", None);
        check("7 (sh", None);
    }

    #[test]
    fn the_shift_of_a_time_namespace_is_read() {
        let check = |text, expect| assert_eq!(boot_offset(text), expect, "{text}");
        check(
            "monotonic           0         0\nboottime       86400 500000000\n",
            8_640_050,
        );
        check("monotonic  7 0\nboottime -10 0\n", -1000);
        check("", 0);
        check("boottime\n", 0);
    }

    proptest! {
        #[test]
        fn a_command_may_have_any_name(name: Vec<u8>, start: u64) {
            let numbers = format!(") S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 {start} 99 1");
            let text = [b"7 (", &name[..], numbers.as_bytes()].concat();
            let stat = parse(&text).expect("its name ends at the last parenthesis");
            prop_assert_eq!((stat.ended, stat.start), (false, start));
            // Whatever else may stand there is no reason to panic.
            let _ = parse(&name);
        }
    }

    #[test]
    fn a_child_is_alive_then_gone_even_before_it_is_reaped() {
        let starting = crate::PROCESSES.write();
        let machine = Machine::here();
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat is everywhere");
        drop(starting);
        let id = ProcessId::of(child.id(), &machine)
            .unwrap()
            .expect("it runs");
        assert_eq!(id.state(&machine), ProcessState::Alive);
        let ends = id.descriptor(&machine).unwrap();
        drop(child.stdin.take());
        assert!(wait(&ends, Duration::from_secs(60)).unwrap());
        assert_eq!(id.state(&machine), ProcessState::Gone, "a zombie has ended");
        child.wait().unwrap();
        assert_eq!(id.state(&machine), ProcessState::Gone);
        assert_eq!(ProcessId::of(id.pid, &machine).unwrap(), None);
    }

    #[test]
    fn the_same_number_started_at_another_time_or_elsewhere_is_somebody_else() {
        let machine = Machine::here();
        let me = ProcessId::this(&machine);
        assert_eq!(me.state(&machine), ProcessState::Alive);
        assert_eq!(
            ProcessId {
                start: me.start + 2,
                ..me
            }
            .state(&machine),
            ProcessState::Gone
        );
        let elsewhere = ProcessId {
            namespace: me.namespace + 1,
            ..me
        };
        assert_eq!(elsewhere.state(&machine), ProcessState::Unknown);
        let unknown = elsewhere.descriptor(&machine).unwrap_err();
        assert_eq!(unknown.kind(), io::ErrorKind::Unsupported);
        assert_eq!(
            ProcessId {
                pid: u32::MAX,
                ..me
            }
            .state(&machine),
            ProcessState::Gone
        );
    }
}
