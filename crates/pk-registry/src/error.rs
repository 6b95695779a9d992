//! Why a registry could not be read or changed.

use std::io;
use std::path::PathBuf;

use pk_fs::file_system::FileSystem;
use pk_fs::folder::Trust;
use pk_fs::{folder, lock, replace};

use crate::transaction::QUOTA;

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
    #[error("folder {} of the registry {}", folder.display(), who_may(*trust))]
    Shared {
        /// The folder.
        folder: PathBuf,
        /// Who else may write in it.
        trust: Trust,
    },
    /// The folder of a machine-wide registry is not as `setup` makes it.
    #[error("folder {} holds no machine-wide registry: {why}", folder.display())]
    NotMachineWide {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Users share it where locks can't be relied on.
    #[error("folder {} of a shared registry is on {found}", folder.display())]
    FileSystem {
        /// The folder.
        folder: PathBuf,
        /// What it is on.
        found: FileSystem,
    },
    /// The user has as many reservations as one may have in a registry that is shared.
    #[error("uid {uid} has {} reservations in {}, the most that a user may have", QUOTA, path.display())]
    Quota {
        /// The registry.
        path: PathBuf,
        /// The user.
        uid: u32,
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

impl Error {
    pub(crate) fn io(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    pub(crate) fn not_safe(path: PathBuf, what: &str) -> Error {
        Error::Unsafe {
            path,
            what: what.into(),
        }
    }

    pub(crate) fn too_large(path: PathBuf, bytes: u64, most: u64) -> Error {
        Error::TooLarge {
            path,
            what: format!("{bytes} bytes, at most {most}"),
        }
    }
}

fn who_may(trust: Trust) -> String {
    match trust {
        Trust::Private => "is private".into(),
        Trust::Everybody => "is writable by everybody".into(),
        Trust::Sticky => "is shared by all users (sticky)".into(),
        Trust::Group { gid, .. } => {
            format!(
                "is writable by group {gid}, without the setgid bit that makes its files theirs"
            )
        }
        Trust::Foreign { uid } => format!("belongs to another user (uid {uid})"),
    }
}
