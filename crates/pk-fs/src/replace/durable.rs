//! Durable replacement of files that people own: all or nothing, on the disk before it counts, and
//! everything that made the file theirs is kept: symlinks, mode, owner, extended attributes, ACLs.
//! Never decides what the new bytes are, and never touches a FIFO, a device or a directory.
//!
//! # Limitations
//! A rename on the host does not reach a container into which the file alone is mounted: it keeps
//! the old one, and nothing here can tell.
//!
//! ```
//! use pk_fs::replace::{Like, Target};
//!
//! # let temp = tempfile::tempdir()?;
//! # let path = temp.path().join("notes");
//! let target = Target::resolve(&path)?;
//! assert!(target.read(1024)?.is_none());
//! target.stage(b"hello", Like::AnyNew)?.commit()?;
//! assert_eq!(std::fs::read(&path)?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod dress;
mod error;
mod in_place;
mod rename;
mod resolve;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::failpoint;
use crate::folder::Folder;
use crate::stage::{self, Stage};

use rename::{Over, rename};

pub use error::{DurableError, InPlaceReason};

/// Whose mode, owner and attributes new bytes get.
#[derive(Debug, Clone, Copy)]
pub enum Like<'o> {
    /// Those of the file that they replace.
    Original(&'o Original),
    /// Those of any new file: there is none yet. Mode 0666 less the umask, but the owner's own
    /// rights to read and write.
    AnyNew,
    /// There is none yet, and nobody else shall read it: mode 0600.
    Private,
}

/// The file that a path leads to, which need not exist yet. Its directory is held open.
#[derive(Debug)]
pub struct Target {
    real: PathBuf,
    folder: OwnedFd,
    name: OsString,
}

/// A file as it was when it was read.
#[derive(Debug)]
pub struct Original {
    bytes: Vec<u8>,
    stat: Stat,
    file: File,
}

impl Target {
    /// Follows `path`, over all links, to the file it means. Links are followed only where nobody
    /// but this user and root can have put them: all folders on the way belong to one of them and
    /// others may not write there, short of sticky ones, in which the link itself must be theirs.
    ///
    /// # Errors
    /// [`DurableError::Dangling`], [`DurableError::Loop`], [`DurableError::Untrusted`],
    /// [`DurableError::MissingFolder`], [`DurableError::NotRegular`].
    pub fn resolve(path: &Path) -> Result<Target, DurableError> {
        let resolve::Place { real, folder, name } = resolve::resolve(path)?;
        Ok(Target { real, folder, name })
    }

