//! The folder in which this crate remembers: backups, journals, the lock, the folders written to.
//! Never looks for it: the caller says where it is.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pk_fs::access::Access;
use pk_fs::folder::{self, Folder, Trust};
use pk_fs::lock::{LockFile, Wait};
use pk_fs::replace::{DurableError, Target, durable, read};
use pk_fs::stage;
use tracing::debug;

use crate::{Error, MAX_FILE_BYTES};

/// The state folder of one user. It is created (mode 0700) when it is first needed.
#[derive(Debug, Clone)]
pub struct State {
    path: PathBuf,
}

impl State {
    /// The state folder at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> State {
        State { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what killed processes left beside the files that were written last and in this
    /// folder, and returns how many such leftovers there were. Every write of a file does so for
    /// its own folder.
    ///
    /// # Errors
    /// The list of the files written last can't be read.
    pub fn sweep(&self) -> Result<usize, Error> {
        let beside = |path: PathBuf| match Target::resolve(&path) {
            Ok(target) => target.sweep(),
            // It is gone, with all that was beside it.
            Err(_) => Ok(0),
        };
        let inside = |path: PathBuf| match Folder::open(&path) {
            Ok(folder) => stage::sweep(&folder),
            Err(_) => Ok(0),
        };
        let swept = self.recent()?.into_iter().map(beside);
        let swept = swept.chain(self.folders().into_iter().map(inside));
        let count = swept.map(|swept| {
            swept.unwrap_or_else(|error| {
                debug!(%error, "a folder could not be swept");
                0
            })
        });
        Ok(count.sum())
    }

    /// What [`State::sweep`] would remove. Changes nothing; a folder that can't be read is passed
    /// over.
    #[must_use]
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let beside = |path: PathBuf| Some(path.canonicalize().ok()?.parent()?.to_owned());
        let recent = self.recent().unwrap_or_default();
        let folders = recent.into_iter().filter_map(beside).chain(self.folders());
        let dead = |path: &PathBuf| {
            let names = Folder::open(path).ok().and_then(|it| stage::dead(&it).ok());
            let names = names.unwrap_or_default().into_iter();
            names.map(|name| path.join(name)).collect::<Vec<_>>()
        };
        let mut found: Vec<_> = folders.flat_map(|path| dead(&path)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// This folder and those in it, as far as they can be read.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.path.clone()];
        let mut at = 0;
        while let Some(folder) = folders.get(at) {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let inner = entries.filter(|entry| {
                entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && !stage::is_stage(&entry.file_name())
            });
            let inner: Vec<_> = inner.map(|entry| entry.path()).collect();
            folders.extend(inner);
            at += 1;
        }
        folders
    }

    /// Runs `work` while nobody else of this user's changes files.
    pub(crate) fn exclusively<T>(&self, wait: Wait, work: impl FnOnce() -> T) -> Result<T, Error> {
        let folder = Folder::ensure(&self.path)?;
        if folder.trust() != Trust::Private {
            return Err(Error::StateShared {
                path: self.path.clone(),
            });
        }
        Ok(LockFile::sidecar(self.path.join("files.lock")).exclusive(wait, |_| work())?)
    }

    /// The folder `name` in the state folder. Nothing in it may be a link, which would lead what is
    /// written, and what is removed, elsewhere.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> Result<Folder, Error> {
        let mut folder = Folder::ensure(&self.path)?;
        for part in name.as_ref() {
            folder = folder.ensure_in(part, Access::Owner)?;
        }
        Ok(folder)
    }

    /// The same if it is there.
    pub(crate) fn existing(&self, name: &str) -> Result<Option<Folder>, Error> {
        let found = Folder::open(&self.path).and_then(|folder| folder.open_in(name));
        match found {
            Err(folder::Error::Missing { .. }) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::StateFile {
            action,
            path: path.into(),
            source,
        }
    }

    /// Reads a file of the state folder; `None` where there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
        Ok(read(path, MAX_FILE_BYTES as u64)?)
    }

    /// Writes a file of the state folder.
    pub(crate) fn write(folder: &Folder, name: &OsStr, bytes: &[u8]) -> Result<(), Error> {
        durable(folder, name, bytes).map_err(|error| match error {
            DurableError::Io {
                action,
                path,
                source,
            } => Error::StateFile {
                action,
                path,
                source,
            },
            error => Error::File(error),
        })
    }

    /// Remembers that files were written, so that [`State::sweep`] finds the way.
    pub(crate) fn remember<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Result<(), Error> {
        let mut recent = self.recent()?;
        let known = recent.len();
        for path in paths {
            if !recent.iter().any(|known| known.parent() == path.parent()) {
                recent.push_back(path.into());
            }
        }
        if recent.len() == known {
            return Ok(());
        }
        while recent.len() > MAX_RECENT {
            recent.pop_front();
        }
        let lines: Vec<&[u8]> = recent
            .iter()
            .map(|path| path.as_os_str().as_bytes())
            .collect();
        State::write(
            &Folder::ensure(&self.path)?,
            OsStr::new(RECENT),
            &lines.join(&0),
        )
    }

    fn recent(&self) -> Result<VecDeque<PathBuf>, Error> {
        let bytes = State::read(&self.path.join(RECENT))?.unwrap_or_default();
        let lines = bytes
            .split(|&byte| byte == 0)
            .filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| OsString::from_vec(line.into()).into())
            .collect())
    }
}

/// Paths of files written last, one of each folder, separated by NUL: the one byte that no path
/// holds.
const RECENT: &str = "recent";

const MAX_RECENT: usize = 32;
