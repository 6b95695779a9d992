//! Which file system something lies on, and whether locks on it can be relied upon, from statfs(2).
//! Never decides whether that will do.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystem {
    /// Its magic number, as statfs(2) tells it.
    pub magic: u64,
}

/// How far a lock on a file system reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everybody who can open the file is on this machine, and the kernel keeps the locks.
    Machine,
    /// Other machines may open the file; whether a lock reaches them depends on how it is mounted.
    Network,
    /// A program keeps the locks (FUSE), or nothing is known of it.
    Unknown,
}

impl FileSystem {
    /// That of an open file or folder.
    ///
    /// # Errors
    /// The system's reason.
    pub fn of(file: impl AsFd) -> io::Result<FileSystem> {
        let magic = rustix::fs::fstatfs(file)?.f_type;
        // A signed number in some C libraries, an unsigned one in others: the low half is the magic.
        Ok(FileSystem {
            magic: u64::from(magic as u32),
        })
    }

    /// The name by which mount(8) knows it; of families that share a number, that of the family.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.known().map(|&(_, name, _)| name)
    }

    /// How far its locks reach.
    #[must_use]
    pub fn reach(self) -> Reach {
        self.known().map_or(Reach::Unknown, |&(.., reach)| reach)
    }

    fn known(self) -> Option<&'static (u64, &'static str, Reach)> {
        KNOWN.iter().find(|(magic, ..)| *magic == self.magic)
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reach(), self.name()) {
            (Reach::Machine, Some(name)) => write!(f, "a file system of this machine ({name})"),
            (Reach::Network, Some(name)) => write!(f, "a network file system ({name})"),
            (_, Some(name)) => write!(f, "a file system in user space ({name})"),
            (_, None) => write!(f, "an unknown file system (0x{:x})", self.magic),
        }
    }
}

/// statfs(2) and linux/magic.h; sorted by name.
const KNOWN: [(u64, &str, Reach); 34] = [
    (0x0102_1997, "9p", Reach::Network),
    (0x5346_414f, "afs", Reach::Network),
    (0x6163_6673, "acfs", Reach::Network),
    (0xca45_1a4e, "bcachefs", Reach::Machine),
    (0x9123_683e, "btrfs", Reach::Machine),
    (0x00c3_6400, "ceph", Reach::Network),
    (0xff53_4d42, "cifs", Reach::Network),
    (0xf15f, "ecryptfs", Reach::Machine),
    (0x2011_bab0, "exfat", Reach::Machine),
    (0xef53, "ext4", Reach::Machine),
    (0xf2f5_2010, "f2fs", Reach::Machine),
    (0x6573_5546, "fuse", Reach::Unknown),
    (0x0116_1970, "gfs2", Reach::Network),
    (0x4750_4653, "gpfs", Reach::Network),
    (0x482b, "hfsplus", Reach::Machine),
    (0x72b6, "jffs2", Reach::Machine),
    (0x3153_464a, "jfs", Reach::Machine),
    (0x0bd0_0bd0, "lustre", Reach::Network),
    (0x564c, "ncp", Reach::Network),
    (0x6969, "nfs", Reach::Network),
    (0x3434, "nilfs2", Reach::Machine),
    (0x7366_746e, "ntfs3", Reach::Machine),
    (0x7461_636f, "ocfs2", Reach::Network),
    (0x794c_7630, "overlay", Reach::Machine),
    (0x8584_58f6, "ramfs", Reach::Machine),
    (0x5265_4973, "reiserfs", Reach::Machine),
    (0x517b, "smb", Reach::Network),
    (0xfe53_4d42, "smb2", Reach::Network),
    (0x0102_1994, "tmpfs", Reach::Machine),
    (0x2405_1905, "ubifs", Reach::Machine),
    (0x4d44, "vfat", Reach::Machine),
    (0x786f_4256, "vboxsf", Reach::Network),
    (0x5846_5342, "xfs", Reach::Machine),
    (0x2fc1_2fc1, "zfs", Reach::Machine),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f54_file_systems_are_known_by_their_numbers() {
        let check = |magic, name, reach| {
            let system = FileSystem { magic };
            assert_eq!((system.name(), system.reach()), (name, reach), "{magic:x}");
        };
        check(0xef53, Some("ext4"), Reach::Machine);
        check(0x6969, Some("nfs"), Reach::Network);
        check(0xff53_4d42, Some("cifs"), Reach::Network);
        check(0x0102_1997, Some("9p"), Reach::Network);
        check(0x6573_5546, Some("fuse"), Reach::Unknown);
        let told = |magic, expect: &str| {
            assert_eq!(FileSystem { magic }.to_string(), expect);
        };
        told(0xef53, "a file system of this machine (ext4)");
        told(0x6969, "a network file system (nfs)");
        told(0x6573_5546, "a file system in user space (fuse)");
        told(7, "an unknown file system (0x7)");
        check(7, None, Reach::Unknown);
    }

    #[test]
    fn that_of_proc_is_no_place_for_files_and_still_told() {
        let proc = std::fs::File::open("/proc").unwrap();
        assert_eq!(FileSystem::of(&proc).unwrap().magic, 0x9fa0);
    }
}
