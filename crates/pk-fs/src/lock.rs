//! An exclusive lock on a file, with a deadline. Never deletes, renames or truncates that file.
//!
//! The lock is flock(2), through fd-lock: it ends with the process, whatever ends it, and it knows
//! nothing of the data. Three rules make it hold:
//!
//! * **Lock a sidecar.** A file that is replaced by rename is another file after the first update,
//!   and two writers then hold "the" lock. `data.json.lock` beside `data.json` is never replaced.
//! * **Look again.** Whoever waited may have waited for a file that is no longer at its path (an
//!   operator tidied up). After locking, the path must still lead to the locked file; otherwise
//!   start over.
//! * **Wait with a deadline.** flock has none. The first try does not wait; only when the lock is
//!   taken a helper thread waits in the kernel's queue, which is fairer than polling.
//!
//! flock excludes threads of one process only if each opens the file anew, which this does; a table
//! of the locks that this process holds keeps its threads in order and finds a thread that locks
//! twice.
//!
//! # Limitations
//! flock is an agreement, not security: a process that does not ask for the lock is not stopped by
//! it. On network file systems it may not reach other machines. A wait that timed out leaves its
//! helper thread in the kernel's queue until the holder lets go: whoever tries for hours against a
//! stopped holder collects one thread a try.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::debug;

use crate::age;
use crate::failpoint;
use crate::folder::Folder;
use crate::sys::locks;

mod queued;

/// How long to wait for a lock that somebody else holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Never,
    /// At most this long.
    UpTo(Duration),
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else held it until the deadline.
    #[error("{} is locked by {}", path.display(), describe(holder.as_ref()))]
    Timeout {
        /// The file.
        path: PathBuf,
        /// Who holds it, where the system tells.
        holder: Option<Holder>,
    },
    /// This thread holds it already and would wait for itself.
    #[error("{} is locked by this very thread", path.display())]
    Reentrant {
        /// The file.
        path: PathBuf,
    },
    /// The file to be locked must exist, and does not.
    #[error("no such file: {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// What is at the path can't be trusted to be a file of ours.
    #[error("{} is {what}", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What it is instead: "a directory", "a symlink", …
        what: String,
    },
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number, as this process sees it.
    pub pid: u32,
    /// Its command name.
    pub command: Option<String>,
}

impl Holder {
    fn of(stat: &Stat) -> Option<Holder> {
        let pid = locks::holder(stat)?;
        let command = locks::command(pid);
        Some(Holder { pid, command })
    }
}

/// Does it again for as long as signals interrupt it.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// A time that nobody outwaits, and that clocks can still count.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

fn describe(holder: Option<&Holder>) -> String {
    match holder {
        None => "another process".into(),
        Some(Holder { pid, command: None }) => format!("process {pid}"),
        Some(Holder {
            pid,
            command: Some(command),
        }) => format!("process {pid} ({command})"),
    }
}

/// Who holds the exclusive lock of the file `name` in `folder` at this moment. Opens nothing, so it
/// is in nobody's way, and knows only what `/proc/locks` shows: nobody of another process namespace.
#[must_use]
pub fn holder(folder: &Folder, name: &Path) -> Option<Holder> {
    let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Holder::of(&stat)
}

/// A file to lock.
#[derive(Debug, Clone)]
pub struct LockFile<'f> {
    base: BorrowedFd<'f>,
    name: PathBuf,
    path: PathBuf,
    kind: Kind,
    whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sidecar,
    Data,
}

/// Whose a file may be that is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This user's, or root's.
    Mine,
    /// Root's alone.
    Roots,
    /// Anybody's who could put it there: nobody else can in a folder of people who trust each other.
    Anybodys,
}

/// A lock that is held, for as long as the closure given to [`LockFile::exclusive`] runs.
#[derive(Debug)]
pub struct Locked<'l> {
    file: &'l std::fs::File,
    lock: &'l LockFile<'l>,
    stat: Stat,
}

impl LockFile<'static> {
    /// The lock file at `path`, created (mode 0600) when it is first locked.
    #[must_use]
    pub fn sidecar(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        LockFile {
            base: CWD,
            name: path.clone(),
            path,
            kind: Kind::Sidecar,
            whose: Whose::Mine,
        }
    }
}

