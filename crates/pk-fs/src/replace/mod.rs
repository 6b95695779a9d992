//! New bytes for a file, all or nothing. Never truncates a file in place.
//!
//! *Volatile* is for data that a reboot voids anyway: a temp file and a rename, no fsync.
//! *Durable* is for people's files: fsync, and everything that made the file theirs is kept.

mod aside;
mod durable;
mod own;
mod volatile;

use std::fs::File;
use std::io;

use rustix::fs::Stat;

pub use aside::set_aside;
pub use durable::*;
pub use own::read;
pub use volatile::{Error, Onto, sweep, volatile};

/// Looks at a file into which so many bytes were just written: a file system that takes fewer and
/// says nothing (some network and user space ones do, when a quota or a backend is in the way) must
/// be noticed before the old file is gone.
fn examine(file: &File, length: usize) -> io::Result<Stat> {
    let stat = rustix::fs::fstat(file)?;
    match usize::try_from(stat.st_size) {
        Ok(size) if size == length => Ok(stat),
        _ => {
            let why = format!(
                "{length} bytes were written, and {} are there",
                stat.st_size
            );
            Err(io::Error::other(why))
        }
    }
}
