//! Why a file was not replaced. Never decides what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a file was not read or not replaced. Unless it says otherwise, the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableError {
    /// A link leads to nothing.
    #[error("{} is a link to {}, which is not there", path.display(), leads_to.display())]
    Dangling {
        /// The path that was asked for.
        path: PathBuf,
        /// What is not there.
        leads_to: PathBuf,
    },
    /// Links lead to each other.
    #[error("{} is a loop of links", path.display())]
    Loop {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The way leads over a link, and somebody else could have put it there.
    #[error("not following links: others can change the {what} {}", path.display())]
    Untrusted {
        /// What others can change.
        path: PathBuf,
        /// "folder" or "link".
        what: &'static str,
    },
    /// It is not a file that holds bytes.
    #[error("{} is {what}", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// "a directory", "a FIFO", …
        what: &'static str,
    },
    /// The folder of the file is not there.
    #[error("no such folder: {}", path.display())]
    MissingFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The file is larger than the caller wants to read.
    #[error("{} has {bytes} bytes, at most {limit} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file can only be written in place, which is not atomic.
    #[error("{} can only be written in place: {why}", path.display())]
    InPlaceOnly {
        /// The file.
        path: PathBuf,
        /// What stands against a rename.
        why: InPlaceReason,
        /// The system's reason, where a rename was tried.
        source: Option<io::Error>,
    },
    /// Somebody changed the file since it was read.
    #[error("{} was changed by another program meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Writing in place failed half-way, and so did putting the old bytes back. **The file is
    /// damaged.**
    #[error("{} was written only in part and could not be put back", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What stands against replacing a file by a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InPlaceReason {
    /// It has other names, which would keep the old bytes.
    HardLinks,
    /// It is a mount point, as a file that is bind-mounted into a container is.
    MountPoint,
    /// It belongs to somebody else, and the new file would not.
    Owner,
    /// No file can be made in its folder.
    Folder,
}

impl fmt::Display for InPlaceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InPlaceReason::HardLinks => "it has several names (hard links)",
            InPlaceReason::MountPoint => "it is a mount point",
            InPlaceReason::Owner => "it would change its owner",
            InPlaceReason::Folder => "no file can be made beside it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_names_its_file() {
        let check = |error: DurableError, expect: &str| assert_eq!(error.to_string(), expect);
        let path = || PathBuf::from("/p/f");
        let source = || io::ErrorKind::Other.into();
        let in_place = |why| DurableError::InPlaceOnly {
            path: path(),
            why,
            source: None,
        };
        check(
            DurableError::Loop { path: path() },
            "/p/f is a loop of links",
        );
        check(
            DurableError::MissingFolder { path: path() },
            "no such folder: /p/f",
        );
        check(
            DurableError::Changed { path: path() },
            "/p/f was changed by another program meanwhile",
        );
        let torn = DurableError::Torn {
            path: path(),
            source: source(),
        };
        check(
            torn,
            "/p/f was written only in part and could not be put back",
        );
        let failed = DurableError::Io {
            action: "read",
            path: path(),
            source: source(),
        };
        check(failed, "cannot read /p/f");
        for (why, expect) in [
            (
                InPlaceReason::HardLinks,
                "it has several names (hard links)",
            ),
            (InPlaceReason::MountPoint, "it is a mount point"),
            (InPlaceReason::Owner, "it would change its owner"),
            (InPlaceReason::Folder, "no file can be made beside it"),
        ] {
            let expect = format!("/p/f can only be written in place: {expect}");
            check(in_place(why), &expect);
        }
    }
}
