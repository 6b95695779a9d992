//! A user who wants another's files changed, and can rename, link and remove whatever lies in a folder
//! that both may write. Never touches anything outside of it but by the links that it plants.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

/// What it puts in the place of what it finds.
#[derive(Clone, Copy, Debug)]
enum Trick {
    Overwrite,
    Symlink,
    HardLink,
    SymlinkToFolder,
    Fifo,
    /// Back to nothing, so that its victim gets a step further.
    Clear,
}

/// In an order in which each comes after each of the others at some time.
const TRICKS: [Trick; 11] = [
    Trick::Overwrite,
    Trick::Clear,
    Trick::Symlink,
    Trick::Clear,
    Trick::SymlinkToFolder,
    Trick::Clear,
    Trick::HardLink,
    Trick::Symlink,
    Trick::Fifo,
    Trick::Clear,
    Trick::Clear,
];

/// Is in the way of whoever works in `folder`, so that they change `precious` or something beside it,
/// until `is_over` says so. Returns how often it has put something in the place of something else.
pub fn vandalize(folder: &Path, precious: &Path, mut is_over: impl FnMut() -> bool) -> u64 {
    let mut tricks = TRICKS.iter().cycle();
    let mut done = 0;
    while !is_over() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for (entry, trick) in entries.zip(&mut tricks) {
            done += u64::from(play(*trick, &entry.path(), precious).is_ok());
        }
    }
    done
}

fn play(trick: Trick, path: &Path, precious: &Path) -> std::io::Result<()> {
    if let Trick::Overwrite = trick {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mut open = OpenOptions::new();
        open.write(true).custom_flags(flags.bits() as i32);
        return open.open(path)?.write_all(b"overwritten");
    }
    // Whatever it is, it goes; a folder that is not empty goes elsewhere.
    let _ = fs::remove_file(path)
        .or_else(|_| fs::remove_dir(path))
        .or_else(|_| fs::rename(path, path.with_extension("moved")));
    match trick {
        Trick::Symlink => symlink(precious, path),
        Trick::HardLink => fs::hard_link(precious, path),
        Trick::SymlinkToFolder => symlink(precious.parent().unwrap_or(precious), path),
        Trick::Fifo => Ok(mknodat(
            CWD,
            path,
            FileType::Fifo,
            Mode::from_raw_mode(0o666),
            0,
        )?),
        Trick::Overwrite | Trick::Clear => Ok(()),
    }
}

/// Swaps a folder for a symlink to another one and back, until `is_over` says so. Returns how often.
pub fn swap(folder: &Path, target: &Path, mut is_over: impl FnMut() -> bool) -> u64 {
    let aside = folder.with_extension("aside");
    let mut done = 0;
    while !is_over() {
        let swapped = fs::rename(folder, &aside)
            .and_then(|()| symlink(target, folder))
            .and_then(|()| fs::remove_file(folder))
            .and_then(|()| fs::rename(&aside, folder));
        done += u64::from(swapped.is_ok());
    }
    done
}
