//! The folder of a machine-wide registry: root's, with a lock that everybody may lock and nobody
//! change, and room for a file of each user.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use pk_fs::access::Access;
use pk_fs::folder::{Folder, Trust};
use pk_fs::lock::{LockFile, Wait, Whose};
use pk_fs::replace::{self, Onto};
use pk_registry::{Here, Listed, Registry, Verdict};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{Did, Done, Error, check_file_system, failed, in_the_way, is_file, look, set_mode};
use crate::places;
use crate::release::Force;
use crate::settings::Settings;

/// What makes the folder anew at every boot (tmpfiles.d(5)).
pub const TMPFILES: &str = "/etc/tmpfiles.d/portkeeper.conf";

const LOCK: &str = "lock";
const LIVE: &str = "live";
const SHARED: u32 = 0o1777;

/// A machine-wide registry to be set up or removed.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The folder, as it is named in files.
    folder: PathBuf,
    root: PathBuf,
    wait: Wait,
}

impl Machine {
    /// The one that the settings name, below `root`, which is `/` but for images of other machines
    /// and for tests.
    ///
    /// # Errors
    /// [`crate::Error::NoFolder`] when a relative path can't be resolved.
    pub fn new(settings: &Settings, root: &Path) -> Result<Machine, crate::Error> {
        let wait = settings.lock_timeout.unwrap_or(crate::keeper::LOCK_TIMEOUT);
        Ok(Machine {
            folder: places::machine_dir(settings)?,
            root: places::absolute(root)?,
            wait: Wait::UpTo(wait),
        })
    }

    /// Makes it, or mends what is wrong with it. What is as it should be is left alone.
    ///
    /// # Errors
    /// [`Error::NotRoot`]; [`Error::InTheWay`] where something is in the way that was not made here;
    /// [`Error::Io`].
    pub fn set_up(&self) -> Result<Done, Error> {
        check_root()?;
        let mut done = self.done();
        let folder = self.make_folder(&mut done)?;
        check_file_system(&folder)?;
        make_lock(&folder, &mut done)?;
        let live = match look(&folder, LIVE)? {
            Some(_) => folder.open_in(LIVE)?,
            None => {
                done.step(Did::Made, folder.path().join(LIVE));
                folder.ensure_in(LIVE, Access::Everybody)?
            }
        };
        check_owner(&live)?;
        if set_mode(&live, SHARED)? && !done.has(live.path()) {
            done.step(Did::Mended, live.path());
        }
        // The last step: from now on it is one.
        if set_mode(&folder, SHARED)? && !done.has(folder.path()) {
            done.step(Did::Mended, folder.path());
        }
        self.write_tmpfiles(&mut done)?;
        Ok(done)
    }

    /// Removes it, and what users have written into it.
    ///
    /// # Errors
    /// [`Error::StillReserved`] while other users have reservations there that are alive, without
    /// `force`; [`Error::InTheWay`] where it holds what is not a registry's, which stays;
    /// [`Error::NotRoot`], [`Error::Io`].
    pub fn undo(&self, force: Force) -> Result<Done, Error> {
        check_root()?;
        let mut done = self.done();
        let path = done.folder.clone();
        let folder = match Folder::open(&path) {
            Err(pk_fs::folder::Error::Missing { .. }) => None,
            folder => Some(folder?),
        };
        if let Some(folder) = folder {
            check_owner(&folder)?;
            let lock = LockFile::data_in(&folder, LOCK, Whose::Roots);
            match lock.exclusive(self.wait, |_| self.empty(&folder, force, &mut done)) {
                // Without a lock nobody writes, either.
                Err(pk_fs::lock::Error::Missing { .. }) => self.empty(&folder, force, &mut done)?,
                emptied => emptied.map_err(pk_registry::Error::from)??,
            }
            remove_folder(CWD, &path)?;
            done.step(Did::Removed, path);
        }
        let conf = self.below_root(Path::new(TMPFILES));
        match rustix::fs::unlink(&conf) {
            Ok(()) => done.step(Did::Removed, conf),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(failed("remove", &conf)(error)),
        }
        Ok(done)
    }

