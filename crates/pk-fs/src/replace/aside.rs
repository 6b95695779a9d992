//! Keeping a file that is about to be replaced, under another name beside it. Never copies and never
//! overwrites.
//!
//! It is renamed, not linked: whoever is killed half-way leaves no file with two names, which others
//! would rightly distrust.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use tracing::debug;

use crate::failpoint;
use crate::folder::Folder;

/// Renames `name` in `folder` to `<name>.<mark>-<stamp>`, removes all but the newest `keep` files of
/// that mark, and returns the new name. Stamps that sort by time make "newest" true. An old one that
/// can't be removed stays.
///
/// # Errors
/// The system's reason why it was not renamed; `AlreadyExists` when there are a hundred of that
/// stamp.
pub fn set_aside(
    folder: &Folder,
    name: &OsStr,
    mark: &str,
    stamp: &str,
    keep: usize,
) -> io::Result<OsString> {
    let mut prefix = name.to_os_string();
    prefix.push(format!(".{mark}-"));
    let aside = (0..100).find_map(|count| {
        let mut aside = prefix.clone();
        aside.push(stamp);
        if count > 0 {
            aside.push(format!("-{count}"));
        }
        match rustix::fs::renameat_with(folder, name, folder, &aside, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => None,
            answer => Some(answer.map(|()| aside)),
        }
    });
    let aside = aside.unwrap_or(Err(Errno::EXIST))?;
    failpoint!("aside.renamed");
    // The file is aside, so nothing that follows may look like a failure. The clock may have been
    // set back: what was kept just now stays, whatever its name sorts behind.
    let old = older(folder, &prefix, &aside).unwrap_or_default();
    for old in old.iter().rev().skip(keep.saturating_sub(1)) {
        if let Err(error) = rustix::fs::unlinkat(folder, old, AtFlags::empty()) {
            debug!(?old, %error, "an old copy stays");
        }
    }
    Ok(aside)
}

/// The files whose names begin with `prefix`, but for `newest`, sorted.
fn older(folder: &Folder, prefix: &OsStr, newest: &OsStr) -> io::Result<Vec<OsString>> {
    let mut all = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let found = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if found != newest && found.as_bytes().starts_with(prefix.as_bytes()) {
            all.push(found);
        }
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;
    use crate::replace::{Onto, volatile};

    #[test]
    fn the_newest_are_kept() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let name = OsStr::new("a.json");
        for stamp in ["1", "2", "2", "3"] {
            volatile(&folder, name, b"bad", Onto::Nothing(Access::Owner), || {
                Ok(true)
            })
            .unwrap();
            let aside = set_aside(&folder, name, "corrupt", stamp, 2).unwrap();
            assert_eq!(std::fs::read(temp.path().join(aside)).unwrap(), b"bad");
        }
        let mut left: Vec<_> = std::fs::read_dir(temp.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["a.json.corrupt-2-1", "a.json.corrupt-3"]);
    }

    #[test]
    fn what_was_set_aside_just_now_outlives_a_clock_that_was_set_back_and_a_folder_in_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let name = OsStr::new("a.json");
        std::fs::create_dir(temp.path().join("a.json.corrupt-0")).unwrap();
        for stamp in ["8", "9", "1"] {
            volatile(&folder, name, b"bad", Onto::Nothing(Access::Owner), || {
                Ok(true)
            })
            .unwrap();
            set_aside(&folder, name, "corrupt", stamp, 2).unwrap();
        }
        let left = |stamp| temp.path().join(format!("a.json.corrupt-{stamp}")).exists();
        assert_eq!(["0", "8", "9", "1"].map(left), [true, false, true, true]);
    }
}
