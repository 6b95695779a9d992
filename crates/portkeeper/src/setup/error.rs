//! Why a place in which users share a registry could not be made, mended or removed.

use std::io;
use std::path::PathBuf;

use pk_core::Port;
use pk_fs::file_system::FileSystem;
use pk_fs::folder;

use crate::error::list;

/// Why a place in which users share a registry could not be made, mended or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only root may set up the machine-wide registry.
    #[error("only root can set up what all users share")]
    NotRoot,
    /// There is no such group.
    #[error("no such group: {}", name.escape_debug())]
    NoGroup {
        /// Its name.
        name: String,
    },
    /// The user is not in a group.
    #[error("you are not in the group {}", name.escape_debug())]
    NotMember {
        /// The group.
        name: String,
    },
    /// Something is there that can't be made into what is wanted.
    #[error("{} {why}", path.display())]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Locks can't be relied on there.
    #[error("folder {} is on {found}", path.display())]
    FileSystem {
        /// The folder.
        path: PathBuf,
        /// What it is on.
        found: FileSystem,
    },
    /// Other users have reservations that are alive.
    #[error("other users have reserved {}", list(ports))]
    StillReserved {
        /// Their ports.
        ports: Vec<Port>,
    },
    /// The registry that is to be removed could not be locked or read.
    #[error(transparent)]
    Registry(#[from] pk_registry::Error),
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<folder::Error> for Error {
    fn from(error: folder::Error) -> Error {
        // A symlink reads so, too.
        let is_other = |source: &io::Error| source.kind() == io::ErrorKind::NotADirectory;
        match error {
            folder::Error::Io { path, source, .. } if is_other(&source) => Error::InTheWay {
                path,
                why: "is no folder".into(),
            },
            error => Error::Registry(error.into()),
        }
    }
}
