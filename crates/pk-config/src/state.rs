//! The folder in which this crate remembers: backups, journals, the lock, the folders written to.
//! Never looks for it: the caller says where it is.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pk_fs::folder::{Folder, Trust};
use pk_fs::lock::{LockFile, Wait};
use pk_fs::replace::{DurableError, Target, durable};
use tracing::debug;

use crate::Error;

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

    /// Removes what killed processes left beside the files that were written last, and returns how
    /// many such leftovers there were. Every write does so for its own folders.
    ///
    /// # Errors
    /// The list of those folders can't be read.
    pub fn sweep(&self) -> Result<usize, Error> {
        let swept = |path: PathBuf| match Target::resolve(&path).map(|target| target.sweep()) {
            Ok(Ok(count)) => count,
            answer => {
                debug!(path = %path.display(), ?answer, "a folder could not be swept");
                0
            }
        };
        Ok(self.recent()?.into_iter().map(swept).sum())
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

    /// The folder `name` in the state folder.
    pub(crate) fn folder(&self, name: impl AsRef<Path>) -> Result<Folder, Error> {
        Ok(Folder::ensure(&self.path.join(name.as_ref()))?)
    }

    pub(crate) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::StateFile {
            action,
            path: path.into(),
            source,
        }
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
        let path = self.path.join(RECENT);
        match fs::read(&path) {
            Ok(bytes) => {
                let lines = bytes
                    .split(|&byte| byte == 0)
                    .filter(|line| !line.is_empty());
                Ok(lines
                    .map(|line| OsString::from_vec(line.into()).into())
                    .collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(VecDeque::new()),
            Err(error) => Err(State::failed("read", &path, error)),
        }
    }
}

/// Paths of files written last, one of each folder, separated by NUL: the one byte that no path
/// holds.
const RECENT: &str = "recent";

const MAX_RECENT: usize = 32;
