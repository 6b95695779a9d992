//! A registry's folder, held open: who shares it, how its files are called, and how it is locked.
//! Never looks into the files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use pk_fs::access::Access;
use pk_fs::file_system::{FileSystem, Reach};
use pk_fs::folder::{self, Folder, Trust};
use pk_fs::lock::{self, LockFile, Locked, Wait, Whose};
use pk_fs::replace::{self, Onto};

use super::page::{self, Page};
use super::{Here, Layout, Registry};
use crate::error::Error;
use crate::generation::Memory;
use crate::snapshot::{Sharing, Warning};

/// The folder of a registry.
#[derive(Debug)]
pub(crate) struct Site<'r> {
    pub(super) registry: &'r Registry,
    pub(crate) folder: Folder,
    pub(crate) sharing: Sharing,
    layout: Layout<'r>,
}

/// The locks that a writer holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Locks<'l> {
    side: &'l Locked<'l>,
    /// That of the registry file; `None` if there is no such file, or one for each user.
    pub(super) file: Option<&'l Locked<'l>>,
}

/// The lock of a machine-wide registry.
const LOCK: &str = "lock";
/// Its liveness folder.
const LIVE: &str = "live";

impl<'r> Site<'r> {
    /// `None` if there is no such folder, which makes the registry an empty one.
    pub(super) fn open(registry: &'r Registry) -> Result<Option<Site<'r>>, Error> {
        let layout = registry.layout()?;
        let folder = match (Folder::open(layout.folder()), layout) {
            (Err(folder::Error::Missing { .. }), Layout::File { .. }) => return Ok(None),
            (folder, Layout::File { .. }) => folder?,
            (folder, Layout::Machine { .. }) => machine_wide(folder)?,
        };
        Site::new(registry, layout, folder).map(Some)
    }

    /// Makes the folder of a private registry where it is missing.
    pub(super) fn ensure(registry: &'r Registry) -> Result<Site<'r>, Error> {
        let layout = registry.layout()?;
        let folder = match layout {
            Layout::File { folder, .. } => Folder::ensure(folder)?,
            Layout::Machine { folder } => machine_wide(Folder::open(folder))?,
        };
        Site::new(registry, layout, folder)
    }

    fn new(registry: &'r Registry, layout: Layout<'r>, folder: Folder) -> Result<Self, Error> {
        let sharing = match layout {
            Layout::File { .. } => sharing_of(&folder)?,
            Layout::Machine { .. } => Sharing::Machine,
        };
        let site = Site {
            registry,
            folder,
            sharing,
            layout,
        };
        // Where nobody but this user is at stake it is told to whoever writes.
        if sharing != Sharing::Private
            && let Some(found) = site.unreliable()?
        {
            let folder = site.folder.path().into();
            return Err(Error::FileSystem { folder, found });
        }
        Ok(site)
    }

    /// What it consists of, as it is now.
    pub(super) fn pages(&self, here: &Here) -> Result<(Vec<Page>, Vec<Warning>), Error> {
        match self.file() {
            Some(name) => Ok((vec![Page::open(self, name)?], Vec::new())),
            None => page::of_all_users(self, here.uid),
        }
    }

    /// The names of the files that this user replaces.
    pub(super) fn written_by(&self, here: &Here) -> Result<Vec<OsString>, Error> {
        if let Some(name) = self.file() {
            return Ok(vec![name.into()]);
        }
        let mine = |&(uid, _): &(u32, OsString)| here.uid == 0 || uid == here.uid;
        let found = page::names(self)?.into_iter().filter(mine);
        let mut names: Vec<_> = found.map(|(_, name)| name).collect();
        // Its first writer may have been killed before there was one.
        let usual = page::usual_name(here.uid);
        if !names.contains(&usual) {
            names.push(usual);
        }
        Ok(names)
    }

    /// The name of the one file, or, where each user has one, of none.
    pub(super) fn file(&self) -> Option<&'r OsStr> {
        match self.layout {
            Layout::File { name, .. } => Some(name),
            Layout::Machine { .. } => None,
        }
    }

    /// The path of one of its files, for people.
    pub(super) fn path_of(&self, name: &OsStr) -> PathBuf {
        match self.layout {
            Layout::File { .. } => self.registry.path().into(),
            Layout::Machine { .. } => self.folder.path().join(name),
        }
    }

    /// The name of the liveness folder.
    pub(crate) fn live(&self) -> OsString {
        self.beside(".live", LIVE)
    }

    /// Who may use what is made here.
    pub(crate) fn access(&self) -> Access {
        match self.sharing {
            Sharing::Private => Access::Owner,
            Sharing::Group => Access::Group,
            Sharing::Machine => Access::Everybody,
        }
    }

    /// What a writer should know about the place.
    pub(super) fn warning(&self) -> Result<Option<Warning>, Error> {
        let found = match self.sharing {
            Sharing::Private => self.unreliable()?,
            // Was looked at before.
            Sharing::Group | Sharing::Machine => None,
        };
        Ok(found.map(|found| Warning::FileSystem {
            folder: self.folder.path().into(),
            found,
        }))
    }

    /// What the lock file remembers of the registry. One that is shared is only opened for reading,
    /// and remembers nothing.
    pub(super) fn memory(&self, look: impl FnOnce() -> Memory) -> Memory {
        match self.sharing {
            Sharing::Private => look(),
            Sharing::Group | Sharing::Machine => Memory::Strange,
        }
    }

    fn unreliable(&self) -> Result<Option<FileSystem>, Error> {
        let found = FileSystem::of(&self.folder).map_err(Error::io(
            "examine the folder of",
            self.registry.path().into(),
        ))?;
        Ok(Some(found).filter(|found| found.reach() != Reach::Machine))
    }

    fn beside(&self, suffix: &str, in_machine_wide: &str) -> OsString {
        match self.layout {
            Layout::File { name, .. } => {
                let mut name = name.to_os_string();
                name.push(suffix);
                name
            }
            Layout::Machine { .. } => in_machine_wide.into(),
        }
    }

    /// Locks what writers lock and runs `work`. `left` tells how long to wait from now on.
    pub(super) fn exclusive<T, E: From<Error>>(
        &self,
        left: impl Fn() -> Wait,
        mut work: impl FnMut(Locks<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let name = self.beside(".lock", LOCK);
        let (sidecar, whose) = match self.sharing {
            Sharing::Private => (LockFile::sidecar_in(&self.folder, name), Whose::Mine),
            Sharing::Group => {
                self.make_lock(&name)?;
                let whose = Whose::Anybodys;
                (LockFile::data_in(&self.folder, name, whose), whose)
            }
            Sharing::Machine => {
                let whose = Whose::Roots;
                (LockFile::data_in(&self.folder, name, whose), whose)
            }
        };
        let locked = sidecar.exclusive(left(), |side| {
            side.freshen();
            let Some(name) = self.file() else {
                return work(Locks { side, file: None });
            };
            let data = LockFile::data_in(&self.folder, name, whose);
            let mut with = |file: Option<&Locked<'_>>| work(Locks { side, file });
            match data.exclusive(left(), |file| with(Some(file))) {
                Err(lock::Error::Missing { .. }) => with(None),
                Err(error) => Err(Error::from(error).into()),
                Ok(made) => made,
            }
        });
        locked.map_err(|error| self.explain(error))?
    }

    /// Makes the lock of a group where it is missing. It gets its name when it has its mode: a
    /// member who comes in between, or after a crash in between, could not open it.
    fn make_lock(&self, name: &OsStr) -> Result<(), Error> {
        use rustix::fs::{AtFlags, statat};
        if statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Ok(());
        }
        let onto = Onto::Nothing(Access::Group);
        match replace::volatile(&self.folder, name, b"", onto, || Ok(true)) {
            // Somebody was faster.
            Ok(()) | Err(replace::Error::Lost { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn explain(&self, error: lock::Error) -> Error {
        match (self.sharing, error) {
            (Sharing::Machine, lock::Error::Missing { path }) => Error::NotMachineWide {
                folder: self.folder.path().into(),
                why: format!("{} is missing", path.display()),
            },
            (_, error) => error.into(),
        }
    }
}

impl<'l> Locks<'l> {
    pub(super) fn file_of_lock(self) -> &'l std::fs::File {
        self.side.file()
    }

    /// Whether the paths still lead to the files that are locked.
    pub(super) fn is_current(self) -> io::Result<bool> {
        Ok(self.side.is_current()? && self.file.map_or(Ok(true), Locked::is_current)?)
    }
}

/// Who shares a registry that is one file in this folder.
fn sharing_of(folder: &Folder) -> Result<Sharing, Error> {
    match folder.trust() {
        Trust::Private => Ok(Sharing::Private),
        Trust::Group { setgid: true, .. } => Ok(Sharing::Group),
        trust => Err(Error::Shared {
            folder: folder.path().into(),
            trust,
        }),
    }
}

/// Only where root alone can replace the lock and nobody the files of others.
fn machine_wide(opened: Result<Folder, folder::Error>) -> Result<Folder, Error> {
    let (path, why) = match opened {
        Ok(folder) => {
            let why = match (folder.owner(), folder.mode()) {
                (0, 0o1777) => return Ok(folder),
                (0, mode) => format!("its mode is {mode:04o}, not 1777"),
                (uid, _) => format!("it belongs to uid {uid}, not to root"),
            };
            (folder.path().to_owned(), why)
        }
        Err(folder::Error::Missing { path }) => (path, "it is missing".into()),
        Err(folder::Error::Io { path, source, .. }) => (path, source.to_string()),
        Err(error) => return Err(error.into()),
    };
    Err(Error::NotMachineWide { folder: path, why })
}
