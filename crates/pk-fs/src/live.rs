//! A lock that a process keeps for life, so that everybody who can open the file can tell whether
//! that process still lives: across users and namespaces, with no process number that could be
//! used again. Never waits.
//!
//! The lock belongs to the open file, not to the process: a copy of the descriptor that was passed
//! on (or inherited over a fork) keeps it, and it ends when the last copy is closed, at the latest
//! when the last process that has one dies. It is therefore never unlocked, only closed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::access::Access;
use crate::age;
use crate::failpoint;
use crate::folder::Folder;
use crate::lock::uninterrupted;

/// A file that is locked for as long as this value, or a copy of its descriptor, is open.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct LiveFile(File);

/// What a stranger can tell of a live file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Somebody has it locked.
    Held,
    /// Nobody has: it is free, or not there.
    Free,
    /// It may not be opened or tested, so nothing is known.
    Unknown,
}

impl LiveFile {
    /// Creates `name` in `folder` and locks it.
    ///
    /// # Errors
    /// The system's reason; `AlreadyExists` where there is such a file.
    pub fn create(folder: &Folder, name: &Path, access: Access) -> io::Result<LiveFile> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = access.of_file();
        failpoint!("live.create", |error| return Err(error));
        let file = File::from(rustix::fs::openat(folder, name, flags, mode)?);
        failpoint!("live.created");
        rustix::fs::fchmod(&file, mode)?;
        let mut lock = fd_lock::RwLock::new(file);
        // Kept for the life of the file: see above.
        uninterrupted(|| lock.try_write().map(std::mem::forget))?;
        failpoint!("live.locked");
        Ok(LiveFile(lock.into_inner()))
    }

    /// The descriptor, to be passed to the process that goes on with it.
    #[must_use]
    pub fn into_descriptor(self) -> OwnedFd {
        self.0.into()
    }
}

/// One that another process has locked and passed on.
impl From<OwnedFd> for LiveFile {
    fn from(descriptor: OwnedFd) -> LiveFile {
        LiveFile(descriptor.into())
    }
}

impl AsFd for LiveFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives a live file the time of now if it is a day old, so that those who tidy up old files leave
/// it: without it, nobody could tell that its process lives.
pub fn freshen(live: impl AsFd) {
    if let Ok(found) = rustix::fs::fstat(&live) {
        age::freshen(live, &found);
    }
}

/// Whether somebody has `name` in `folder` locked. Of what is there only a file of the user `of`, if
/// one is given, tells anything; anything else might have been put there by anybody.
#[must_use]
pub fn life(folder: &Folder, name: &Path, of: Option<u32>) -> Life {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT) => return Life::Free,
        Err(_) => {
            let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
            return match (found, of) {
                (Ok(found), Some(uid)) if !is_file_of(&found, uid) => Life::Free,
                _ => Life::Unknown,
            };
        }
    };
    if let Some(uid) = of {
        match rustix::fs::fstat(&file) {
            Ok(found) if is_file_of(&found, uid) => {}
            Ok(_) => return Life::Free,
            Err(_) => return Life::Unknown,
        }
    }
    // A shared lock, so that two who ask at the same moment do not take each other for the holder.
    let lock = fd_lock::RwLock::new(file);
    match uninterrupted(|| lock.try_read().map(drop)) {
        Ok(()) => Life::Free,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Life::Held,
        Err(_) => Life::Unknown,
    }
}

fn is_file_of(found: &Stat, uid: u32) -> bool {
    found.st_uid == uid && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// Removes `name` from `folder`; one that is not there is fine.
///
/// # Errors
/// The system's reason.
pub fn remove(folder: &Folder, name: &Path) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_file_is_held_until_its_last_copy_is_closed() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let name = Path::new("k3v9");
        assert_eq!(life(&folder, name, None), Life::Free);
        let live = LiveFile::create(&folder, name, Access::Owner).unwrap();
        assert_eq!(life(&folder, name, None), Life::Held);
        assert_eq!(
            LiveFile::create(&folder, name, Access::Owner)
                .unwrap_err()
                .kind(),
            io::ErrorKind::AlreadyExists
        );
        let copy = rustix::io::dup(&live).unwrap();
        drop(live);
        assert_eq!(life(&folder, name, None), Life::Held);
        drop(copy);
        assert_eq!(life(&folder, name, None), Life::Free);
        remove(&folder, name).unwrap();
        remove(&folder, name).unwrap();
    }
}
