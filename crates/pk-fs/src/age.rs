//! Keeping files young, so that those who tidy up old ones leave them. Never touches their content.

use std::os::fd::AsFd;
use std::time::SystemTime;

use rustix::fs::{Stat, Timespec, Timestamps, UTIME_NOW};
use tracing::debug;

/// From when on a file is old, in seconds. Nobody tidies up what is younger than some days.
const OLD: i64 = 86_400;

/// Gives a file the time of now if it is old. `found` is what fstat(2) told of it.
pub(crate) fn freshen(file: impl AsFd, found: &Stat) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs() as i64);
    if now - found.st_mtime <= OLD {
        return;
    }
    // Unlike any other time, that of now may be set by whoever may write the file.
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    let freshened = rustix::fs::futimens(file, &times);
    debug!(?freshened, "a file was old");
}
