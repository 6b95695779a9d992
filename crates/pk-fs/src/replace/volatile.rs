//! Atomic replacement without fsync: after a crash of the machine the file may be old, new or
//! empty, after a crash of the process it is old or new. Never follows a symlink.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use tracing::debug;

use crate::access::Access;
use crate::failpoint;
use crate::folder::Folder;

/// What the new bytes take the place of.
#[derive(Debug, Clone, Copy)]
pub enum Onto<'s> {
    /// Nothing: there is no such file yet.
    Nothing(Access),
    /// The file that fstat(2) described so: its mode and owner are kept.
    File(&'s Stat),
    /// Whatever file is there, whoever made it.
    Any(Access),
}

/// Why a file was not replaced. In every case the old one is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else was faster, or took the lock file away: start over from a fresh read.
    #[error("{} changed while it was being replaced", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Replaces the file `name` in `folder`, and asks `still_ours` as the last thing before the rename.
///
/// # Errors
/// [`Error::Lost`] when `still_ours` says no, or when something is where `onto` says nothing is;
/// [`Error::Io`] otherwise. The temp file is removed in both cases.
pub fn volatile(
    folder: &Folder,
    name: &OsStr,
    bytes: &[u8],
    onto: Onto<'_>,
    still_ours: impl FnOnce() -> io::Result<bool>,
) -> Result<(), Error> {
    let path = folder.path().join(name);
    let failed = |action| {
        let path = path.clone();
        move |source: io::Error| Error::Io {
            action,
            path,
            source,
        }
    };
    let (temp, descriptor) = Temp::create(folder, name).map_err(failed("create a file beside"))?;
    failpoint!("volatile.created");
    let mut file = std::fs::File::from(descriptor);
    failpoint!("volatile.write", |error| return Err(failed("write")(error)));
    file.write_all(bytes).map_err(failed("write"))?;
    let made = super::examine(&file, bytes.len()).map_err(failed("write"))?;
    failpoint!("volatile.written");
    dress(&file, &made, onto).map_err(failed("set the mode of"))?;
    failpoint!("volatile.dressed");
    if !still_ours().map_err(failed("examine"))? {
        return Err(Error::Lost { path });
    }
    let flags = match onto {
        Onto::Nothing(_) => RenameFlags::NOREPLACE,
        Onto::File(_) | Onto::Any(_) => RenameFlags::empty(),
    };
    failpoint!("volatile.rename", |error| return Err(failed("replace")(
        error
    )));
    match temp.rename(name, flags) {
        Ok(()) => Ok(()),
        // There is a file where none was, or somebody tidied up and took the temp file for litter.
        Err(Errno::EXIST | Errno::NOENT) => Err(Error::Lost { path }),
        Err(error) => Err(failed("replace")(error.into())),
    }
}

/// Removes the temp files that killed writers of `name` left in `folder`, and returns how many.
/// The caller holds the lock of `name`, so that no writer can be at work. What others have put there
/// under such a name, and what is no file, stays.
///
/// # Errors
/// The system's reason, where the folder can't be read.
pub fn sweep(folder: &Folder, name: &OsStr) -> io::Result<usize> {
    let mut prefix = name.to_os_string();
    prefix.push(MARK);
    let mut swept = 0;
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name().to_bytes().starts_with(prefix.as_bytes()) {
            match rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty()) {
                Ok(()) => swept += 1,
                Err(error) => debug!(file = ?entry.file_name(), %error, "a temp file stays"),
            }
        }
    }
    Ok(swept)
}

/// What stands between a file's name and the rest of its temp files' names.
const MARK: &str = ".tmp-";

/// A temp file that is removed unless it was renamed.
struct Temp<'f> {
    folder: &'f Folder,
    name: OsString,
}

