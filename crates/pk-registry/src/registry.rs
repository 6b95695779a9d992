//! Where a registry is, and the one way to read it and the one way to change it. Never decides who
//! gets which port.
//!
//! Reading takes no lock and needs no right to write: the file is replaced by rename, so there is
//! always a whole one. Changing locks `<name>.lock` and then the file itself, reads it once, lets a
//! closure work on it, and replaces it, volatile: after a reboot every entry is void anyway.
//!
//! A machine-wide registry has one lock, which is root's, and a file for each user, which that user
//! alone writes and all read.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use pk_core::Machine;
use pk_fs::live::Life;
use pk_fs::lock::Wait;
use pk_fs::replace;
use rustix::fs::AtFlags;
use tracing::debug;

use crate::error::Error;
use crate::format::{Known, Purpose};
use crate::generation::Memory;
use crate::liveness::Witness;
use crate::reservation::{Lease, Reservation};
use crate::snapshot::{self, Sharing, Snapshot, Warning};
use crate::staleness::Facts as _;
use crate::transaction::Transaction;

mod change;
mod page;
mod shard;
mod site;

use change::Change;
pub(crate) use shard::{Rights, Shard};
pub(crate) use site::Site;

/// Where and when a registry is looked at.
#[derive(Debug, Clone)]
pub struct Here {
    /// The boot and the namespaces.
    pub machine: Machine,
    /// Milliseconds since boot.
    pub boot_ms: u64,
    /// The wall clock, for people.
    pub wall: SystemTime,
    /// The user.
    pub uid: u32,
}

impl Here {
    /// This process, now.
    #[must_use]
    pub fn now() -> Here {
        Here::on(Machine::here())
    }

    /// Now, where the boot and the namespaces are known already.
    #[must_use]
    pub fn on(machine: Machine) -> Here {
        Here {
            machine,
            boot_ms: pk_core::machine::boot_clock_ms(),
            wall: SystemTime::now(),
            uid: rustix::process::geteuid().as_raw(),
        }
    }

    /// When a lease ends by the wall clock, as it stands now.
    #[must_use]
    pub fn end_of(&self, lease: Lease) -> Option<SystemTime> {
        let Lease::Until(end) = lease else {
            return None;
        };
        let left = Duration::from_millis(end.saturating_sub(self.boot_ms));
        let past = Duration::from_millis(self.boot_ms.saturating_sub(end));
        self.wall.checked_add(left)?.checked_sub(past)
    }
}

/// A registry at its path. Nothing is opened before it is read or changed. Whoever keeps it, or a copy
/// of it, need not read again what has not changed.
#[derive(Debug, Clone)]
pub struct Registry {
    path: PathBuf,
    known: Arc<Mutex<Known>>,
}

impl PartialEq for Registry {
    fn eq(&self, other: &Registry) -> bool {
        self.path == other.path
    }
}

impl Eq for Registry {}

/// What became of a change.
#[derive(Debug)]
#[non_exhaustive]
pub struct Updated<T> {
    /// What the closure returned.
    pub value: T,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// How often a change starts over when somebody interferes who does not ask for the lock.
const ATTEMPTS: usize = 100;

impl Registry {
    /// The registry at this path: a file, or with a slash at its end the folder of a machine-wide one,
    /// in which each user has a file.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Registry {
        Registry {
            path: path.into(),
            known: Arc::default(),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says. A file, or a folder, that is not there is an empty registry.
    ///
    /// # Errors
    /// [`Error::Unsafe`], [`Error::Shared`], [`Error::NotMachineWide`], [`Error::FileSystem`],
    /// [`Error::TooLarge`], [`Error::Foreign`] when a newer version does not allow this one to read
    /// it, [`Error::Io`].
    pub fn read(&self, here: &Here) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot {
            path: self.path.clone(),
            sharing: Sharing::Private,
            entries: Vec::new(),
            warnings: Vec::new(),
        };
        let Some(site) = Site::open(self)? else {
            return Ok(snapshot);
        };
        // Before the file: what is remembered is never newer than it, unless it was exchanged.
        let memory = site.memory(|| Memory::beside(&self.path));
        let (pages, warnings) = site.pages(here)?;
        let (shards, more) = Shard::parse_all(&site, &pages, here, Purpose::Read)?;
        let own = &pages[shards[0].page];
        let path = site.path_of(&own.name);
        let about_own = match &shards[0].broken {
            Some(reason) => Some(Warning::Unreadable {
                path,
                reason: reason.clone(),
            }),
            None if own.is_empty() => Some(Warning::Empty { path }),
            None if own.has_bytes() => memory.is_ahead_of(shards[0].document.generation, &path),
            None => None,
        };
        let witness = Witness::new(Some(&site), &here.machine);
        let list = |shard| snapshot::list(shard, here, &witness);
        snapshot.sharing = site.sharing;
        snapshot.entries = shards.iter().flat_map(list).collect();
        snapshot.warnings = warnings.into_iter().chain(more).chain(about_own).collect();
        Ok(snapshot)
    }

    /// The bytes of the file that this user writes; `None` if there is none.
    pub(crate) fn own_bytes(&self) -> Result<Option<Vec<u8>>, Error> {
        let Some(site) = Site::open(self)? else {
            return Ok(None);
        };
        let (pages, _) = site.pages(&Here::now())?;
        Ok(pages.into_iter().next().and_then(page::Page::into_bytes))
    }

