//! The one system call that has no safe wrapper: pulling the plug on a file system. Never on one that
//! this program did not mount.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// What becomes of the journal when the plug is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journal {
    /// It is written first, as by a timer just before.
    Flushed,
    /// What is in memory is lost.
    Lost,
}

/// `EXT4_IOC_SHUTDOWN` of fs/ext4/ext4.h, which is `XFS_IOC_GOINGDOWN` of fs/xfs/libxfs/xfs_fs.h.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);

/// Makes the file system of `folder` forget, from one moment to the next, what it has not written to
/// its disk. From then on everything on it fails.
///
/// # Errors
/// The system's reason: this needs `CAP_SYS_ADMIN`, and ext4 or XFS.
pub(crate) fn pull_the_plug(folder: &Path, journal: Journal) -> io::Result<()> {
    // EXT4_GOING_FLAGS_LOGFLUSH and EXT4_GOING_FLAGS_NOLOGFLUSH.
    let flags: u32 = match journal {
        Journal::Flushed => 1,
        Journal::Lost => 2,
    };
    let folder = File::open(folder)?;
    // SAFETY: both file systems read one u32 through the argument, and write nothing; the opcode's
    // direction is a mistake of theirs that became the interface.
    unsafe { ioctl(folder, Setter::<SHUTDOWN, u32>::new(flags)) }?;
    Ok(())
}
