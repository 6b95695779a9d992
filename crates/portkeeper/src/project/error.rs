//! Why a project's ports can't be prepared. Never decides what is an error.

use std::path::PathBuf;

use pk_config::Position;
use pk_registry::Name;

use crate::error::ErrorKind;

/// Why a project's file can't be read, or its outputs can't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file of a project.
    #[error("no portkeeper.toml in {} or a folder above it", from.display())]
    NoFile {
        /// Where it was looked for.
        from: PathBuf,
    },
    /// A folder has two of them.
    #[error("two files tell of this project: {} and {}", first.display(), second.display())]
    Several {
        /// One.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// The file says something that means nothing.
    #[error("{}:{at}: {what}", path.display())]
    Meaningless {
        /// The file.
        path: PathBuf,
        /// Where in it.
        at: Position,
        /// What is wrong.
        what: String,
    },
    /// There is no such profile.
    #[error("{} has no profile {name}", path.display())]
    NoProfile {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// Two outputs want different values under the same key of a file.
    #[error("{key} in {} would be two things: {first} and {second} disagree", path.display())]
    Disagree {
        /// The file that would be written.
        path: PathBuf,
        /// The key or pointer.
        key: String,
        /// One output.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that is generated as a whole is there already, written by somebody else.
    #[error("{} was not written by portkeeper, and {output} would replace all of it", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The output.
        output: String,
    },
    /// A file exists that `init` would write.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// One of several ports can't be had.
    #[error("port {name}")]
    Port {
        /// By what it would be reserved.
        name: Name,
        /// Why not.
        source: Box<crate::Error>,
    },
    /// An output can't be written.
    #[error("{output}")]
    Output {
        /// Which one, such as `output 2 (json, config.json)`.
        output: String,
        /// Why not.
        source: Box<crate::Error>,
    },
}

impl Error {
    /// Of which kind this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NoFile { .. } | Error::NoProfile { .. } => ErrorKind::Usage,
            Error::Several { .. } | Error::Meaningless { .. } | Error::Disagree { .. } => {
                ErrorKind::BadFile
            }
            Error::NotOurs { .. } | Error::Exists { .. } => ErrorKind::Permission,
            Error::Output { source, .. } | Error::Port { source, .. } => source.kind(),
        }
    }
}