    /// Locks it, lets `work` change it, and writes it if there is something to write. `work` is
    /// called again when somebody interfered who does not ask for the lock; when it fails nothing
    /// is written.
    ///
    /// # Errors
    /// What `work` returns; [`Error::Lock`] when somebody holds it longer than `wait`; the errors
    /// of [`Registry::read`]; [`Error::Replace`].
    pub fn update<T, E: From<Error>>(
        &self,
        wait: Wait,
        here: &Here,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Updated<T>, E> {
        let site = Site::ensure(self)?;
        let begun = Instant::now();
        let left = || match wait {
            Wait::UpTo(time) => Wait::UpTo(time.saturating_sub(begun.elapsed())),
            Wait::Never => Wait::Never,
        };
        for _ in 0..ATTEMPTS {
            let made = site.exclusive(left, |locks| {
                let site = &site;
                Change { site, here, locks }.make(&mut work)
            })?;
            match made {
                Some(updated) => return Ok(updated),
                None => debug!(path = %self.path.display(), "the registry was replaced, again"),
            }
        }
        Err(Error::Contended {
            path: self.path.clone(),
        }
        .into())
    }

    /// Lets `work` change it in memory: what [`Registry::update`] would come to, without a lock and
    /// without a byte written.
    ///
    /// # Errors
    /// What `work` returns, and the errors of [`Registry::read`].
    pub fn preview<T, E: From<Error>>(
        &self,
        here: &Here,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let site = Site::open(self)?;
        let mut pages = Vec::new();
        if let Some(site) = &site {
            pages = site.pages(here)?.0;
        }
        let shards = match &site {
            Some(site) => Shard::parse_all(site, &pages, here, Purpose::Read)?.0,
            None => vec![Shard::none()],
        };
        let witness = Witness::new(site.as_ref(), &here.machine);
        work(&mut Transaction::new(shards, here, &witness, self))
    }

    /// Whether something keeps a reservation alive, as its liveness file tells.
    #[must_use]
    pub fn life(&self, reservation: &Reservation, machine: &Machine) -> Life {
        match Site::open(self) {
            Ok(site) => Witness::new(site.as_ref(), machine).life(reservation),
            Err(_) => Life::Unknown,
        }
    }

    /// The liveness file of a reservation (device, inode), by which its keeper can be known: nobody
    /// else has it open.
    #[must_use]
    pub fn liveness_file(&self, reservation: &Reservation) -> Option<(u64, u64)> {
        let site = Site::open(self).ok()??;
        let folder = site.folder.open_in(site.live()).ok()?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statat(&folder, reservation.id.as_str(), flags).ok()?;
        Some((found.st_dev, found.st_ino))
    }

    /// Removes what killed processes left beside the registry; returns how many files.
    ///
    /// # Errors
    /// As [`Registry::update`].
    pub fn sweep_leftovers(&self, wait: Wait, here: &Here) -> Result<usize, Error> {
        // A registry that was never written has nothing beside it, and gets nothing.
        let Some(site) = Site::open(self)? else {
            return Ok(0);
        };
        let swept = self.update(wait, here, |transaction| {
            let failed = || Error::io("sweep beside", self.path.clone());
            let mut files = transaction.sweep_liveness().map_err(failed())?;
            for name in site.written_by(here)? {
                files += replace::sweep(&site.folder, &name).map_err(failed())?;
            }
            Ok::<_, Error>(files)
        })?;
        Ok(swept.value)
    }

    /// What the registry is like now, for one stat(2); `None` if it is not there.
    ///
    /// # Errors
    /// The system's reason, where it can't be seen.
    pub fn stamp(&self) -> io::Result<Option<Stamp>> {
        Ok(found(&self.path)?.map(|it| Stamp::of(&it)))
    }

    /// The same as far as it concerns what this user wrote.
    ///
    /// # Errors
    /// As [`Registry::stamp`].
    pub fn stamp_of(&self, uid: u32) -> io::Result<Option<Stamp>> {
        if let Ok(Layout::Machine { folder }) = self.layout() {
            let shard = found(&folder.join(format!("{uid}.json")))?;
            if let Some(shard) = shard.filter(|it| it.uid() == uid) {
                return Ok(Some(Stamp::of(&shard)));
            }
        }
        self.stamp()
    }

    fn layout(&self) -> Result<Layout<'_>, Error> {
        if self.path.as_os_str().as_bytes().ends_with(b"/") {
            return Ok(Layout::Machine { folder: &self.path });
        }
        let name = self.path.file_name();
        let name = name.ok_or_else(|| Error::not_safe(self.path.clone(), "not a file name"))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        Ok(Layout::File { folder, name })
    }
}

/// Where the files of a registry are.
#[derive(Debug, Clone, Copy)]
enum Layout<'r> {
    File { folder: &'r Path, name: &'r OsStr },
    Machine { folder: &'r Path },
}

impl<'r> Layout<'r> {
    fn folder(self) -> &'r Path {
        match self {
            Layout::File { folder, .. } | Layout::Machine { folder } => folder,
        }
    }
}

/// What is at a path, links not followed.
fn found(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Tells one state of a registry from the next: it is replaced, never changed in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Stamp {
        Stamp {
            file: (found.dev(), found.ino()),
            changed: (found.mtime(), found.mtime_nsec()),
        }
    }

    /// Whether a change after this look at it would show. Clocks of file systems tick some hundred
    /// times a second.
    #[must_use]
    pub fn is_settled(self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        now.is_ok_and(|now| now.as_secs() as i64 > self.changed.0 + 1)
    }
}

#[cfg(test)]
mod tests;
