//! Lines added to the end of files that another program has made and will read. Never makes such a
//! file, and never changes what is in it.

use std::fs::{File, Metadata};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// Why nothing was added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not a file that keeps what is written to it.
    #[error("{} is {what}", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// "a directory", "a FIFO", …
        what: &'static str,
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

/// A file that is there, open for what is to be added.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: File,
}

impl Tail {
    /// Opens a file, which must be there and writable.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(path: &Path) -> Result<Tail, Error> {
        let failed = |action| {
            move |source: io::Error| Error::Io {
                action,
                path: path.into(),
                source,
            }
        };
        // A FIFO is not waited for (open(2), O_NONBLOCK).
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = open(path, flags, Mode::empty()).map_err(io::Error::from);
        let file = match opened {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                let what = "a directory";
                let path = path.into();
                return Err(Error::NotRegular { path, what });
            }
            Err(error) => return Err(failed("add to")(error)),
        };
        match other_than_a_file(&file.metadata().map_err(failed("look at"))?) {
            None => Ok(Tail {
                path: path.into(),
                file,
            }),
            Some(what) => Err(Error::NotRegular {
                path: path.into(),
                what,
            }),
        }
    }

    /// Adds the text, on a line of its own, and tells where it begins and ends. When that fails, what
    /// was written of it is cut off again.
    fn add(&self, text: &str) -> Result<(u64, u64), Error> {
        let failed = |source| Error::Io {
            action: "add to",
            path: self.path.clone(),
            source,
        };
        let before = self.file.metadata().map_err(failed)?.len();
        let mut last = [b'\n'];
        if let Some(at) = before.checked_sub(1) {
            self.file.read_exact_at(&mut last, at).map_err(failed)?;
        }
        let text = match last {
            [b'\n'] => text.to_owned(),
            _ => format!("\n{text}"),
        };
        // One call: what others add at the same time comes before it or after it (O_APPEND).
        match (&self.file).write_all(text.as_bytes()) {
            Ok(()) => {
                let end = (&self.file).stream_position().map_err(failed)?;
                Ok((end.saturating_sub(text.len() as u64), end))
            }
            Err(source) => {
                let end = (&self.file).stream_position().unwrap_or(before);
                self.cut(before, end);
                Err(failed(source))
            }
        }
    }

    /// Takes the end away again, unless somebody has added to it since. A reader can meet a line too
    /// many, but never half of one.
    fn cut(&self, from: u64, to: u64) {
        if from < to && self.file.metadata().is_ok_and(|it| it.len() == to) {
            // What led here is told already.
            let _ = self.file.set_len(from);
        }
    }
}

/// Adds a text to each of several files, or nothing to any.
///
/// # Errors
/// [`Error::Io`].
pub fn add_all(texts: &[(&Tail, &str)]) -> Result<(), Error> {
    let mut added = Vec::with_capacity(texts.len());
    for (tail, text) in texts {
        match tail.add(text) {
            Ok((from, to)) => added.push((tail, from, to)),
            Err(error) => {
                for (tail, from, to) in added.into_iter().rev() {
                    tail.cut(from, to);
                }
                return Err(error);
            }
        }
    }
    Ok(())
}

fn other_than_a_file(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_file() => None,
        _ if kind.is_fifo() => Some("a FIFO"),
        _ if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "plain files set the scene")]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn text_begins_a_line_of_its_own() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lines");
        let check = |before: &str, expect: &str| {
            fs::write(&path, before).unwrap();
            let tail = Tail::open(&path).unwrap();
            add_all(&[(&tail, "A=1\n")]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), expect, "{before:?}");
        };
        check("", "A=1\n");
        check("B=2\n", "B=2\nA=1\n");
        check("B=2", "B=2\nA=1\n");
    }

    #[test]
    fn nothing_is_added_anywhere_when_one_file_takes_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lines");
        fs::write(&path, "B=2").unwrap();
        let tail = Tail::open(&path).unwrap();
        // A device that is always full (full(4)).
        let full = Tail {
            path: "/dev/full".into(),
            file: fs::OpenOptions::new()
                .read(true)
                .append(true)
                .open("/dev/full")
                .unwrap(),
        };
        let error = add_all(&[(&tail, "A=1\n"), (&full, "A=1\n")]).unwrap_err();
        assert!(error.to_string().ends_with("/dev/full"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "B=2");
    }

    #[test]
    fn only_files_that_are_there() {
        let temp = tempfile::tempdir().unwrap();
        let check = |path: &Path, expect: &str| {
            let error = Tail::open(path).unwrap_err().to_string();
            let name = path.display().to_string();
            assert_eq!(error.replace(&name, "IT"), expect);
        };
        check(temp.path(), "IT is a directory");
        check(&temp.path().join("none"), "cannot add to IT");
        check(Path::new("/dev/null"), "IT is a device");
        let fifo = temp.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        check(&fifo, "IT is a FIFO");
    }
}
