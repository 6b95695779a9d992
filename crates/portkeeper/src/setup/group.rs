//! The folder of a registry that the members of a group share: setgid, so that its files are the
//! group's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use pk_fs::folder::{Folder, Trust};
use rustix::fs::{Dir, FileType, Gid, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use super::{Did, Done, Error, check_file_system, failed, in_the_way, set_mode};
use crate::{places, users};

const NAME: &str = "registry.json";
const SHARED: u32 = 0o2770;

/// A group that was given a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// Its number.
    pub gid: u32,
    /// What was done for it.
    pub done: Done,
}

/// Makes the folder at `path` one in which the members of a group, given by name or number, share
/// `registry.json`, or mends what is wrong with it. A folder that holds anything else is left alone.
///
/// # Errors
/// [`Error::NoGroup`]; [`Error::NotMember`]; [`Error::InTheWay`]; [`Error::Io`].
pub fn group(name: &str, path: &Path) -> Result<Group, crate::Error> {
    let path: PathBuf = places::absolute(path)?.components().collect();
    Ok(set_up(name, &path)?)
}

fn set_up(name: &str, path: &Path) -> Result<Group, Error> {
    let gid = users::group(name).ok_or_else(|| Error::NoGroup { name: name.into() })?;
    let is_mine = getegid().as_raw() == gid
        || getgroups().is_ok_and(|groups| groups.iter().any(|it| it.as_raw() == gid));
    if !geteuid().is_root() && !is_mine {
        return Err(Error::NotMember { name: name.into() });
    }
    let mut done = Done::new(path.into(), path.join(NAME));
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) => done.step(Did::Made, path),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(failed("create", path)(error)),
    }
    let folder = Folder::open(path)?;
    check_file_system(&folder)?;
    check(&folder, gid)?;
    let was_right = is_shared(&folder, gid);
    if !was_right {
        give(&folder, gid)?;
        // Not before it is the group's: the kernel takes the bit away from who is not in it.
        set_mode(&folder, SHARED)?;
        if done.steps.is_empty() {
            done.step(Did::Mended, path);
        }
    }
    mend_files(&folder, gid, &mut done)?;
    Ok(Group { gid, done })
}

fn is_shared(folder: &Folder, gid: u32) -> bool {
    let setgid = true;
    folder.trust() == Trust::Group { gid, setgid } && folder.mode() == SHARED
}

/// A folder with other things in it would give them all to the group.
fn check(folder: &Folder, gid: u32) -> Result<(), Error> {
    let (me, path) = (geteuid().as_raw(), folder.path());
    if is_shared(folder, gid) {
        return Ok(());
    }
    if me != 0 && folder.owner() != me {
        let why = format!("belongs to another user (uid {})", folder.owner());
        return Err(in_the_way(path, why));
    }
    let listed = Dir::read_from(folder).map_err(failed("list", path))?;
    for entry in listed {
        let entry = entry.map_err(failed("list", path))?;
        let name = entry.file_name().to_bytes();
        if ![b".".as_slice(), b".."].contains(&name) && !name.starts_with(NAME.as_bytes()) {
            let name = OsStr::from_bytes(name).to_string_lossy().into_owned();
            return Err(in_the_way(
                path,
                format!("holds other things, such as {name}"),
            ));
        }
    }
    Ok(())
}

fn give(folder: &Folder, gid: u32) -> Result<(), Error> {
    rustix::fs::fchown(folder, None, Some(Gid::from_raw(gid)))
        .map_err(failed("give to the group", folder.path()))
}

/// Those that were there before, or lost their mode; of another member's only root can mend it.
fn mend_files(folder: &Folder, gid: u32, done: &mut Done) -> Result<(), Error> {
    for suffix in ["", ".lock", ".live"] {
        let name = format!("{NAME}{suffix}");
        let path = folder.path().join(&name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(folder, &name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let found = rustix::fs::fstat(&file).map_err(failed("examine", &path))?;
        let mode = match (suffix, FileType::from_raw_mode(found.st_mode)) {
            (".live", FileType::Directory) => SHARED,
            ("" | ".lock", FileType::RegularFile) if found.st_nlink == 1 => 0o660,
            _ => return Err(in_the_way(&path, "is no file of a registry")),
        };
        if (found.st_gid, found.st_mode & 0o7777) == (gid, mode) {
            continue;
        }
        rustix::fs::fchown(&file, None, Some(Gid::from_raw(gid)))
            .and_then(|()| rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)))
            .map_err(failed("set the mode of", &path))?;
        done.step(Did::Mended, path);
    }
    Ok(())
}
