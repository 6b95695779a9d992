//! The folder of locked files that tell which reservations are kept alive. Never judges.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use pk_core::{Machine, ProcessId, ProcessState};
use pk_fs::folder::{self, Folder};
use pk_fs::live::{self, Life, LiveFile};
use tracing::debug;

use crate::error::Error;
use crate::registry::Site;
use crate::reservation::Reservation;
use crate::snapshot::Sharing;
use crate::staleness::Facts;

/// What this machine tells about reservations: the system's side of [`Facts`].
#[derive(Debug)]
pub(crate) struct Witness<'h> {
    machine: &'h Machine,
    /// `None`: the registry has no folder yet.
    site: Option<&'h Site<'h>>,
    folder: OnceCell<Files>,
}

/// The folder of liveness files.
#[derive(Debug)]
enum Files {
    In(Folder),
    None,
    /// It can't be opened, or others could take files of this user's out of it.
    Unknown,
}

impl<'h> Witness<'h> {
    /// For the registry of this place.
    pub(crate) fn new(site: Option<&'h Site<'h>>, machine: &'h Machine) -> Witness<'h> {
        Witness {
            machine,
            site,
            folder: OnceCell::new(),
        }
    }

    /// Who shares the registry; one that is not there yet nobody does.
    pub(crate) fn sharing(&self) -> Sharing {
        self.site.map_or(Sharing::Private, |site| site.sharing)
    }

    /// Creates and locks the file of a reservation.
    pub(crate) fn create(&self, id: &str) -> Result<LiveFile, Error> {
        let site = self.site.expect("who writes has made the folder");
        let access = site.access();
        let folder = match site.sharing {
            Sharing::Machine => site.folder.open_in(site.live())?,
            Sharing::Private | Sharing::Group => site.folder.ensure_in(site.live(), access)?,
        };
        if !is_usable(site, &folder) {
            return Err(Error::NotMachineWide {
                folder: site.folder.path().into(),
                why: format!("{} is not root's, with mode 1777", folder.path().display()),
            });
        }
        let name = Path::new(id);
        let create = || LiveFile::create(&folder, name, access);
        let created = match create() {
            // Of an attempt that had to start over: nobody else has this id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                live::remove(&folder, name).and_then(|()| create())
            }
            created => created,
        };
        let failed = |source| folder::Error::Io {
            action: "create a file in",
            path: folder.path().into(),
            source,
        };
        Ok(created.map_err(failed)?)
    }

    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match self.files() {
            Files::In(folder) => live::remove(folder, Path::new(id)),
            Files::None | Files::Unknown => Ok(()),
        }
    }

    /// Removes the files that nobody has locked and `is_known` does not know; returns how many.
    /// The caller holds the registry's lock, so that nobody is about to lock a new one.
    pub(crate) fn sweep(&self, is_known: impl Fn(&OsStr) -> bool) -> io::Result<usize> {
        let Files::In(folder) = self.files() else {
            return Ok(0);
        };
        let mut swept = 0;
        for entry in rustix::fs::Dir::read_from(folder)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            // What is named in another way was put there by somebody else.
            let is_id = name.as_bytes().iter().all(u8::is_ascii_alphanumeric);
            if !is_id || is_known(&name) || live::life(folder, Path::new(&name), None) != Life::Free
            {
                continue;
            }
            match live::remove(folder, Path::new(&name)) {
                Ok(()) => swept += 1,
                Err(error) => debug!(?name, %error, "no liveness file, or not ours to remove"),
            }
        }
        Ok(swept)
    }

    fn files(&self) -> &Files {
        self.folder.get_or_init(|| {
            let Some(site) = self.site else {
                return Files::None;
            };
            match site.folder.open_in(site.live()) {
                Ok(folder) if is_usable(site, &folder) => Files::In(folder),
                Err(folder::Error::Missing { .. }) => Files::None,
                Ok(_) | Err(_) => Files::Unknown,
            }
        })
    }
}

/// Whether nobody can take this user's files out of the folder. In a group everybody may.
fn is_usable(site: &Site<'_>, folder: &Folder) -> bool {
    site.sharing != Sharing::Machine || (folder.owner(), folder.mode()) == (0, 0o1777)
}

impl Facts for Witness<'_> {
    fn life(&self, entry: &Reservation) -> Life {
        // Where everybody can make files, only the one who says so can mean it.
        let of = (self.sharing() == Sharing::Machine).then_some(entry.uid);
        match self.files() {
            Files::In(folder) => live::life(folder, Path::new(&entry.id), of),
            Files::None => Life::Free,
            Files::Unknown => Life::Unknown,
        }
    }

    fn process(&self, process: &ProcessId) -> ProcessState {
        process.state(self.machine)
    }
}