impl<'f> LockFile<'f> {
    /// The lock file `name` in an open folder, created (mode 0600) when it is first locked.
    #[must_use]
    pub fn sidecar_in(folder: &'f Folder, name: impl AsRef<Path>) -> Self {
        Self::within(folder, name.as_ref(), Kind::Sidecar, Whose::Mine)
    }

    /// The existing file `name` in an open folder, opened for reading only, which is enough to lock
    /// it.
    #[must_use]
    pub fn data_in(folder: &'f Folder, name: impl AsRef<Path>, whose: Whose) -> Self {
        Self::within(folder, name.as_ref(), Kind::Data, whose)
    }

    fn within(folder: &'f Folder, name: &Path, kind: Kind, whose: Whose) -> Self {
        use std::os::fd::AsFd;
        let path = folder.path().join(name);
        LockFile {
            base: folder.as_fd(),
            name: name.into(),
            path,
            kind,
            whose,
        }
    }

    /// Locks the file, runs `work`, and unlocks it.
    ///
    /// # Errors
    /// [`Error::Timeout`] when somebody else holds it too long, [`Error::Unsafe`] when what is
    /// there is not a regular file with one link that belongs to the right user,
    /// [`Error::Missing`] for a data file that is not there, [`Error::Reentrant`] inside its own
    /// `work`.
    pub fn exclusive<T>(
        &self,
        wait: Wait,
        work: impl FnOnce(&Locked<'_>) -> T,
    ) -> Result<T, Error> {
        let now = Instant::now();
        let deadline = match wait {
            Wait::Never => now,
            Wait::UpTo(time) => now.checked_add(time).unwrap_or(now + FOREVER),
        };
        loop {
            let (file, stat) = self.open()?;
            let _turn = Turn::take(&stat, deadline, &self.path)?;
            failpoint!("lock.lock", |error| return Err(self.failed("lock", error)));
            let file = Arc::new(file);
            let mut lock = fd_lock::RwLock::new(Arc::clone(&file));
            match lock.try_write() {
                Ok(_guard) => {
                    let locked = Locked {
                        file: &file,
                        lock: self,
                        stat,
                    };
                    if self.leads_to(&locked)? {
                        failpoint!("lock.locked");
                        let value = work(&locked);
                        failpoint!("lock.unlock");
                        return Ok(value);
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed("lock", error)),
            }
            debug!(path = %self.path.display(), "waiting for the lock");
            failpoint!("lock.wait");
            let _held = queued::wait(lock, deadline)
                .map_err(|error| self.failed("lock", error))?
                .ok_or_else(|| self.timeout(&stat))?;
            let locked = Locked {
                file: &file,
                lock: self,
                stat,
            };
            if self.leads_to(&locked)? {
                failpoint!("lock.waited");
                return Ok(work(&locked));
            }
        }
    }

    /// Opens the file and makes sure that it is one that may be locked.
    fn open(&self) -> Result<(std::fs::File, Stat), Error> {
        // NONBLOCK: a FIFO in its place must not make us hang.
        let common = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let access = match self.kind {
            Kind::Sidecar => OFlags::RDWR,
            Kind::Data => OFlags::RDONLY,
        };
        loop {
            let opened =
                match rustix::fs::openat(self.base, &self.name, access | common, Mode::empty()) {
                    Err(Errno::NOENT) if self.kind == Kind::Sidecar => match self.create(common) {
                        Err(Errno::EXIST) => continue,
                        created => created,
                    },
                    opened => opened,
                };
            let descriptor = opened.map_err(|error| match error {
                Errno::NOENT if self.kind == Kind::Data => Error::Missing {
                    path: self.path.clone(),
                },
                Errno::LOOP => self.distrust("a symlink"),
                Errno::ISDIR => self.distrust("a directory"),
                Errno::NXIO => self.distrust("a socket or a device"),
                error => self.failed("open", error.into()),
            })?;
            let stat = rustix::fs::fstat(&descriptor)
                .map_err(|error| self.failed("examine", error.into()))?;
            // Deleted since it was opened: what is at the path now?
            if stat.st_nlink == 0 {
                continue;
            }
            self.check(&stat)?;
            return Ok((descriptor.into(), stat));
        }
    }

    fn create(&self, common: OFlags) -> Result<std::os::fd::OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | common;
        let mode = Mode::RUSR | Mode::WUSR;
        let descriptor = rustix::fs::openat(self.base, &self.name, flags, mode)?;
        failpoint!("lock.created");
        // The umask may have taken away even the owner's own rights.
        rustix::fs::fchmod(&descriptor, mode)?;
        Ok(descriptor)
    }

    fn check(&self, stat: &Stat) -> Result<(), Error> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(self.distrust("a directory")),
            FileType::Fifo => return Err(self.distrust("a FIFO")),
            _ => return Err(self.distrust("not a regular file")),
        }
        if stat.st_nlink > 1 {
            return Err(self.distrust(format!("a file with {} hard links", stat.st_nlink)));
        }
        let is_right = match self.whose {
            Whose::Mine => stat.st_uid == geteuid().as_raw() || stat.st_uid == 0,
            Whose::Roots => stat.st_uid == 0,
            Whose::Anybodys => true,
        };
        if !is_right {
            return Err(self.distrust(format!("a file of another user (uid {})", stat.st_uid)));
        }
        Ok(())
    }

    fn leads_to(&self, locked: &Locked<'_>) -> Result<bool, Error> {
        locked
            .is_current()
            .map_err(|error| self.failed("examine", error))
    }

    fn timeout(&self, stat: &Stat) -> Error {
        Error::Timeout {
            path: self.path.clone(),
            holder: Holder::of(stat),
        }
    }

    fn distrust(&self, what: impl Into<String>) -> Error {
        Error::Unsafe {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

impl Locked<'_> {
    /// Whether the path still leads to the file that is locked. To be asked again as the last
    /// thing before a change is committed.
    ///
    /// # Errors
    /// The system's reason, where the path can't be examined.
    pub fn is_current(&self) -> io::Result<bool> {
        match rustix::fs::statat(self.lock.base, &self.lock.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) => Ok((now.st_dev, now.st_ino) == (self.stat.st_dev, self.stat.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the file the time of now if it is a day old, so that those who tidy up old files leave
    /// it. Where that can't be done, and it is removed, the next one makes another.
    pub fn freshen(&self) {
        age::freshen(self.file, &self.stat);
    }

    /// The locked file. A data file is open for reading, a sidecar for both.
    #[must_use]
    pub fn file(&self) -> &std::fs::File {
        self.file
    }

    /// What fstat(2) told when the file was opened.
    #[must_use]
    pub fn stat(&self) -> &Stat {
        &self.stat
    }
}

type Holders = Vec<(u64, u64, ThreadId)>;

/// The files (device, inode) that threads of this process have locked or are waiting for.
static TURNS: (Mutex<Holders>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

/// The right of this thread to ask for a file's lock.
struct Turn {
    device: u64,
    inode: u64,
}

impl Turn {
    fn take(stat: &Stat, deadline: Instant, path: &Path) -> Result<Turn, Error> {
        let (device, inode) = (stat.st_dev, stat.st_ino);
        let me = thread::current().id();
        let mut holders = Turn::table();
        loop {
            match holders
                .iter()
                .find(|turn| (turn.0, turn.1) == (device, inode))
            {
                None => break,
                Some(turn) if turn.2 == me => return Err(Error::Reentrant { path: path.into() }),
                Some(_) => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let pid = std::process::id();
                let holder = Some(Holder {
                    pid,
                    command: locks::command(pid),
                });
                return Err(Error::Timeout {
                    path: path.into(),
                    holder,
                });
            }
            let woken = TURNS.1.wait_timeout(holders, left);
            holders = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        holders.push((device, inode, me));
        Ok(Turn { device, inode })
    }

    /// A thread that panicked while it held the table left it whole: it only pushes and removes.
    fn table() -> MutexGuard<'static, Holders> {
        TURNS.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        Turn::table().retain(|turn| (turn.0, turn.1) != (self.device, self.inode));
        TURNS.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_told_as_far_as_it_is_known() {
        let of = |command: Option<&str>| Holder {
            pid: 7,
            command: command.map(Into::into),
        };
        assert_eq!(describe(None), "another process");
        assert_eq!(describe(Some(&of(None))), "process 7");
        assert_eq!(describe(Some(&of(Some("cat")))), "process 7 (cat)");
    }

    #[test]
    fn what_a_signal_interrupts_is_done_again() {
        let mut answers = vec![
            Err(Errno::ACCESS.into()),
            Ok(7),
            Err(Errno::INTR.into()),
            Err(Errno::INTR.into()),
        ];
        let mut call = || answers.pop().expect("it is called four times");
        assert_eq!(uninterrupted(&mut call).ok(), Some(7));
        let refused = uninterrupted(call).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