    /// The path of the file itself, without links.
    #[must_use]
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Device and inode of the directory.
    ///
    /// # Errors
    /// The system's reason.
    pub fn folder_identity(&self) -> Result<(u64, u64), DurableError> {
        let stat =
            rustix::fs::fstat(&self.folder).map_err(|error| self.failed("examine", error))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Reads the file; `None` where there is none.
    ///
    /// # Errors
    /// [`DurableError::NotRegular`] at once, whatever a FIFO or device would do when opened;
    /// [`DurableError::TooLarge`] above `limit` bytes.
    pub fn read(&self, limit: u64) -> Result<Option<Original>, DurableError> {
        let look = |at| rustix::fs::statat(at, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        match look(self.folder.as_fd()) {
            Ok(stat) => self.check_regular(&stat)?,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("examine", error)),
        }
        let mut file = self
            .open(OFlags::RDONLY)
            .map_err(|error| self.failed("read", error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| self.failed("examine", error))?;
        self.check_regular(&stat)?;
        let too_large = |bytes| DurableError::TooLarge {
            path: self.real.clone(),
            bytes,
            limit,
        };
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if size > limit {
            return Err(too_large(size));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        (&mut file)
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed("read", error))?;
        match bytes.len() as u64 {
            length if length > limit => Err(too_large(length)),
            _ => Ok(Some(Original { bytes, stat, file })),
        }
    }

    /// Writes the bytes to come into a stage beside the file, with the mode, owner and attributes
    /// that they shall have, and syncs them to the disk.
    ///
    /// # Errors
    /// [`DurableError::InPlaceOnly`] where the file could be written but none be made beside it,
    /// or none with its owner.
    pub fn stage<'t>(&'t self, bytes: &[u8], like: Like<'t>) -> Result<Staged<'t>, DurableError> {
        let original = match like {
            Like::Original(original) => Some(original),
            Like::AnyNew | Like::Private => None,
        };
        let denied = |error: &io::Error| {
            let errno = Errno::from_io_error(error);
            matches!(errno, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
        };
        let stage = match Stage::create(&self.folder) {
            Err(source) if denied(&source) && original.is_some() && self.write_access().is_ok() => {
                return Err(self.in_place_only(InPlaceReason::Folder, Some(source)));
            }
            answer => answer.map_err(|error| self.failed("make a file beside", error))?,
        };
        let mode = if matches!(like, Like::AnyNew) {
            0o666
        } else {
            0o600
        };
        let mut file = stage
            .create_file(OsStr::new(NEW), mode)
            .map_err(|error| self.failed("make a file beside", error))?;
        failpoint!("durable.write", |error| return Err(
            self.failed("write beside", error)
        ));
        file.write_all(bytes)
            .and_then(|()| super::examine(&file, bytes.len()))
            .map_err(|error| self.failed("write beside", error))?;
        failpoint!("durable.written");
        match original {
            None => dress::as_new(&file, &self.folder),
            Some(original) => match dress::like(&file, &original.stat, &original.file) {
                Err(dress::Error::Owner(source)) => {
                    return Err(self.in_place_only(InPlaceReason::Owner, Some(source)));
                }
                Err(dress::Error::Other(source)) => Err(source),
                Ok(()) => Ok(()),
            },
        }
        .map_err(|error| self.failed("set mode and owner beside", error))?;
        failpoint!("durable.sync", |error| return Err(
            self.failed("sync the file beside", error)
        ));
        file.sync_all()
            .map_err(|error| self.failed("sync the file beside", error))?;
        failpoint!("durable.staged");
        Ok(Staged {
            target: self,
            original,
            stage,
        })
    }

    /// Overwrites the file where it is, reads it back, and puts the old bytes back if that fails.
    /// Not atomic: keep a copy of the old bytes first.
    ///
    /// # Errors
    /// [`DurableError::Changed`] where it is not the original any more, [`DurableError::Torn`]
    /// where even putting back failed.
    pub fn write_in_place(&self, bytes: &[u8], original: &Original) -> Result<(), DurableError> {
        if !self.is_unchanged(Some(original))? {
            return Err(DurableError::Changed {
                path: self.real.clone(),
            });
        }
        let file = self
            .open(OFlags::RDWR)
            .map_err(|error| self.failed("write", error))?;
        failpoint!("in-place.write");
        let Err(source) = in_place::overwrite(&file, bytes) else {
            failpoint!("in-place.written");
            return Ok(());
        };
        match in_place::overwrite(&file, &original.bytes) {
            Ok(()) => Err(self.failed("write", source)),
            Err(_) => Err(DurableError::Torn {
                path: self.real.clone(),
                source,
            }),
        }
    }

    /// Removes the file, if it is the `original`.
    ///
    /// # Errors
    /// [`DurableError::Changed`] where it is not.
    pub fn remove(&self, original: &Original) -> Result<(), DurableError> {
        if !self.is_unchanged(Some(original))? {
            return Err(DurableError::Changed {
                path: self.real.clone(),
            });
        }
        rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())
            .map_err(|error| self.failed("remove", error))
    }

    /// Removes stages beside the file that killed processes of this user's left.
    ///
    /// # Errors
    /// The system's reason.
    pub fn sweep(&self) -> io::Result<usize> {
        stage::sweep(&self.folder)
    }

    /// Whether the file (or its absence) is still what was read. A new timestamp alone is no
    /// change.
    ///
    /// # Errors
    /// The system's reason.
    pub fn is_unchanged(&self, original: Option<&Original>) -> Result<bool, DurableError> {
        let now = match rustix::fs::statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) => now,
            Err(Errno::NOENT) => return Ok(original.is_none()),
            Err(error) => return Err(self.failed("examine", error)),
        };
        let Some(Original {
            bytes, stat: then, ..
        }) = original
        else {
            return Ok(false);
        };
        let kept = |stat: &Stat| {
            (
                stat.st_dev,
                stat.st_ino,
                stat.st_mode,
                stat.st_uid,
                stat.st_gid,
            )
        };
        let written = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
        if kept(&now) != kept(then) {
            return Ok(false);
        }
        if written(&now) == written(then) {
            return Ok(true);
        }
        let limit = bytes.len() as u64;
        match self.read(limit) {
            Ok(again) => Ok(again.is_some_and(|again| again.bytes == *bytes)),
            Err(DurableError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether this user may not write the bytes of the file, though perhaps replace it. On a file
    /// system that is read-only for everybody, this is not what stands against it.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.write_access(), Err(Errno::ACCESS | Errno::PERM))
    }

    fn write_access(&self) -> Result<(), Errno> {
        rustix::fs::accessat(&self.folder, &self.name, Access::WRITE_OK, AtFlags::EACCESS)
    }

    /// Opens what was a plain file a moment ago.
    fn open(&self, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty())?.into())
    }

