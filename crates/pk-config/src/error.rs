//! Why files were not written, and which sort of failure that is. Never decides what a program
//! does about it.

use std::io;
use std::path::PathBuf;

use pk_fs::replace::DurableError;
use pk_fs::{folder, lock};

use crate::dotenv;
use crate::edit::Error as EditError;
use crate::recovery::Stuck;

/// Why files were not written. Unless it says otherwise, all of them are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read or replaced.
    #[error(transparent)]
    File(#[from] DurableError),
    /// A file can't be edited as asked.
    #[error("cannot edit {}", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// What the format says.
        source: EditError,
    },
    /// The file is not there and shall not be created.
    #[error("no such file: {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is read-only, and a rename would replace it all the same.
    #[error("{} is read-only", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The folder for backups and journals can't be used.
    #[error("cannot use the state folder")]
    State(#[from] folder::Error),
    /// The folder for backups and journals is not this user's alone: what is kept there may be
    /// secret.
    #[error("the state folder {} is not yours alone", path.display())]
    StateShared {
        /// The folder.
        path: PathBuf,
    },
    /// Another program is changing files and does not come to an end.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// What the state folder holds can't be read or written.
    #[error("cannot {action} {}", path.display())]
    StateFile {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no backup to restore or to compare with.
    #[error("no backup of {}{}", path.display(), at.as_ref().map(|at| format!(" of {at}")).unwrap_or_default())]
    NoBackup {
        /// The file.
        path: PathBuf,
        /// The backup that was asked for.
        at: Option<String>,
    },
    /// More than one backup is meant.
    #[error("{count} backups of {} begin with {at}", path.display())]
    AmbiguousBackup {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        at: String,
        /// How many there are.
        count: usize,
    },
    /// A change of this file was cut short and could not be taken back.
    #[error(
        "an interrupted change of {} could not be taken back; {} tells of it",
        .0.path.display(),
        .0.journal.display()
    )]
    Unrecovered(Stuck),
    /// The change failed, and some files could not be put back.
    #[error("{} could not be put back", list(left))]
    NotUndone {
        /// The files.
        left: Vec<PathBuf>,
        /// Why the change failed.
        source: Box<Error>,
    },
}

/// A sort of failure, as programs tell them apart by exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked is wrong: a name, a value, a pointer.
    Usage,
    /// What is in the file stands against it: not well-formed, ambiguous, too large, too deep.
    Document,
    /// The system failed, or something is not there, or somebody else was at work.
    Io,
    /// This user may not, or should not for reasons of safety.
    Permission,
    /// A lock was held by somebody else for too long.
    Locked,
}

impl Error {
    /// The sort of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::File(error) => kind_of_file(error),
            Error::Edit { source, .. } => kind_of_edit(source),
            Error::State(folder::Error::Io { source, .. }) => match is_of_settings(source) {
                true => ErrorKind::Permission,
                false => ErrorKind::Io,
            },
            Error::ReadOnly { .. }
            | Error::StateShared { .. }
            | Error::State(_)
            | Error::Lock(lock::Error::Unsafe { .. }) => ErrorKind::Permission,
            Error::Lock(lock::Error::Timeout { .. }) => ErrorKind::Locked,
            // A file in the place of the state folder.
            Error::StateFile { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                ErrorKind::Permission
            }
            Error::Lock(lock::Error::Io { source, .. }) | Error::StateFile { source, .. } => {
                kind_of_io(source)
            }
            Error::NoBackup { .. } | Error::AmbiguousBackup { .. } => ErrorKind::Usage,
            Error::NotUndone { source, .. } => source.kind(),
            Error::Missing { .. } | Error::Unrecovered(_) | Error::Lock(_) => ErrorKind::Io,
        }
    }

    /// Whether another program changed a file in the wrong moment, so that trying again may help.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Error::File(DurableError::Changed { .. }))
    }
}

fn kind_of_file(error: &DurableError) -> ErrorKind {
    match error {
        DurableError::Dangling { .. }
        | DurableError::Loop { .. }
        | DurableError::Untrusted { .. }
        | DurableError::NotRegular { .. } => ErrorKind::Permission,
        DurableError::TooLarge { .. } => ErrorKind::Document,
        DurableError::Io { source, .. } => kind_of_io(source),
        _ => ErrorKind::Io,
    }
}

fn kind_of_edit(error: &EditError) -> ErrorKind {
    match error {
        EditError::Dangerous { .. }
        | EditError::Env(
            dotenv::Error::InvalidKey { .. }
            | dotenv::Error::InvalidValue { .. }
            | dotenv::Error::NotPortable { .. },
        ) => ErrorKind::Usage,
        EditError::Json(error) if error.is_usage() => ErrorKind::Usage,
        EditError::Toml(error) if error.is_usage() => ErrorKind::Usage,
        EditError::Env(_) | EditError::Json(_) | EditError::Toml(_) => ErrorKind::Document,
    }
}

fn kind_of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        _ => ErrorKind::Io,
    }
}

/// Whether a folder can't be used as things are set up, which is no failure of the disk.
fn is_of_settings(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotFound
            | Kind::NotADirectory
            | Kind::AlreadyExists
            | Kind::InvalidFilename
    )
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_that_fails_is_not_one_that_is_forbidden() {
        let check = |errno, expect| {
            let source = io::Error::from_raw_os_error(errno);
            let (action, path) = ("open", "/state".into());
            let error = Error::State(folder::Error::Io {
                action,
                path,
                source,
            });
            assert_eq!(error.kind(), expect, "{error:?}");
        };
        let [eio, enospc, emfile] = [5, 28, 24];
        for failure in [eio, enospc, emfile] {
            check(failure, ErrorKind::Io);
        }
        let [eacces, erofs, enotdir] = [13, 30, 20];
        for setting in [eacces, erofs, enotdir] {
            check(setting, ErrorKind::Permission);
        }
    }
}
