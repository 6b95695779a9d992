//! A private place beside a file for the bytes to come. Never shows them to anybody else, and never
//! removes a stage that is in use.
//!
//! A stage is a directory, mode 0700, in the directory of the file that is about to be replaced, so
//! that the rename stays within one file system. A temp file alone would not do: in a directory that
//! a group may write, a member can open, exchange or overwrite a file whose name can be guessed.
//!
//! A process that is killed leaves its stage behind. The lock file inside tells the next one: it is
//! locked for as long as the stage is in use, and whoever finds it unlocked may sweep it away.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::debug;

use crate::failpoint;
use crate::lock::uninterrupted;

/// What the names of all stages begin with. The dot hides them from `ls` and from most watchers.
const PREFIX: &str = ".portkeeper-tmp-";

/// The file in a stage that is locked while the stage is in use.
const LOCK: &str = "lock";

/// A private directory that goes when this is dropped, with what is in it.
#[derive(Debug)]
#[must_use = "the stage is removed when this is dropped"]
pub struct Stage {
    parent: OwnedFd,
    name: OsString,
    folder: OwnedFd,
    /// Holds the lock until it is closed.
    _lock: File,
}

impl Stage {
    /// Makes a stage in the directory `parent`.
    ///
    /// # Errors
    /// The system's reason; nothing is left behind.
    pub fn create(parent: impl AsFd) -> io::Result<Stage> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        failpoint!("stage.make", |error| return Err(error));
        let pid = std::process::id();
        let start = start_of(pid).unwrap_or_default();
        let name = loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!("{PREFIX}{pid}-{start}-{count}"));
            match rustix::fs::mkdirat(&parent, &name, Mode::RWXU) {
                Ok(()) => break name,
                // Another pid namespace has a process with our number and start.
                Err(Errno::EXIST) if count < 10_000 => {}
                Err(error) => return Err(error.into()),
            }
        };
        failpoint!("stage.made");
        Stage::equip(parent.as_fd(), name.clone()).inspect_err(|_| {
            // Best effort: the sweep of the next write comes by.
            let _ = remove(parent.as_fd(), &name);
        })
    }

    fn equip(parent: BorrowedFd<'_>, name: OsString) -> io::Result<Stage> {
        let folder = open_own(parent, &name)?;
        // Locked under another name first: a lock file that is found unlocked is a dead one.
        let (early, lock) = ("lock.new", Path::new(LOCK));
        let mode = Mode::RUSR | Mode::WUSR;
        let file = create_in(folder.as_fd(), OsStr::new(early), mode)?;
        failpoint!("stage.lock-made");
        let mut held = fd_lock::RwLock::new(file);
        // Never unlocked, only closed: the lock then lives as long as its last copy.
        uninterrupted(|| held.try_write().map(std::mem::forget))?;
        failpoint!("stage.locked");
        rustix::fs::renameat(&folder, early, &folder, lock)?;
        failpoint!("stage.ready");
        let parent = parent.try_clone_to_owned()?;
        Ok(Stage {
            parent,
            name,
            folder,
            _lock: held.into_inner(),
        })
    }

    /// The name of the directory.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Creates a file in the stage. The `mode` is what the umask, or the default ACL of the
    /// directory in which the stage is, makes of it.
    ///
    /// # Errors
    /// The system's reason.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        create_in(self.folder.as_fd(), name, Mode::from_raw_mode(mode))
    }

    /// A path to the file `name` in the stage that no rename of a directory on the way misleads.
    #[must_use]
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        anchored(self.folder.as_fd(), name)
    }

    /// Removes the stage and what is in it. Dropping does the same and keeps silent about errors.
    ///
    /// # Errors
    /// The system's reason.
    pub fn remove(self) -> io::Result<()> {
        remove(self.parent.as_fd(), &self.name)
    }
}

impl AsFd for Stage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = remove(self.parent.as_fd(), &self.name) {
            debug!(stage = ?self.name, %error, "a stage could not be removed");
        }
    }
}

/// Removes the stages of this user's that nobody uses any more from a directory, and returns how
/// many there were.
///
/// # Errors
/// The system's reason, where the directory can't be read or a stage not be removed.
pub fn sweep(parent: impl AsFd) -> io::Result<usize> {
    let parent = parent.as_fd();
    let dead = find(parent, open_own)?;
    for name in &dead {
        remove(parent, name)?;
    }
    Ok(dead.len())
}

/// The stages that [`sweep`] would remove. Changes nothing.
///
/// # Errors
/// The system's reason, where the directory can't be read.
pub fn dead(parent: impl AsFd) -> io::Result<Vec<OsString>> {
    find(parent.as_fd(), open_folder)
}

