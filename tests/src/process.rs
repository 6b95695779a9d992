//! Other processes: starting them, seeing them as `/proc` shows them, waiting for what they do.
//! Never ends a process that a test did not start.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid,
};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Read by those who start a process, written by those whom that would disturb.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts a process. All tests start theirs here, for the sake of [`undisturbed`].
///
/// # Errors
/// The system's reason.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _shared = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Opens and closes again, in `work`, while no process is being started: until it runs its own
/// program a new process has copies of all our descriptors, and with them a port, or a file that is
/// written to, that we believe to have closed.
pub fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Whether `pid` is a process that still runs (a zombie does not).
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    fields(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

/// What `pid` is doing, in the letter of proc_pid_stat(5): `T` where it was stopped. `None` where there
/// is no such process.
#[must_use]
pub fn state(pid: u32) -> Option<char> {
    fields(pid)?[0].chars().next()
}

/// The session that `pid` belongs to.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn session(pid: u32) -> u32 {
    fields(pid).expect("a process")[3]
        .parse()
        .expect("a number")
}

/// The fields of `/proc/PID/stat` after the name, which may contain anything but ends at the last
/// parenthesis.
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The processes in whose environment `text` stands: all that were started in the world of a test,
/// whatever they did to their parents, groups and sessions.
#[must_use]
pub fn with_environment(text: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_text = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(text) && is_alive(*pid)
    };
    pids.filter(has_text).collect()
}

/// Sends a signal to a process that the test started, or made the program start.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a pid");
    // Gone already is as good.
    let _ = kill_process(pid, signal);
}

/// Kills `child` and waits until it is a zombie; its parent has yet to ask for its end.
///
/// # Panics
/// It is not a child of ours.
pub fn make_zombie(child: &Child) {
    signal(child.id(), Signal::KILL);
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .expect("a pid");
    waitid(
        WaitId::Pid(pid),
        WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
    )
    .expect("our child");
}

/// Waits until `pid`, which need not be a child of ours, runs no more: told by the kernel at once
/// where it can, which [`eventually`] would look for again and again.
///
/// # Panics
/// It still runs after `limit`.
#[track_caller]
pub fn gone(limit: Duration, pid: u32) {
    let most = Timespec::try_from(limit).expect("a limit");
    if let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw)
        && let Ok(process) = pidfd_open(number, PidfdFlags::empty())
    {
        // Whatever this says, it is seen below.
        let _ = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&most));
    }
    eventually(limit, "a process is gone", || !is_alive(pid));
}

/// Waits until `condition` holds, looking at it again and again.
///
/// # Panics
/// It does not hold within `limit`.
#[track_caller]
pub fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(PAUSE);
    }
}
