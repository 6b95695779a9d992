//! The rename that makes a staged file the file, synced with both folders. Never follows what has been
//! renamed on the way meanwhile.
//!
//! It is atomicwrites', which knows paths alone: open folders are named to it through `/proc/self/fd`.
//! Where there is no `/proc` (proc(5)), as in a bare chroot, the same calls are made here.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{RenameFlags, fsync, renameat, renameat_with};

use crate::stage::{Stage, anchored, open_folder};

/// What may be in the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Anything,
    Nothing,
}

/// Puts the file `new` of a stage in the place `name` of a folder.
pub(super) fn rename(
    stage: &Stage,
    new: &OsStr,
    folder: BorrowedFd<'_>,
    name: &OsStr,
    over: Over,
) -> io::Result<()> {
    let (from, to) = (stage.path_of(new), anchored(folder, name));
    let answer = match over {
        Over::Anything => atomicwrites::replace_atomic(&from, &to),
        Over::Nothing => atomicwrites::move_atomic(&from, &to),
    };
    match answer {
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_without_proc() => {}
        answer => return answer,
    }
    match over {
        Over::Anything => renameat(stage, new, folder, name)?,
        Over::Nothing => renameat_with(stage, new, folder, name, RenameFlags::NOREPLACE)?,
    }
    for folder in [stage.as_fd(), folder] {
        // An open folder may be but a mark of its place.
        fsync(open_folder(folder, OsStr::new("."))?)?;
    }
    Ok(())
}

fn is_without_proc() -> bool {
    !Path::new("/proc/self/fd").exists()
}