    fn done(&self) -> Done {
        let folder = self.below_root(&self.folder);
        Done::new(folder.components().collect(), folder.join(""))
    }

    fn below_root(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn make_folder(&self, done: &mut Done) -> Result<Folder, Error> {
        let path = done.folder.clone();
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(in_the_way(&path, "is no place for a folder"));
        };
        let parent = open_root_folder(parent)?;
        let is_new = match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(failed("create", &path)(error)),
        };
        let folder = parent.open_in(name)?;
        check_owner(&folder)?;
        if is_new {
            done.step(Did::Made, path);
        }
        Ok(folder)
    }

    /// Only what was written here, and nothing while somebody depends on it.
    fn empty(&self, folder: &Folder, force: Force, done: &mut Done) -> Result<(), Error> {
        let stranger = names_in(folder)?.into_iter().find(|name| !is_ours(name));
        if let Some(stranger) = stranger {
            let path = folder.path().join(stranger);
            return Err(in_the_way(&path, "is not of a registry, and stays"));
        }
        if force == Force::No {
            self.check_unused(&done.registry)?;
        }
        // From now on nobody adds anything.
        set_mode(folder, 0o700)?;
        if let Ok(live) = folder.open_in(LIVE) {
            remove_all(&live, |_| true)?;
            remove_folder(folder, Path::new(LIVE))?;
        }
        remove_all(folder, |name| name != LIVE)
    }

    fn check_unused(&self, registry: &Path) -> Result<(), Error> {
        let here = Here::now();
        let snapshot = match Registry::at(registry).read(&here) {
            // One that is broken nobody can use.
            Err(pk_registry::Error::NotMachineWide { .. }) => return Ok(()),
            snapshot => snapshot?,
        };
        let is_of_another = |entry: Listed| match entry {
            Listed::Sound {
                reservation,
                verdict,
            } if verdict != Verdict::Elsewhere => {
                let is_stale = matches!(verdict, Verdict::Stale(_));
                (!is_stale && reservation.uid != here.uid).then_some(reservation.port)
            }
            // In another network namespace it is as alive as any.
            Listed::Sound { reservation, .. } => Some(reservation.port),
            Listed::Damaged { .. } => None,
        };
        let ports: Vec<_> = snapshot
            .entries
            .into_iter()
            .filter_map(is_of_another)
            .collect();
        match ports.is_empty() {
            true => Ok(()),
            false => Err(Error::StillReserved { ports }),
        }
    }

    fn write_tmpfiles(&self, done: &mut Done) -> Result<(), Error> {
        let path = self.below_root(Path::new(TMPFILES));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let folder: PathBuf = self.folder.components().collect();
        let folder = folder.display();
        let text = format!(
            "# Made by `portkeeper setup --machine`, which `portkeeper setup --machine --undo` undoes.\n\
             d {folder} 1777 root root -\n\
             f {folder}/{LOCK} 0644 root root -\n\
             d {folder}/{LIVE} 1777 root root -\n"
        );
        let before = std::fs::read(&path);
        if before.as_ref().is_ok_and(|bytes| bytes == text.as_bytes()) {
            return Ok(());
        }
        let parent = open_root_folder(parent)?;
        replace::durable(&parent, name, text.as_bytes()).map_err(|error| Error::Io {
            action: "write",
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        let readable = Mode::from_raw_mode(0o644);
        rustix::fs::chmodat(&parent, name, readable, AtFlags::empty())
            .map_err(failed("set the mode of", &path))?;
        let did = match before {
            Ok(_) => Did::Mended,
            Err(_) => Did::Made,
        };
        done.step(did, path);
        Ok(())
    }
}

impl Done {
    fn has(&self, path: &Path) -> bool {
        self.steps.iter().any(|step| step.path == path)
    }
}

fn make_lock(folder: &Folder, done: &mut Done) -> Result<(), Error> {
    let path = folder.path().join(LOCK);
    let found = look(folder, LOCK)?;
    // A second name may be that of a file which is none of ours.
    let is_right =
        |found: &rustix::fs::Stat| is_file(found) && found.st_uid == 0 && found.st_nlink == 1;
    match found {
        Some(found) if is_right(&found) => {
            if found.st_mode & 0o7777 != 0o644 {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                let lock = rustix::fs::openat(folder, LOCK, flags, Mode::empty());
                lock.and_then(|lock| rustix::fs::fchmod(lock, Mode::from_raw_mode(0o644)))
                    .map_err(failed("set the mode of", &path))?;
                done.step(Did::Mended, path);
            }
            return Ok(());
        }
        Some(_) => {
            // Somebody was in its place while there was none.
            rustix::fs::unlinkat(folder, LOCK, AtFlags::empty())
                .map_err(failed("remove", &path))?;
            done.step(Did::Removed, &path);
        }
        None => {}
    }
    let onto = Onto::Nothing(Access::Everybody);
    replace::volatile(folder, OsStr::new(LOCK), b"", onto, || Ok(true))
        .map_err(pk_registry::Error::from)?;
    done.step(Did::Made, path);
    Ok(())
}

/// Opens a folder of root's in which nobody else can change anything, and makes it, and those on the
/// way to it, where they are missing: open to all.
fn open_root_folder(path: &Path) -> Result<Folder, Error> {
    let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    while let Some(path) = missing.pop() {
        let open = Mode::from_raw_mode(0o755);
        rustix::fs::mkdir(path, open)
            .and_then(|()| rustix::fs::chmod(path, open))
            .map_err(failed("create", path))?;
    }
    let folder = Folder::open(path)?;
    match folder.trust() {
        Trust::Private => Ok(folder),
        _ => Err(in_the_way(path, "can be changed by others than root")),
    }
}

fn check_owner(folder: &Folder) -> Result<(), Error> {
    match folder.owner() {
        0 => Ok(()),
        uid => Err(in_the_way(
            folder.path(),
            format!("belongs to uid {uid}, not to root"),
        )),
    }
}

fn check_root() -> Result<(), Error> {
    match geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::NotRoot),
    }
}

