//! Where a registry is, and the one way to read it and the one way to change it. Never decides who
//! gets which port.
//!
//! Reading takes no lock and needs no right to write: the file is replaced by rename, so there is
//! always a whole one. Changing locks `<name>.lock` and then the file itself, reads it once, lets a
//! closure work on it, and replaces it, volatile: after a reboot every entry is void anyway.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use pk_core::Machine;
use pk_fs::folder::{self, Folder, Trust};
use pk_fs::lock::{self, LockFile, Locked, Wait};
use pk_fs::replace::{self, Onto};
use pk_fs::utc;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use tracing::debug;

use crate::error::Error;
use crate::format::{Document, MOST_BYTES, MOST_ENTRIES, Purpose, Unreadable};
use crate::liveness::Witness;
use crate::reservation::Lease;
use crate::snapshot::{self, Sharing, Snapshot, Warning};
use crate::transaction::Transaction;

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
        Here {
            machine: Machine::here(),
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

/// A registry at its path. Nothing is opened before it is read or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    path: PathBuf,
}

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

/// How many unreadable registries are kept.
const KEPT_ASIDE: usize = 5;

impl Registry {
    /// The registry in the file of this path.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Registry {
        Registry { path: path.into() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says. A file, or a folder, that is not there is an empty registry.
    ///
    /// # Errors
    /// [`Error::Unsafe`], [`Error::Shared`], [`Error::TooLarge`], [`Error::Foreign`] when a newer
    /// version does not allow this one to read it, [`Error::Io`].
    pub fn read(&self, here: &Here) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot {
            path: self.path.clone(),
            sharing: Sharing::Private,
            entries: Vec::new(),
            warnings: Vec::new(),
        };
        for shard in self.shards() {
            let Some(bytes) = self.load(shard)? else {
                continue;
            };
            if bytes.is_empty() {
                snapshot.warnings.push(Warning::Empty {
                    path: self.path.clone(),
                });
                continue;
            }
            match Document::parse(&bytes, Purpose::Read) {
                Ok(document) => {
                    let witness = Witness::new(&self.path, &here.machine);
                    snapshot
                        .entries
                        .extend(snapshot::list(&document, here, &witness));
                }
                Err(unreadable) => {
                    let reason = self.corrupt(unreadable)?;
                    let path = self.path.clone();
                    snapshot.warnings.push(Warning::Unreadable { path, reason });
                }
            }
        }
        Ok(snapshot)
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
        let name = self.name()?;
        let folder = Folder::ensure(self.folder()).map_err(Error::from)?;
        self.check(&folder)?;
        let sidecar = LockFile::sidecar_in(&folder, suffixed(name, ".lock"));
        let data = LockFile::data_in(&folder, name);
        let begun = Instant::now();
        let left = || match wait {
            Wait::UpTo(time) => Wait::UpTo(time.saturating_sub(begun.elapsed())),
            Wait::Never => Wait::Never,
        };
        for _ in 0..ATTEMPTS {
            let mut once = |side: &Locked<'_>, file: Option<&Locked<'_>>| {
                Change {
                    registry: self,
                    folder: &folder,
                    name,
                    here,
                    side,
                    file,
                }
                .make(&mut work)
            };
            let attempt = sidecar.exclusive(left(), |side| {
                match data.exclusive(left(), |file| once(side, Some(file))) {
                    Err(lock::Error::Missing { .. }) => once(side, None),
                    Err(error) => Err(Error::from(error).into()),
                    Ok(made) => made,
                }
            });
            match attempt.map_err(Error::from)?? {
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
        let bytes = self.load(&self.path)?.unwrap_or_default();
        let document = match Document::parse(&bytes, Purpose::Read) {
            Ok(document) => document,
            Err(_) if bytes.is_empty() => Document::default(),
            Err(unreadable) => {
                self.corrupt(unreadable)?;
                Document::default()
            }
        };
        let witness = Witness::new(&self.path, &here.machine);
        work(&mut Transaction::new(document, here, &witness, &self.path))
    }

    /// Removes what killed processes left beside the registry; returns how many files.
    ///
    /// # Errors
    /// As [`Registry::update`].
    pub fn sweep_leftovers(&self, wait: Wait, here: &Here) -> Result<usize, Error> {
        // A registry that was never written has nothing beside it, and gets nothing.
        let folder = match Folder::open(self.folder()) {
            Err(folder::Error::Missing { .. }) => return Ok(0),
            folder => folder?,
        };
        let name = self.name()?;
        let swept = self.update(wait, here, |transaction| {
            let failed = |source| self.failed("sweep beside", source);
            let files = replace::sweep(&folder, name).map_err(failed)?;
            Ok::<_, Error>(files + transaction.sweep_liveness().map_err(failed)?)
        })?;
        Ok(swept.value)
    }

    /// The files whose entries make up the registry; the first is the one that this user writes.
    fn shards(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path())
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn name(&self) -> Result<&OsStr, Error> {
        let distrust = || Error::Unsafe {
            path: self.path.clone(),
            what: "not a file name".into(),
        };
        self.path.file_name().ok_or_else(distrust)
    }

    /// Only a folder in which nobody else can replace files may hold a private registry.
    fn check(&self, folder: &Folder) -> Result<(), Error> {
        let why = match folder.trust() {
            Trust::Private => return Ok(()),
            Trust::Everybody => "is writable by everybody".into(),
            Trust::Sticky => "is shared by all users (sticky)".into(),
            Trust::Group { gid, .. } => format!("is writable by group {gid}"),
            Trust::Foreign { uid } => format!("belongs to another user (uid {uid})"),
        };
        Err(Error::Shared {
            folder: folder.path().into(),
            why,
        })
    }

    /// The bytes of a shard; `None` if it is not there.
    fn load(&self, shard: &Path) -> Result<Option<Vec<u8>>, Error> {
        let folder = match Folder::open(self.folder()) {
            Err(folder::Error::Missing { .. }) => return Ok(None),
            folder => folder?,
        };
        self.check(&folder)?;
        let name = shard.file_name().map_or_else(|| self.name(), Ok)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let descriptor = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(self.distrust("a symlink")),
            Err(Errno::NXIO) => return Err(self.distrust("a socket or a device")),
            Err(error) => return Err(self.failed("open", error.into())),
            Ok(descriptor) => descriptor,
        };
        let file = std::fs::File::from(descriptor);
        let stat =
            rustix::fs::fstat(&file).map_err(|error| self.failed("examine", error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(self.distrust("a directory")),
            FileType::Fifo => return Err(self.distrust("a FIFO")),
            _ => return Err(self.distrust("not a regular file")),
        }
        self.slurp(&file).map(Some)
    }

    /// Reads a whole file that is never changed in place, in one call.
    fn slurp(&self, file: &std::fs::File) -> Result<Vec<u8>, Error> {
        // Not what it was when it was opened: a person may have edited it while we waited.
        let stat = rustix::fs::fstat(file).map_err(|error| self.failed("examine", error.into()))?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        if length > MOST_BYTES {
            return Err(self.too_large(size(length)));
        }
        let mut bytes = vec![0; length as usize];
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], done as u64) {
                Ok(0) => break,
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
        bytes.truncate(done);
        Ok(bytes)
    }

    /// The reason why it is corrupt, or the error that it is not ours to touch.
    fn corrupt(&self, unreadable: Unreadable) -> Result<String, Error> {
        match unreadable {
            Unreadable::Corrupt(reason) => Ok(reason),
            Unreadable::Foreign(what) => Err(Error::Foreign {
                path: self.path.clone(),
                what,
            }),
            Unreadable::TooMany => Err(self.too_large(format!("more than {MOST_ENTRIES} entries"))),
        }
    }

    fn too_large(&self, what: String) -> Error {
        Error::TooLarge {
            path: self.path.clone(),
            what,
        }
    }

    fn distrust(&self, what: &str) -> Error {
        Error::Unsafe {
            path: self.path.clone(),
            what: what.into(),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// One attempt at a change, under both locks.
struct Change<'c> {
    registry: &'c Registry,
    folder: &'c Folder,
    name: &'c OsStr,
    here: &'c Here,
    side: &'c Locked<'c>,
    /// The registry file, if there is one.
    file: Option<&'c Locked<'c>>,
}

impl Change<'_> {
    /// `None` when somebody interfered: start over.
    fn make<T, E: From<Error>>(
        &self,
        work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<Option<Updated<T>>, E> {
        let registry = self.registry;
        let path = registry.path.as_path();
        let bytes = match self.file {
            Some(file) => registry.slurp(file.file())?,
            None => Vec::new(),
        };
        let mut warnings = Vec::new();
        let mut corrupt = None;
        let document = match Document::parse(&bytes, Purpose::Write) {
            Ok(document) => document,
            Err(_) if bytes.is_empty() => Document::default(),
            Err(unreadable) => {
                corrupt = Some(registry.corrupt(unreadable)?);
                Document::default()
            }
        };
        if bytes.is_empty() && self.file.is_some() {
            warnings.push(Warning::Empty { path: path.into() });
        }
        let witness = Witness::new(path, &self.here.machine);
        let mut transaction = Transaction::new(document, self.here, &witness, path);
        let value = work(&mut transaction)?;
        if !transaction.is_changed() && corrupt.is_none() {
            return Ok(Some(Updated { value, warnings }));
        }
        let (document, spent) = transaction.finish();
        let bytes = document.render();
        if bytes.len() as u64 > MOST_BYTES {
            // Written, it would lock everybody out.
            return Err(registry.too_large(size(bytes.len() as u64)).into());
        }
        let committed = match corrupt {
            None => self.commit(&bytes),
            Some(reason) => self.begin_anew(&bytes).map(|kept| {
                warnings.push(Warning::SetAside {
                    path: path.into(),
                    reason,
                    kept,
                });
            }),
        };
        match committed {
            Ok(()) => {}
            Err(replace::Error::Lost { .. }) => return Ok(None),
            Err(error) => return Err(Error::from(error).into()),
        }
        for id in spent {
            if let Err(error) = witness.remove(&id) {
                debug!(id, %error, "a liveness file stays");
            }
        }
        Ok(Some(Updated { value, warnings }))
    }

    fn commit(&self, bytes: &[u8]) -> Result<(), replace::Error> {
        let onto = self
            .file
            .map_or(Onto::Nothing, |file| Onto::File(file.stat()));
        replace::volatile(self.folder, self.name, bytes, onto, || self.is_current())
    }

    /// Replaces a file that can't be read and keeps it under another name, which is returned.
    fn begin_anew(&self, bytes: &[u8]) -> Result<PathBuf, replace::Error> {
        let stamp = format!("{}-{}", utc::stamp(self.here.wall), std::process::id());
        let mut kept = PathBuf::new();
        replace::volatile(self.folder, self.name, bytes, Onto::Nothing, || {
            if !self.is_current()? {
                return Ok(false);
            }
            // The last moment: a full disk has been noticed by now, and left everything in place.
            kept =
                replace::set_aside(self.folder, self.name, "corrupt", &stamp, KEPT_ASIDE)?.into();
            Ok(true)
        })?;
        Ok(self.folder.path().join(kept))
    }

    fn is_current(&self) -> io::Result<bool> {
        Ok(self.side.is_current()? && self.file.map_or(Ok(true), Locked::is_current)?)
    }
}

fn size(bytes: u64) -> String {
    format!("{bytes} bytes, at most {MOST_BYTES}")
}

fn suffixed(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_os_string();
    name.push(suffix);
    name
}

#[cfg(test)]
mod tests;
