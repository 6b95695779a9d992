//! Making the places in which users share a registry, and taking them away again. Never touches a
//! registry's content, and never deletes what it did not make.

mod error;
mod group;
mod machine;

use std::path::{Path, PathBuf};

use pk_fs::file_system::{FileSystem, Reach};
use pk_fs::folder::Folder;
use rustix::fs::{AtFlags, FileType, Mode, Stat};
use rustix::io::Errno;

pub use error::Error;
pub use group::{Group, group};
pub use machine::{Machine, TMPFILES};

/// What was done, step by step; nothing where all was as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// The folder that users share.
    pub folder: PathBuf,
    /// The registry in it, for `--registry` and `PORTKEEPER_REGISTRY`.
    pub registry: PathBuf,
    /// The steps.
    pub steps: Vec<Step>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub did: Did,
    /// With what.
    pub path: PathBuf,
}

/// In what way something was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// It was not there.
    Made,
    /// Its mode, its group or its content was not as it should be.
    Mended,
    /// It is there no more.
    Removed,
}

impl Did {
    /// Its name: `made`, `mended`, `removed`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Did::Made => "made",
            Did::Mended => "mended",
            Did::Removed => "removed",
        }
    }
}

impl Done {
    fn new(folder: PathBuf, registry: PathBuf) -> Done {
        Done {
            folder,
            registry,
            steps: Vec::new(),
        }
    }

    fn step(&mut self, did: Did, path: impl Into<PathBuf>) {
        let path = path.into();
        self.steps.push(Step { did, path });
    }
}

/// What stands under a name; `None` if nothing does.
fn look(folder: &Folder, name: &str) -> Result<Option<Stat>, Error> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(failed("examine", &folder.path().join(name))(error)),
    }
}

fn is_file(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
}

/// Gives an open folder its mode; `false` if it had it.
fn set_mode(folder: &Folder, mode: u32) -> Result<bool, Error> {
    if folder.mode() == mode {
        return Ok(false);
    }
    rustix::fs::fchmod(folder, Mode::from_raw_mode(mode))
        .map_err(failed("set the mode of", folder.path()))?;
    Ok(true)
}

fn check_file_system(folder: &Folder) -> Result<(), Error> {
    let path = || folder.path().to_owned();
    let found = FileSystem::of(folder).map_err(|source| Error::Io {
        action: "examine",
        path: path(),
        source,
    })?;
    match found.reach() {
        Reach::Machine => Ok(()),
        Reach::Network | Reach::Unknown => Err(Error::FileSystem {
            path: path(),
            found,
        }),
    }
}

fn failed(action: &'static str, path: &Path) -> impl Fn(Errno) -> Error {
    let path = path.to_owned();
    move |error| Error::Io {
        action,
        path: path.clone(),
        source: error.into(),
    }
}

fn in_the_way(path: &Path, why: impl Into<String>) -> Error {
    Error::InTheWay {
        path: path.into(),
        why: why.into(),
    }
}