/// Whether a file of this name is one that a registry has.
fn is_ours(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let of_user = name
        .split_once(".json")
        .is_some_and(|(uid, _)| uid.starts_with(|first: char| first.is_ascii_digit()));
    of_user || [LOCK, LIVE].contains(&name) || name.starts_with("lock.tmp-")
}

fn names_in(folder: &Folder) -> Result<Vec<OsString>, Error> {
    let failed = failed("list", folder.path());
    let mut names = Vec::new();
    for entry in Dir::read_from(folder).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name().to_bytes();
        if ![b".".as_slice(), b".."].contains(&name) {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}

/// Removes files; a folder that is in the way stays, and is an error.
fn remove_all(folder: &Folder, which: impl Fn(&OsStr) -> bool) -> Result<(), Error> {
    for name in names_in(folder)?.into_iter().filter(|name| which(name)) {
        rustix::fs::unlinkat(folder, &name, AtFlags::empty())
            .map_err(failed("remove", &folder.path().join(&name)))?;
    }
    Ok(())
}

fn remove_folder(base: impl std::os::fd::AsFd, path: &Path) -> Result<(), Error> {
    rustix::fs::unlinkat(base, path, AtFlags::REMOVEDIR).map_err(failed("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_has() {
        let check = |name: &str, expect| assert_eq!(is_ours(OsStr::new(name)), expect, "{name}");
        check("lock", true);
        check("live", true);
        check("1000.json", true);
        check("1000-k3v9.json", true);
        check("1000.json.tmp-7-0", true);
        check("1000.json.corrupt-20261122T205013Z-7", true);
        check("precious.txt", false);
        check("x.json", false);
    }
}
