//! The folder of locked files that tell which reservations are kept alive. Never judges.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use pk_core::{Machine, ProcessId, ProcessState};
use pk_fs::folder::{self, Folder};
use pk_fs::live::{self, Life, LiveFile};
use tracing::debug;

use crate::staleness::Facts;

/// What this machine tells about reservations: the system's side of [`Facts`].
#[derive(Debug)]
pub(crate) struct Witness<'h> {
    machine: &'h Machine,
    path: PathBuf,
    folder: OnceCell<Option<Folder>>,
}

impl<'h> Witness<'h> {
    /// For the registry of this path.
    pub(crate) fn new(registry: &Path, machine: &'h Machine) -> Witness<'h> {
        let mut path = OsString::from(registry);
        path.push(".live");
        Witness {
            machine,
            path: path.into(),
            folder: OnceCell::new(),
        }
    }

    /// Creates and locks the file of a reservation.
    pub(crate) fn create(&self, id: &str) -> Result<LiveFile, folder::Error> {
        let folder = Folder::ensure(&self.path)?;
        let name = Path::new(id);
        let created = match LiveFile::create(&folder, name) {
            // Of an attempt that had to start over: nobody else has this id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                live::remove(&folder, name).and_then(|()| LiveFile::create(&folder, name))
            }
            created => created,
        };
        created.map_err(|source| folder::Error::Io {
            action: "create a file in",
            path: self.path.clone(),
            source,
        })
    }

    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        self.folder()
            .map_or(Ok(()), |folder| live::remove(folder, Path::new(id)))
    }

    /// Removes the files that nobody has locked and `is_known` does not know; returns how many.
    /// The caller holds the registry's lock, so that nobody is about to lock a new one.
    pub(crate) fn sweep(&self, is_known: impl Fn(&OsStr) -> bool) -> io::Result<usize> {
        let Some(folder) = self.folder() else {
            return Ok(0);
        };
        let mut swept = 0;
        for entry in rustix::fs::Dir::read_from(folder)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            let special = name == "." || name == "..";
            if special || is_known(&name) || live::life(folder, Path::new(&name)) != Life::Free {
                continue;
            }
            match live::remove(folder, Path::new(&name)) {
                Ok(()) => swept += 1,
                Err(error) => debug!(?name, %error, "no liveness file, or not ours to remove"),
            }
        }
        Ok(swept)
    }

    fn folder(&self) -> Option<&Folder> {
        self.folder
            .get_or_init(|| Folder::open(&self.path).ok())
            .as_ref()
    }
}

impl Facts for Witness<'_> {
    fn life(&self, id: &str) -> Life {
        match self.folder() {
            Some(folder) => live::life(folder, Path::new(id)),
            None if self.path.exists() => Life::Unknown,
            None => Life::Free,
        }
    }

    fn process(&self, process: &ProcessId) -> ProcessState {
        process.state(self.machine)
    }
}
