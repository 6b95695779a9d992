//! Gives a new file what made the old one its owner's. Never touches the old one.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Gid, Mode, Stat, Uid};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use xattr::FileExt;

/// Why a file was not dressed.
pub(super) enum Error {
    /// It can't be given to the owner of the other.
    Owner(io::Error),
    Other(io::Error),
}

impl<E: Into<io::Error>> From<E> for Error {
    fn from(error: E) -> Error {
        Error::Other(error.into())
    }
}

/// A file that replaces nothing: what the umask left, but at least readable and writable for its
/// owner. What root makes in a user's own folder, as with sudo, is that user's.
pub(super) fn as_new(file: &File, folder: impl AsFd) -> io::Result<()> {
    let place = rustix::fs::fstat(folder)?;
    let is_shared = Mode::from_raw_mode(place.st_mode).contains(Mode::WOTH);
    if geteuid().is_root() && place.st_uid != 0 && !is_shared {
        let (uid, gid) = (Uid::from_raw(place.st_uid), Gid::from_raw(place.st_gid));
        rustix::fs::fchown(file, Some(uid), Some(gid))?;
    }
    let mode = Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode);
    let own = Mode::RUSR | Mode::WUSR;
    if !mode.contains(own) {
        rustix::fs::fchmod(file, mode | own)?;
    }
    Ok(())
}

/// A file that replaces another: owner, attributes and, last, the mode, which chown(2) and a copied
/// ACL may change.
pub(super) fn like(file: &File, old: &Stat, old_file: &File) -> Result<(), Error> {
    let made = rustix::fs::fstat(file)?;
    // File systems that know no owners (vfat, exfat) report the same one for all files.
    if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid) {
        let (uid, gid) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
        match rustix::fs::fchown(file, Some(uid), Some(gid)) {
            Err(error @ (Errno::PERM | Errno::INVAL | Errno::NOSYS)) => {
                return Err(Error::Owner(error.into()));
            }
            answer => answer?,
        }
    }
    copy_attributes(old_file, file)?;
    rustix::fs::fchmod(file, Mode::from_raw_mode(old.st_mode))?;
    Ok(())
}

/// Whether this process may give a file of its own to that one's owner.
pub(super) fn may_own(old: &Stat) -> bool {
    let me = geteuid().as_raw();
    let is_in_group = || {
        getegid().as_raw() == old.st_gid
            || getgroups()
                .unwrap_or_default()
                .iter()
                .any(|group| group.as_raw() == old.st_gid)
    };
    me == 0 || (me == old.st_uid && is_in_group())
}

/// Extended attributes, and with them POSIX ACLs; xattr(7). One that may not be copied is left out.
fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let names = match from.list_xattr() {
        Err(error) if is_refusal(&error) => return Ok(()),
        names => names?
            .filter(|name| !is_of_content(name))
            .collect::<Vec<_>>(),
    };
    for name in &names {
        if let Some(value) = allowed(from.get_xattr(name))?.flatten() {
            allowed(to.set_xattr(name, &value))?;
        }
    }
    // A default ACL of the directory would let others read what only the owner could.
    let is_extra = |name: &OsString| name == "system.posix_acl_access" && !names.contains(name);
    for extra in to.list_xattr()?.filter(is_extra) {
        to.remove_xattr(extra)?;
    }
    Ok(())
}

/// Attributes that hold a hash of the file's content, which would be wrong for another one.
fn is_of_content(name: &OsString) -> bool {
    name == "security.ima" || name == "security.evm"
}

fn allowed<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Err(error) if is_refusal(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(
        errno,
        Some(Errno::NOTSUP | Errno::PERM | Errno::ACCESS | Errno::NODATA | Errno::NOSYS)
    )
}