    fn check_regular(&self, stat: &Stat) -> Result<(), DurableError> {
        regular(&self.real, stat)
    }

    fn in_place_only(&self, why: InPlaceReason, source: Option<io::Error>) -> DurableError {
        DurableError::InPlaceOnly {
            path: self.real.clone(),
            why,
            source,
        }
    }

    fn failed(&self, action: &'static str, source: impl Into<io::Error>) -> DurableError {
        DurableError::Io {
            action,
            path: self.real.clone(),
            source: source.into(),
        }
    }
}

impl Original {
    /// What the file held.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The permission bits, with setuid, setgid and sticky.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    /// The user and the group that it belongs to.
    #[must_use]
    pub fn owner(&self) -> (u32, u32) {
        (self.stat.st_uid, self.stat.st_gid)
    }

    /// What stands against replacing it by a rename, as far as can be told beforehand.
    #[must_use]
    pub fn in_place_reason(&self) -> Option<InPlaceReason> {
        if self.stat.st_nlink > 1 {
            Some(InPlaceReason::HardLinks)
        } else if in_place::is_mount_point(&self.file) {
            Some(InPlaceReason::MountPoint)
        } else {
            (!dress::may_own(&self.stat)).then_some(InPlaceReason::Owner)
        }
    }
}

/// New bytes on the disk, ready to take the place of a file. Dropped, they are gone.
#[derive(Debug)]
#[must_use = "dropped without commit, nothing is replaced"]
pub struct Staged<'t> {
    target: &'t Target,
    original: Option<&'t Original>,
    stage: Stage,
}

impl Staged<'_> {
    /// Replaces the file, and syncs its directory.
    ///
    /// # Errors
    /// [`DurableError::Changed`] where somebody changed or made the file since it was read,
    /// [`DurableError::InPlaceOnly`] where the system refuses to rename over it.
    pub fn commit(self) -> Result<(), DurableError> {
        let target = self.target;
        let changed = || DurableError::Changed {
            path: target.real.clone(),
        };
        if !target.is_unchanged(self.original)? {
            return Err(changed());
        }
        failpoint!("durable.replace", |error| return Err(
            target.failed("replace", error)
        ));
        let over = match self.original {
            Some(_) => Over::Anything,
            None => Over::Nothing,
        };
        let (new, folder) = (OsStr::new(NEW), target.folder.as_fd());
        let answer = rename(&self.stage, new, folder, &target.name, over);
        match answer.as_ref().map_err(Errno::from_io_error) {
            Ok(()) => {}
            Err(Some(Errno::EXIST)) if self.original.is_none() => return Err(changed()),
            // What is not there can't be written in place.
            Err(Some(Errno::BUSY | Errno::XDEV)) if self.original.is_some() => {
                return Err(target.in_place_only(InPlaceReason::MountPoint, answer.err()));
            }
            Err(_) => answer.map_err(|error| target.failed("replace", error))?,
        }
        failpoint!("durable.replaced");
        self.stage
            .remove()
            .map_err(|error| target.failed("tidy up beside", error))
    }
}

/// Nothing but a file that holds bytes will do.
pub(super) fn regular(path: &Path, stat: &Stat) -> Result<(), DurableError> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::Symlink => "a link",
        _ => "a device",
    };
    let path = path.into();
    Err(DurableError::NotRegular { path, what })
}

/// The name of the new file in its stage.
const NEW: &str = "new";

/// Makes or replaces the file `name` in one of this user's own folders: mode 0600, synced to the
/// disk with its directory.
///
/// # Errors
/// [`DurableError::Io`].
pub fn durable(folder: &Folder, name: &OsStr, bytes: &[u8]) -> Result<(), DurableError> {
    let write = || {
        let stage = Stage::create(folder)?;
        let mut file = stage.create_file(OsStr::new(NEW), 0o600)?;
        failpoint!("state.write", |error| return Err(error));
        file.write_all(bytes)?;
        super::examine(&file, bytes.len())?;
        failpoint!("state.written");
        file.sync_all()?;
        failpoint!("state.replace", |error| return Err(error));
        rename(
            &stage,
            OsStr::new(NEW),
            folder.as_fd(),
            name,
            Over::Anything,
        )?;
        failpoint!("state.replaced");
        stage.remove()
    };
    let path = folder.path().join(name);
    write().map_err(|source| DurableError::Io {
        action: "write",
        path,
        source,
    })
}

#[cfg(test)]
mod tests;
