//! What people want to know of a process: its command line, its user, since when it runs. Never used
//! to tell one process from another: a process can write what it likes into its command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::machine;

/// A process, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its number.
    pub pid: u32,
    /// Its command line, with blanks between the words, at most 4096 bytes of it; in brackets the
    /// name of one that has none. Whatever the process wants it to be: not fit for a terminal as it
    /// is.
    pub command: String,
    /// The user whose rights it has.
    pub uid: u32,
    /// Whether it can't gain privileges by starting a program, such as sudo (`no_new_privs`,
    /// prctl(2)).
    pub no_new_privileges: bool,
    /// Whether it was stopped (SIGSTOP, or Ctrl-Z) and does not go on.
    pub is_stopped: bool,
    /// When it started, by the wall clock, to some 10 ms.
    pub started: SystemTime,
}

/// The most bytes of a command line that are read.
const MOST: u64 = 4096;

/// The clock tick in which `/proc` counts, in milliseconds (`USER_HZ` is 100).
const TICK_MS: u64 = 10;

impl About {
    /// Asks the system.
    ///
    /// # Errors
    /// The system's reason; `NotFound` when the process has ended or can't be seen from here.
    pub fn of(pid: u32) -> io::Result<About> {
        let folder = Path::new("/proc").join(pid.to_string());
        let status = read(folder.join("status"))?;
        let uid = effective_user(&status).ok_or(io::ErrorKind::InvalidData)?;
        let start = super::stat(pid)?.start;
        Ok(About {
            pid,
            command: command(&folder)?,
            uid,
            is_stopped: is_stopped(&status),
            no_new_privileges: has_no_new_privileges(&status),
            started: started(start, SystemTime::now(), machine::boot_clock_ms()),
        })
    }
}

/// proc_pid_cmdline(5): words that end in a NUL. Threads of the kernel and zombies have none.
fn command(folder: &Path) -> io::Result<String> {
    let words = read(folder.join("cmdline"))?;
    let line = joined(&words);
    if !line.is_empty() {
        return Ok(line);
    }
    let name = read(folder.join("comm"))?;
    Ok(format!("[{}]", String::from_utf8_lossy(&name).trim_end()))
}

fn joined(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    text.trim_end_matches('\0').replace('\0', " ")
}

fn read(path: PathBuf) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let answer = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    match answer {
        Ok(_) => Ok(bytes),
        Err(error) => Err(super::gone_between(error)),
    }
}

/// proc_pid_status(5): `Uid:` with the real, the effective and two more.
fn effective_user(status: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(status);
    let users = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// proc_pid_status(5): `NoNewPrivs:` with 0 or 1.
fn is_stopped(status: &[u8]) -> bool {
    let text = String::from_utf8_lossy(status);
    let state = text.lines().find_map(|line| line.strip_prefix("State:"));
    state.is_some_and(|state| state.trim_start().starts_with(['T', 't']))
}

fn has_no_new_privileges(status: &[u8]) -> bool {
    let text = String::from_utf8_lossy(status);
    let flag = text
        .lines()
        .find_map(|line| line.strip_prefix("NoNewPrivs:"));
    flag.is_some_and(|flag| flag.trim() == "1")
}

/// The wall clock's time at `ticks` after boot. Counted back from now, because it is then right
/// whatever the wall clock was set to in between.
fn started(ticks: u64, now: SystemTime, now_ms: u64) -> SystemTime {
    let age = now_ms.saturating_sub(ticks.saturating_mul(TICK_MS));
    now.checked_sub(Duration::from_millis(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told_of() {
        let about = About::of(std::process::id()).unwrap();
        let program = std::env::args().next().unwrap();
        assert!(about.command.starts_with(&program), "{about:?}");
        assert_eq!(about.uid, rustix::process::geteuid().as_raw());
        let age = about.started.elapsed().unwrap();
        assert!(age < Duration::from_secs(3600), "{about:?}");
    }

    #[test]
    fn a_process_that_is_not_there_is_not_found() {
        let error = About::of(u32::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn command_lines_are_joined() {
        let check = |words: &[u8], expect| assert_eq!(joined(words), expect);
        check(b"python3\0-m\0http.server\0", "python3 -m http.server");
        check(b"sh\0-c\0\0", "sh -c");
        check(
            b"nginx: master process nginx\0\0\0",
            "nginx: master process nginx",
        );
        check(b"\xff\0a", "\u{fffd} a");
        check(b"", "");
    }

    #[test]
    fn the_user_is_the_effective_one() {
        let check = |text: &str, expect| assert_eq!(effective_user(text.as_bytes()), expect);
        check(
            "Name:\tsh\nUid:\t1000\t0\t0\t0\nGid:\t1\t2\t3\t4\n",
            Some(0),
        );
        check("Uid:\t1000\n", None);
        check("", None);
    }

    #[test]
    fn a_start_is_counted_back_from_now() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(started(100, at(1000), 11_000), at(990));
        assert_eq!(started(u64::MAX, at(1000), 11_000), at(1000));
    }
}
