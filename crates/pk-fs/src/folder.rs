//! A directory held open, so that a path swapped underneath can't mislead what follows, and the
//! question who else may write in it. Never opens the files inside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::access::Access;
use crate::failpoint;
use crate::stage::through;
use crate::sys::accounts;

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder is not there, or the way to it is not.
    #[error("no such folder: {}", path.display())]
    Missing {
        /// The folder that was asked for.
        path: PathBuf,
    },
    /// What is at the path is no folder that can be trusted.
    #[error("{} is {what}", path.display())]
    Unsafe {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// It would have to be made in a folder of another user, who could not remove it.
    #[error("folder {} can't be made in a folder of another user (uid {uid})", path.display())]
    Foreign {
        /// The folder that was to be made.
        path: PathBuf,
        /// Whose folder it would lie in.
        uid: u32,
    },
    /// A system call failed.
    #[error("cannot {action} folder {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Who, besides this user and root, may create and replace files in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nobody: it is mine or root's, and only the owner (or a group of which I am the only
    /// member) may write.
    Private,
    /// Every member of a group.
    Group {
        /// The group's number.
        gid: u32,
        /// Whether new files get the folder's group (the setgid bit).
        setgid: bool,
    },
    /// Everybody, but each only their own files (the sticky bit, as in `/tmp`).
    Sticky,
    /// Everybody, everybody's files.
    Everybody,
    /// It belongs to another user.
    Foreign {
        /// That user's number.
        uid: u32,
    },
}

/// A directory held open. Everything done through it stays in that directory, whatever is renamed
/// or linked at its path meanwhile.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
    stat: Stat,
}

impl Folder {
    /// Opens an existing folder. The last component may be a symlink.
    ///
    /// # Errors
    /// [`Error::Missing`], or [`Error::Io`] where it is no directory or may not be entered.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        // An empty path is what Path::parent gives for a bare file name.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Folder::open_at(CWD, path, path.into(), OFlags::empty())
    }

    /// Opens the folder `name` in this one. It may not be a symlink: files are made and removed in
    /// it, and nobody may lead that to another folder.
    ///
    /// # Errors
    /// As [`Folder::open`]; [`Error::Unsafe`] for a link, or what is no folder.
    pub fn open_in(&self, name: impl AsRef<Path>) -> Result<Folder, Error> {
        let name = name.as_ref();
        let path = self.path.join(name);
        match Folder::open_at(self.as_fd(), name, path.clone(), OFlags::NOFOLLOW) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotADirectory => {
                let found = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW);
                let is_link =
                    found.is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Symlink);
                let what = match is_link {
                    true => "a symlink",
                    false => "not a directory",
                };
                Err(Error::Unsafe { path, what })
            }
            answer => answer,
        }
    }

    /// Opens the folder `name` in this one, and makes it where it is missing: whatever the umask,
    /// for those that `access` says.
    ///
    /// # Errors
    /// [`Error::Io`] where it can't be made or opened.
    pub fn ensure_in(&self, name: impl AsRef<Path>, access: Access) -> Result<Folder, Error> {
        let name = name.as_ref();
        match self.open_in(name) {
            Err(Error::Missing { .. }) => {}
            answer => return answer,
        }
        make(self.as_fd(), name, access.of_folder()).map_err(|source| Error::Io {
            action: "create",
            path: self.path.join(name),
            source: source.into(),
        })?;
        self.open_in(name)
    }

    fn open_at(
        base: BorrowedFd<'_>,
        name: &Path,
        path: PathBuf,
        also: OFlags,
    ) -> Result<Folder, Error> {
        let failed = |action, source: Errno| match source {
            Errno::NOENT => Error::Missing { path: path.clone() },
            _ => Error::Io {
                action,
                path: path.clone(),
                source: source.into(),
            },
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | also;
        let descriptor = rustix::fs::openat(base, name, flags, Mode::empty())
            .map_err(|source| failed("open", source))?;
        let stat = rustix::fs::fstat(&descriptor).map_err(|source| failed("examine", source))?;
        Ok(Folder {
            descriptor,
            path,
            stat,
        })
    }

    /// Opens a folder and creates it, and the folders on the way to it, where they are missing:
    /// mode 0700, whatever the umask.
    ///
    /// # Errors
    /// [`Error::Io`] where one can't be created or opened, [`Error::Foreign`] where root would make
    /// it in a folder that is a user's alone.
    pub fn ensure(path: &Path) -> Result<Folder, Error> {
        match Folder::open(path) {
            Err(Error::Missing { .. }) => {}
            answer => return answer,
        }
        if let Some(parent) = path.parent() {
            Folder::ensure(parent)?.check_new(path)?;
        }
        make(CWD, path, Access::Owner.of_folder()).map_err(|source| Error::Io {
            action: "create",
            path: path.into(),
            source: source.into(),
        })?;
        Folder::open(path)
    }

    /// After `sudo` with a user's HOME, what root makes in the user's folders is in the user's way for
    /// ever. In a folder that is shared everybody expects files of others.
    fn check_new(&self, path: &Path) -> Result<(), Error> {
        let uid = self.stat.st_uid;
        let mode = Mode::from_raw_mode(self.stat.st_mode);
        let is_shared = mode.contains(Mode::WOTH) || mode.contains(Mode::WGRP | Mode::SGID);
        if uid == geteuid().as_raw() || uid == 0 || is_shared {
            return Ok(());
        }
        Err(Error::Foreign {
            path: path.into(),
            uid,
        })
    }

    /// Gives something in it that is this user's own another mode. Never follows a link.
    ///
    /// # Errors
    /// [`Error::Io`]; `PermissionDenied` where it is another user's, a link, or a file that has other
    /// names as well.
    pub fn set_mode(&self, name: &Path, mode: u32) -> Result<(), Error> {
        let failed = |source: io::Error| Error::Io {
            action: "set a mode in",
            path: self.path.clone(),
            source,
        };
        // To mark a place needs no right to it.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = rustix::fs::openat(self, name, flags, Mode::empty())
            .map_err(|error| failed(error.into()))?;
        let stat = rustix::fs::fstat(&place).map_err(|error| failed(error.into()))?;
        let is_elsewhere = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => false,
            FileType::Symlink => true,
            _ => stat.st_nlink > 1,
        };
        if is_elsewhere || stat.st_uid != geteuid().as_raw() {
            return Err(failed(io::ErrorKind::PermissionDenied.into()));
        }
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(through(place.as_fd()), permissions).map_err(failed)
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user that it belongs to.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.stat.st_uid
    }

    /// Its mode: permissions, and the setgid and sticky bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    /// Who else may write in it.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let me = geteuid().as_raw();
        judge(&self.stat, me, |gid| accounts::is_private_group(me, gid))
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Makes a folder; one that is there is fine.
fn make(base: BorrowedFd<'_>, path: &Path, mode: Mode) -> Result<(), Errno> {
    match rustix::fs::mkdirat(base, path, mode) {
        // A umask may have taken away even the owner's own rights.
        Ok(()) => {
            failpoint!("folder.made");
            rustix::fs::chmodat(base, path, mode, AtFlags::empty())
        }
        // Somebody was faster.
        Err(Errno::EXIST) => Ok(()),
        failed => failed,
    }
}