impl<'f> Temp<'f> {
    fn create(folder: &'f Folder, name: &OsStr) -> io::Result<(Temp<'f>, std::os::fd::OwnedFd)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..10_000 {
            let mut temp = name.to_os_string();
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            temp.push(format!("{MARK}{}-{count}", std::process::id()));
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match rustix::fs::openat(folder, &temp, flags, Mode::RUSR | Mode::WUSR) {
                Ok(descriptor) => return Ok((Temp { folder, name: temp }, descriptor)),
                // Left by a dead process with this number, or put there to stop us.
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    fn rename(mut self, name: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        let folder = self.folder;
        let renamed = if flags.is_empty() {
            rustix::fs::renameat(folder, &self.name, folder, name)
        } else {
            rustix::fs::renameat_with(folder, &self.name, folder, name, flags)
        };
        renamed.map(|()| {
            // It is there no more; what is forgotten must own nothing, or a server leaks.
            drop(std::mem::take(&mut self.name));
            std::mem::forget(self);
        })
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; `sweep` comes by later.
        let _ = rustix::fs::unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

/// Gives the temp file the owner and mode that the file at its new name shall have.
fn dress(file: &std::fs::File, made: &Stat, onto: Onto<'_>) -> io::Result<()> {
    let mode = match onto {
        Onto::Nothing(access) | Onto::Any(access) => access.of_file(),
        Onto::File(target) => {
            let mode = Mode::from_raw_mode(target.st_mode);
            let (uid, gid) = (Uid::from_raw(target.st_uid), Gid::from_raw(target.st_gid));
            let owner = (made.st_uid != target.st_uid).then_some(uid);
            let group = (made.st_gid != target.st_gid).then_some(gid);
            let chowned = match owner.is_some() || group.is_some() {
                true => rustix::fs::fchown(file, owner, group),
                false => Ok(()),
            };
            match chowned {
                // A group that this user is not in is not worth a file that can't be replaced; but
                // its rights are not another group's.
                Err(Errno::PERM) if owner.is_none() => mode & !Mode::RWXG,
                answer => answer.map(|()| mode)?,
            }
        }
    };
    // Not left to the umask, which may take away even the owner's own rights.
    Ok(rustix::fs::fchmod(file, mode)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    const ANY: Onto<'static> = Onto::Any(Access::Owner);

    #[test]
    fn a_file_is_made_and_replaced_and_its_mode_kept() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let (name, path) = (OsStr::new("a.json"), temp.path().join("a.json"));
        volatile(&folder, name, b"1", Onto::Nothing(Access::Owner), || {
            Ok(true)
        })
        .unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let stat = rustix::fs::stat(&path).unwrap();
        volatile(&folder, name, b"2", Onto::File(&stat), || Ok(true)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }

    /// As after `sudo chown ann registry.json`, which leaves root's group.
    #[test]
    fn a_group_that_can_not_be_kept_loses_its_rights() {
        use std::os::unix::fs::{PermissionsExt, chown};
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let (name, path) = (OsStr::new("a.json"), temp.path().join("a.json"));
        let folder = Folder::open(temp.path()).unwrap();
        volatile(&folder, name, b"1", Onto::Nothing(Access::Owner), || {
            Ok(true)
        })
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        let roots = rustix::fs::stat(&path).unwrap();
        chown(temp.path(), Some(61_001), None).unwrap();
        chown(&path, Some(61_001), None).unwrap();
        // System calls change the rights of a thread alone.
        let replaced = std::thread::spawn(move || {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_gid(Gid::from_raw(61_001)).unwrap();
            rustix::thread::set_thread_uid(Uid::from_raw(61_001)).unwrap();
            // An owner that can't be kept is another matter.
            let refused = volatile(&folder, name, b"2", Onto::File(&roots), || Ok(true));
            assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
            let stat = rustix::fs::stat(&path).unwrap();
            volatile(&folder, name, b"2", Onto::File(&stat), || Ok(true)).unwrap();
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777
        });
        assert_eq!(replaced.join().unwrap(), 0o600);
    }

    #[test]
    fn what_lies_under_the_name_of_a_temp_file_is_neither_followed_nor_handed_on() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let (name, victim) = (OsStr::new("a.json"), temp.path().join("victim"));
        volatile(&folder, OsStr::new("victim"), b"old", ANY, || Ok(true)).unwrap();
        for count in 0..256 {
            let planted = format!("a.json{MARK}{}-{count}", std::process::id());
            std::os::unix::fs::symlink(&victim, temp.path().join(planted)).unwrap();
        }
        volatile(&folder, name, b"new", ANY, || {
            let close_on_exec = OFlags::CLOEXEC.bits();
            for entry in fs::read_dir("/proc/self/fd")? {
                let entry = entry?;
                // Other tests open and close theirs.
                let Ok(open) = fs::read_link(entry.path()) else {
                    continue;
                };
                if open.starts_with(temp.path()) && open != temp.path() {
                    let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
                    let info = fs::read_to_string(info)?;
                    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
                    let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
                    assert_ne!(flags & close_on_exec, 0, "{}", open.display());
                }
            }
            Ok(true)
        })
        .unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"old");
        assert_eq!(fs::read(temp.path().join("a.json")).unwrap(), b"new");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 258);
    }

    #[test]
    fn what_is_lost_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let name = OsStr::new("a.json");
        let answer = volatile(&folder, name, b"1", Onto::Nothing(Access::Owner), || {
            Ok(false)
        });
        assert!(matches!(answer, Err(Error::Lost { .. })), "{answer:?}");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
        volatile(&folder, name, b"1", Onto::Nothing(Access::Owner), || {
            Ok(true)
        })
        .unwrap();
        let answer = volatile(&folder, name, b"2", Onto::Nothing(Access::Owner), || {
            Ok(true)
        });
        assert!(matches!(answer, Err(Error::Lost { .. })), "{answer:?}");
        assert_eq!(fs::read(temp.path().join("a.json")).unwrap(), b"1");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_are_swept_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        for name in ["a.json", "a.json.lock", "a.json.tmp-7-0", "b.json.tmp-7-0"] {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(temp.path().join(name))
                .unwrap();
        }
        assert_eq!(sweep(&folder, OsStr::new("a.json")).unwrap(), 1);
        assert!(!temp.path().join("a.json.tmp-7-0").exists());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 3);
    }
}