fn find(parent: BorrowedFd<'_>, open: Open) -> io::Result<Vec<OsString>> {
    // Anew, since a descriptor that only marks a place (O_PATH) can't be read.
    let readable = open_folder(parent, OsStr::new("."))?;
    let mut found = Vec::new();
    for entry in Dir::new(readable)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if is_stage(name) && is_dead(parent, name, open)? {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// How a stage is opened to be looked into.
type Open = fn(BorrowedFd<'_>, &OsStr) -> io::Result<OwnedFd>;

/// Whether a folder of this name is a stage.
#[must_use]
pub fn is_stage(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX.as_bytes())
}

/// Whether a stage is one of this user's and nobody uses it.
fn is_dead(parent: BorrowedFd<'_>, name: &OsStr, open: Open) -> io::Result<bool> {
    let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let is_mine = stat.st_uid == geteuid().as_raw();
    if !is_mine || FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(false);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let folder = match open(parent, name) {
        // Its owner has no right to it: it was killed while it was made.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(!is_process_alive(name));
        }
        folder => folder?,
    };
    match rustix::fs::openat(&folder, LOCK, flags, Mode::empty()) {
        Ok(file) => {
            let lock = fd_lock::RwLock::new(File::from(file));
            match uninterrupted(|| lock.try_read().map(drop)) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
                Err(error) => Err(error),
            }
        }
        // Killed before it had locked, or about to lock.
        Err(Errno::NOENT) => Ok(!is_process_alive(name)),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process that a stage is named after lives.
fn is_process_alive(name: &OsStr) -> bool {
    let fields = || {
        let mut fields = name.to_str()?.strip_prefix(PREFIX)?.split('-');
        Some((
            fields.next()?.parse().ok()?,
            fields.next()?.parse::<u64>().ok()?,
        ))
    };
    fields().is_some_and(|(pid, start)| start_of(pid) == Some(start))
}

/// When a process started, in clock ticks since boot: field 22 of proc_pid_stat(5), counted from
/// the last parenthesis, since a command name may hold some.
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .nth(19)?
        .parse()
        .ok()
}

/// Removes a stage: its files, the lock last, then the directory. One that is gone is fine.
fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let gone = |answer: Result<(), Errno>| match answer {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(io::Error::from(error)),
    };
    let folder = match open_own(parent, name) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let is_content = !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lock");
        if is_content {
            gone(rustix::fs::unlinkat(
                &folder,
                entry.file_name(),
                AtFlags::empty(),
            ))?;
        }
    }
    failpoint!("stage.emptied");
    gone(rustix::fs::unlinkat(&folder, LOCK, AtFlags::empty()))?;
    failpoint!("stage.unlocked");
    gone(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
}

/// Opens a stage, and gives its owner back the rights that a umask may have taken away. The setgid
/// bit stays.
fn open_own(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    // To mark a place needs no right to it.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    if !mode.contains(Mode::RWXU) {
        let mode = (mode | Mode::RWXU) & !(Mode::RWXG | Mode::RWXO);
        let permissions = fs::Permissions::from_mode(mode.as_raw_mode());
        fs::set_permissions(through(place.as_fd()), permissions)?;
    }
    open_folder(place.as_fd(), OsStr::new("."))
}

/// Opens a folder in another one, for what is more than naming it.
pub(crate) fn open_folder(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Creates a file that its owner may read and write, whatever the umask takes away.
fn create_in(folder: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, mode)?;
    let made = Mode::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    let own = Mode::RUSR | Mode::WUSR;
    if !made.contains(own) {
        rustix::fs::fchmod(&file, made | own)?;
    }
    Ok(file.into())
}

/// A path to `name` in an open directory, for calls that know no descriptors: through proc(5), so
/// that it leads there whatever has been renamed meanwhile.
pub(crate) fn anchored(folder: BorrowedFd<'_>, name: &OsStr) -> PathBuf {
    through(folder).join(name)
}

/// A path to an open file or directory itself.
pub(crate) fn through(descriptor: BorrowedFd<'_>) -> PathBuf {
    Path::new("/proc/self/fd").join(descriptor.as_raw_fd().to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::folder::Folder;

    fn entries(path: &Path) -> Vec<OsString> {
        fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn a_stage_is_private_and_leaves_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let stage = Stage::create(&folder).unwrap();
        let mode = temp
            .path()
            .join(stage.name())
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        stage
            .create_file(OsStr::new("new"), 0o600)
            .unwrap()
            .write_all(b"1")
            .unwrap();
        assert_eq!(fs::read(stage.path_of(OsStr::new("new"))).unwrap(), b"1");
        stage.remove().unwrap();
        assert_eq!(entries(temp.path()), [""; 0]);
        drop(Stage::create(&folder).unwrap());
        assert_eq!(entries(temp.path()), [""; 0]);
    }

    #[test]
    fn only_dead_stages_are_swept() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let mine = Stage::create(&folder).unwrap();
        let make = |name: &str, files: &[&str]| {
            fs::create_dir(temp.path().join(name)).unwrap();
            for file in files {
                let open = &mut fs::OpenOptions::new();
                open.write(true)
                    .create_new(true)
                    .open(temp.path().join(name).join(file))
                    .unwrap();
            }
        };
        let starting = format!(
            "{PREFIX}{}-{}-x",
            std::process::id(),
            start_of(std::process::id()).unwrap()
        );
        make(".portkeeper-tmp-1-1-0", &["lock", "new"]);
        make(".portkeeper-tmp-4194305-7-0", &[]);
        make(".portkeeper-tmp-odd", &["lock.new"]);
        make(&starting, &["lock.new"]);
        make(".atomicwriteabc", &["tmpfile.tmp"]);
        make("portkeeper-tmp-1-1-0", &["lock"]);
        std::os::unix::fs::symlink("/", temp.path().join(".portkeeper-tmp-1-1-1")).unwrap();
        let mut found = dead(&folder).unwrap();
        found.sort();
        let expect = ["1-1-0", "4194305-7-0", "odd"].map(|name| format!("{PREFIX}{name}"));
        assert_eq!(found, expect.map(OsString::from));
        assert_eq!(entries(temp.path()).len(), 8);
        assert_eq!(sweep(&folder).unwrap(), 3);
        assert_eq!(entries(temp.path()).len(), 5);
        assert!(temp.path().join(starting).exists());
        mine.remove().unwrap();
    }
}
