//! The last generation of a registry, remembered in its lock file, so that an older copy that is put
//! in the registry's place is noticed. Never trusted for more than that, and never written to a lock
//! file that holds anything else: it may be a file of somebody's that happens to have this name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use tracing::debug;

use crate::snapshot::Warning;

/// What a lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Nothing: it is new, or a power cut has emptied it.
    Blank,
    /// The last generation that was written.
    Of(u64),
    /// Something that is not ours.
    Strange,
}

/// `generation 00000000000000000417`: always as long, so that it is replaced whole.
const HEAD: &str = "generation ";
const LENGTH: usize = HEAD.len() + 20 + 1;

impl Memory {
    /// What an open lock file says. One that can't be read says nothing that counts.
    pub(crate) fn of(lock: &File) -> Memory {
        let mut bytes = [0; LENGTH + 1];
        match lock.read_at(&mut bytes, 0) {
            Ok(length) => Memory::parse(&bytes[..length]),
            Err(error) => {
                debug!(%error, "the lock file can't be read");
                Memory::Strange
            }
        }
    }

    /// What the lock file of the registry at `path` says to somebody who does not lock it. To be
    /// asked before the registry is read: a writer remembers a generation after it has written it.
    pub(crate) fn beside(path: &Path) -> Memory {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Ok(descriptor) = rustix::fs::open(&lock, flags, Mode::empty()) else {
            return Memory::Strange;
        };
        let is_file = rustix::fs::fstat(&descriptor)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        match is_file {
            true => Memory::of(&File::from(descriptor)),
            false => Memory::Strange,
        }
    }

    fn parse(bytes: &[u8]) -> Memory {
        if bytes.iter().all(|&byte| byte == 0) {
            return Memory::Blank;
        }
        let digits = str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.strip_prefix(HEAD)?.strip_suffix('\n'))
            .filter(|_| bytes.len() == LENGTH);
        digits
            .and_then(|digits| digits.parse().ok())
            .map_or(Memory::Strange, Memory::Of)
    }

    /// The generation that came last, if it is newer than this one.
    pub(crate) fn newer_than(self, generation: u64) -> Option<u64> {
        match self {
            Memory::Of(latest) if latest > generation => Some(latest),
            _ => None,
        }
    }

    /// The warning that the registry at `path` is an older copy, if it is.
    pub(crate) fn is_ahead_of(self, generation: u64, path: &Path) -> Option<Warning> {
        let latest = self.newer_than(generation)?;
        let path = path.into();
        Some(Warning::Older {
            path,
            generation,
            latest,
        })
    }

    /// Remembers a generation that was written. Best effort: on a full disk, or where the lock file
    /// is root's, an older one is remembered, or none.
    pub(crate) fn remember(self, lock: &File, generation: u64) {
        if self == Memory::Strange {
            return;
        }
        let text = format!("{HEAD}{generation:020}\n");
        let written: io::Result<()> = lock.write_all_at(text.as_bytes(), 0);
        if let Err(error) = written {
            debug!(%error, "the generation is not remembered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_understood() {
        let check = |bytes: &[u8], expect| assert_eq!(Memory::parse(bytes), expect, "{bytes:?}");
        check(b"", Memory::Blank);
        check(&[0; LENGTH], Memory::Blank);
        check(b"generation 00000000000000000417\n", Memory::Of(417));
        check(b"generation 00000000000000000417\n ", Memory::Strange);
        check(b"generation 00000000000000000417", Memory::Strange);
        check(b"generation 99999999999999999999\n", Memory::Strange);
        check(b"# This file is automatically @gen", Memory::Strange);
    }

    #[test]
    fn what_is_remembered_is_read_back_and_a_strange_file_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(temp.path().join(name)).unwrap()
        };
        let lock = open("lock");
        for generation in [1, 417, u64::MAX, 3] {
            Memory::of(&lock).remember(&lock, generation);
            assert_eq!(Memory::of(&lock), Memory::Of(generation));
        }
        let strange = open("Cargo.lock");
        strange.write_all_at(b"version = 4\n", 0).unwrap();
        Memory::of(&strange).remember(&strange, 7);
        let text = std::fs::read(temp.path().join("Cargo.lock")).unwrap();
        assert_eq!(text, b"version = 4\n");
    }
}
