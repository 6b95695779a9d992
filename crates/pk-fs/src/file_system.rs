//! Whether locks can be relied on where a folder is, by the kind of its file system. Never tries one.

use std::fmt;
use std::io;

use crate::folder::Folder;

/// What kind of file system a folder is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// One of this machine's own: flock(2) excludes everybody who can reach the folder.
    Local,
    /// One that other machines may have, too: their locks may not reach this one, and what they
    /// write is about their own ports.
    Network(&'static str),
    /// One that nothing is known of, by its number (statfs(2)); FUSE is one of these.
    Unknown(i64),
}

/// Those whose locks work, as far as a program can tell (`linux/magic.h`).
const LOCAL: [i64; 19] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x3434,      // nilfs
    0x2405_1905, // ubifs
    0x72b6,      // jffs2
    0xf15f,      // ecryptfs
    0x4d44,      // vfat
    0x2011_bab0, // exfat
    0x7366_746e, // ntfs3
    0x482b,      // hfs+
];

const NETWORK: [(i64, &str); 13] = [
    (0x6969, "NFS"),
    (0x0102_1997, "9p"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

const FUSE: i64 = 0x6573_5546;

impl FileSystem {
    /// That of a folder.
    ///
    /// # Errors
    /// The system's reason.
    pub fn of(folder: &Folder) -> io::Result<FileSystem> {
        // The width of the field differs between architectures.
        #[allow(clippy::unnecessary_cast, reason = "not everywhere")]
        let number = rustix::fs::fstatfs(folder)?.f_type as i64;
        Ok(FileSystem::from_number(number & 0xffff_ffff))
    }

    fn from_number(number: i64) -> FileSystem {
        let network = NETWORK.iter().find(|(known, _)| *known == number);
        match network {
            Some((_, name)) => FileSystem::Network(name),
            None if LOCAL.contains(&number) => FileSystem::Local,
            None => FileSystem::Unknown(number),
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileSystem::Local => f.write_str("a local file system"),
            FileSystem::Network(name) => write!(f, "a network file system ({name})"),
            FileSystem::Unknown(FUSE) => f.write_str("a file system in user space (FUSE)"),
            FileSystem::Unknown(number) => write!(f, "an unknown file system (0x{number:x})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f54_only_what_is_known_to_be_local_is() {
        let check = |number, expect: &str| {
            assert_eq!(FileSystem::from_number(number).to_string(), expect);
        };
        check(0xef53, "a local file system");
        check(0x0102_1994, "a local file system");
        check(0x6969, "a network file system (NFS)");
        check(0x0102_1997, "a network file system (9p)");
        check(FUSE, "a file system in user space (FUSE)");
        check(0x1234_5678, "an unknown file system (0x12345678)");
        assert!(
            LOCAL
                .iter()
                .all(|it| NETWORK.iter().all(|(other, _)| it != other))
        );
    }

    #[test]
    fn a_temporary_folder_has_one() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        assert!(FileSystem::of(&folder).is_ok());
    }
}
