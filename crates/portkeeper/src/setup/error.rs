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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_it_is_about() {
        let check = |error: Error, expect: &str| assert_eq!(error.to_string(), expect);
        let path = || PathBuf::from("/p");
        let name = || "no\ngroup".to_owned();
        check(Error::NotRoot, "only root can set up what all users share");
        check(Error::NoGroup { name: name() }, "no such group: no\\ngroup");
        check(
            Error::NotMember { name: name() },
            "you are not in the group no\\ngroup",
        );
        let why = "is no folder".to_owned();
        check(Error::InTheWay { path: path(), why }, "/p is no folder");
        let ports = [8080, 8081].map(|number| Port::new(number).unwrap());
        check(
            Error::StillReserved {
                ports: ports.to_vec(),
            },
            "other users have reserved 8080, 8081",
        );
        let io = Error::Io {
            action: "make",
            path: path(),
            source: io::ErrorKind::Other.into(),
        };
        check(io, "cannot make /p");
    }

    #[test]
    fn what_is_no_folder_is_in_the_way() {
        let error = |kind: io::ErrorKind| folder::Error::Io {
            action: "open",
            path: "/p".into(),
            source: kind.into(),
        };
        let in_the_way = Error::from(error(io::ErrorKind::NotADirectory));
        assert_eq!(in_the_way.to_string(), "/p is no folder");
        let other = Error::from(error(io::ErrorKind::PermissionDenied));
        assert!(matches!(other, Error::Registry(_)), "{other:?}");
    }
}
