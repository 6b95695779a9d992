//! Overwrites the bytes of a file that can't be replaced. Never truncates it first: until the last
//! byte is written, as much as possible is there.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

use crate::failpoint;

/// Writes, cuts to length, syncs, and reads back.
pub(super) fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    failpoint!("in-place.overwrite", |error| return Err(error));
    file.write_all_at(bytes, 0)?;
    failpoint!("in-place.overwritten");
    file.set_len(bytes.len() as u64)?;
    failpoint!("in-place.cut");
    file.sync_all()?;
    let mut written = vec![0; bytes.len()];
    file.read_exact_at(&mut written, 0)?;
    if written == bytes && file.metadata()?.len() == bytes.len() as u64 {
        Ok(())
    } else {
        Err(io::Error::other(
            "the bytes that were written do not read back",
        ))
    }
}

/// Whether another file is mounted here, as Docker does with `-v file:file`. Before Linux 5.8 the
/// kernel does not tell; then the rename fails with EBUSY.
pub(super) fn is_mount_point(file: &File) -> bool {
    match rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::empty()) {
        Ok(answer) => {
            let known = answer
                .stx_attributes_mask
                .contains(StatxAttributes::MOUNT_ROOT);
            known && answer.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        Err(_) => false,
    }
}
