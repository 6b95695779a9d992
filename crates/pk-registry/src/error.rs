//! Why a registry could not be read or changed.

use std::io;
use std::path::PathBuf;

use pk_fs::{folder, lock, replace};

/// Why a registry could not be read or changed. In every case it is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It was not locked in time, or is no file that may be locked.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// Its folder can't be opened or made.
    #[error(transparent)]
    Folder(#[from] folder::Error),
    /// It could not be replaced.
    #[error(transparent)]
    Replace(#[from] replace::Error),
    /// Others could forge, replace or delete it where it is.
    #[error("folder {} of the registry {why}", folder.display())]
    Shared {
        /// The folder.
        folder: PathBuf,
        /// Who else may do what in it.
        why: String,
    },
    /// What is at its path is no file of ours.
    #[error("registry {} is {what}", path.display())]
    Unsafe {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: String,
    },
    /// It is larger than any registry may be.
    #[error("registry {} is too large: {what}", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The size, and the limit.
        what: String,
    },
    /// A newer version, or another program, wrote it.
    #[error("registry {} was written by a newer version or another program ({what})", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// The field that says so.
        what: String,
    },
    /// Somebody replaced it again and again without asking for the lock.
    #[error("registry {} is changed by somebody who does not lock it", path.display())]
    Contended {
        /// The path.
        path: PathBuf,
    },
    /// A system call failed.
    #[error("cannot {action} registry {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
