//! What this program keeps for itself in folders of this user's, read back. Never people's files,
//! which may be links.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::durable::{DurableError, regular};

/// Reads a file; `None` where there is none.
///
/// # Errors
/// [`DurableError::NotRegular`] at once, also where a FIFO or a link was put in its place;
/// [`DurableError::TooLarge`] above `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, DurableError> {
    let failed = |source: io::Error| DurableError::Io {
        action: "read",
        path: path.into(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        // What open(2) says of a link and of a socket.
        Err(error @ (Errno::LOOP | Errno::NXIO)) => {
            let stat = rustix::fs::lstat(path).map_err(|error| failed(error.into()))?;
            regular(path, &stat)?;
            return Err(failed(error.into()));
        }
        Err(error) => return Err(failed(error.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
    regular(path, &stat)?;
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let mut bytes = Vec::new();
    if size <= limit {
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    match size.max(bytes.len() as u64) {
        bytes if bytes > limit => Err(DurableError::TooLarge {
            path: path.into(),
            bytes,
            limit,
        }),
        _ => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;
    use crate::folder::Folder;
    use crate::replace::durable;

    #[test]
    fn what_was_put_in_the_place_of_a_file_is_told_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let check = |name: &str, expect: &str| {
            let found = match read(&temp.path().join(name), 8) {
                Ok(Some(bytes)) => String::from_utf8(bytes).unwrap(),
                Ok(None) => "nothing".to_owned(),
                Err(DurableError::NotRegular { what, .. }) => what.to_owned(),
                Err(DurableError::TooLarge { bytes, .. }) => bytes.to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expect, "{name}");
        };
        let at = |name: &str| temp.path().join(name);
        let folder = Folder::open(temp.path()).unwrap();
        for (name, bytes) in [("eight", "12345678"), ("nine", "123456789")] {
            durable(&folder, OsStr::new(name), bytes.as_bytes()).unwrap();
        }
        fs::create_dir(at("folder")).unwrap();
        symlink("eight", at("link")).unwrap();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        check("eight", "12345678");
        check("nine", "9");
        check("none", "nothing");
        check("none/none", "nothing");
        check("folder", "a directory");
        check("link", "a link");
        check("fifo", "a FIFO");
        check("socket", "a socket");
        let long = "x".repeat(300);
        let failed = read(&at(&long), 8).unwrap_err();
        match failed {
            DurableError::Io { path, source, .. } => {
                assert_eq!(path, at(&long));
                assert_eq!(
                    source.raw_os_error(),
                    Some(Errno::NAMETOOLONG.raw_os_error())
                );
            }
            other => panic!("{other:?}"),
        }
        // What is opened can still fail to be read: this is no memory of ours.
        let failed = read(Path::new("/proc/self/mem"), 8).unwrap_err();
        assert!(
            matches!(failed, DurableError::Io { action: "read", .. }),
            "{failed:?}"
        );
    }
}