fn judge(stat: &Stat, me: u32, is_private_group: impl Fn(u32) -> bool) -> Trust {
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::WOTH) {
        return if mode.contains(Mode::SVTX) {
            Trust::Sticky
        } else {
            Trust::Everybody
        };
    }
    let gid = stat.st_gid;
    if mode.contains(Mode::WGRP) && !is_private_group(gid) {
        return match mode.contains(Mode::SVTX) {
            true => Trust::Sticky,
            false => Trust::Group {
                gid,
                setgid: mode.contains(Mode::SGID),
            },
        };
    }
    if stat.st_uid != me && stat.st_uid != 0 {
        return Trust::Foreign { uid: stat.st_uid };
    }
    Trust::Private
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mode: u32, uid: u32, gid: u32) -> Stat {
        let folder = Folder::open(Path::new("/")).unwrap();
        let mut stat = folder.stat;
        stat.st_mode = 0o040000 | mode;
        stat.st_uid = uid;
        stat.st_gid = gid;
        stat
    }

    #[test]
    fn who_may_write() {
        let check = |mode, uid, gid, expect| {
            let trust = judge(&stat(mode, uid, gid), 1000, |gid| gid == 1000);
            assert_eq!(trust, expect, "{mode:o} of {uid}:{gid}");
        };
        check(0o700, 1000, 1000, Trust::Private);
        check(0o755, 0, 0, Trust::Private);
        check(0o775, 1000, 1000, Trust::Private);
        check(
            0o775,
            1000,
            50,
            Trust::Group {
                gid: 50,
                setgid: false,
            },
        );
        check(
            0o2770,
            1000,
            50,
            Trust::Group {
                gid: 50,
                setgid: true,
            },
        );
        check(
            0o2770,
            1001,
            50,
            Trust::Group {
                gid: 50,
                setgid: true,
            },
        );
        check(0o3770, 1000, 50, Trust::Sticky);
        check(0o1777, 0, 0, Trust::Sticky);
        check(0o777, 1000, 1000, Trust::Everybody);
        check(0o700, 1001, 1001, Trust::Foreign { uid: 1001 });
    }

    #[test]
    fn modes_are_set_without_following_a_link() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let mode = |name| {
            temp.path()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        std::fs::create_dir(temp.path().join("own")).unwrap();
        std::os::unix::fs::symlink("own", temp.path().join("link")).unwrap();
        folder.set_mode(Path::new("own"), 0).unwrap();
        assert_eq!(mode("own"), 0);
        assert!(folder.set_mode(Path::new("link"), 0o777).is_err());
        std::os::unix::net::UnixListener::bind(temp.path().join("one")).unwrap();
        std::fs::hard_link(temp.path().join("one"), temp.path().join("two")).unwrap();
        assert!(folder.set_mode(Path::new("two"), 0o777).is_err());
        assert_eq!(mode("own"), 0);
        folder.set_mode(Path::new("own"), 0o700).unwrap();
        assert_eq!(mode("own"), 0o700);
    }

    #[test]
    fn missing_folders_are_made_private() {
        let temp = tempfile::tempdir().unwrap();
        let deep = temp.path().join("a/b");
        assert!(matches!(Folder::open(&deep), Err(Error::Missing { .. })));
        let folder = Folder::ensure(&deep).unwrap();
        assert_eq!(folder.trust(), Trust::Private);
        for made in [temp.path().join("a"), deep] {
            assert_eq!(
                made.metadata().unwrap().permissions().mode() & 0o7777,
                0o700
            );
        }
    }
}
