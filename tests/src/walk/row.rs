//! Which of the promises are walked for: the rows of the table of faults, each a choice of what is
//! done to which calls. Never decides what must hold.

use super::errors;
use super::scene::Scene;
use super::tamper::{KILL, On, Seen, Tamper};

/// A row: a kind of fault.
#[derive(Debug)]
pub struct Row {
    /// Its name, F for a fault and D for a figure that must be reached.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    fault: Fault,
}

#[derive(Debug, PartialEq)]
enum Fault {
    /// Killed before every call.
    Killed,
    /// Killed before these calls, of a command that writes files where that is asked for.
    KilledAt {
        calls: &'static [&'static str],
        writes_files: bool,
    },
    /// Killed before it prints its answer.
    KilledAnswering,
    /// Told to end before every call.
    Told,
    /// Every call fails with every error that the kernel could give it.
    All,
    /// With one of these.
    Errors(&'static [&'static str]),
    /// With these, while bytes or names are looked up.
    Reads(&'static [&'static str]),
    /// With these, while a file is synced to the disk.
    Sync(&'static [&'static str]),
    /// With these, while a folder is.
    SyncFolder(&'static [&'static str]),
    /// With these, while a file is made.
    Making(&'static [&'static str]),
    /// Fewer bytes are written than were given.
    Short,
    /// The answer can't be printed.
    Answer(&'static [&'static str]),
}

/// How much of a row is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many steps in each scene, spread evenly over those of [`Extent::Usual`].
    Sample(usize),
    /// Every kill, and every call with one of its errors.
    Usual,
    /// Every kill, every call with all of its errors, and every kill while a kill is recovered from.
    Full,
}

/// All of them.
pub const ROWS: &[Row] = &[
    row("d2", "killed at every call", Fault::Killed),
    row("d3", "every error at every call", Fault::All),
    row(
        "f01",
        "killed before there is a new file",
        killed_at(&["openat", "mkdirat"]),
    ),
    row(
        "f02",
        "killed while it is written",
        killed_at(&["write", "pwrite64", "fchmod", "fchown", "fsetxattr"]),
    ),
    row(
        "f03",
        "killed before it is renamed",
        killed_at(&["renameat", "renameat2"]),
    ),
    row("f04", "killed before the answer", Fault::KilledAnswering),
    row(
        "f05",
        "killed while files are changed",
        Fault::KilledAt {
            calls: &["fsync", "renameat", "renameat2", "unlinkat"],
            writes_files: true,
        },
    ),
    row("f06", "no space", Fault::Errors(&["ENOSPC"])),
    row("f07", "no inodes", Fault::Making(&["ENOSPC"])),
    row("f08", "the quota is reached", Fault::Errors(&["EDQUOT"])),
    row("f09", "read-only", Fault::Errors(&["EROFS"])),
    row("f10", "not permitted", Fault::Errors(&["EACCES", "EPERM"])),
    row("f11", "reading fails", Fault::Reads(&["EIO"])),
    row("f12", "syncing a file fails", Fault::Sync(&["EIO"])),
    row("f13", "syncing a folder fails", Fault::SyncFolder(&["EIO"])),
    row(
        "f14",
        "no descriptors",
        Fault::Errors(&["EMFILE", "ENFILE"]),
    ),
    row("f15", "no memory", Fault::Errors(&["ENOMEM", "ENOBUFS"])),
    row("f16", "interrupted", Fault::Errors(&["EINTR"])),
    row(
        "f17",
        "the file would be too large",
        Fault::Errors(&["EFBIG"]),
    ),
    row("f18", "short writes", Fault::Short),
    row("f44", "told to end at every call", Fault::Told),
    row(
        "f45",
        "nobody reads",
        Fault::Answer(&["EPIPE", "ENOSPC", "EIO"]),
    ),
];

const fn killed_at(calls: &'static [&'static str]) -> Fault {
    Fault::KilledAt {
        calls,
        writes_files: false,
    }
}

const fn row(name: &'static str, about: &'static str, fault: Fault) -> Row {
    Row { name, about, fault }
}

impl Row {
    /// The row of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// Whether what is killed is killed once more while the next command recovers.
    pub(super) fn has_pairs(&self, extent: Extent) -> bool {
        self.name == "d2" && extent == Extent::Full
    }

    /// What is done to a call of a scene.
    pub(super) fn tampers(&self, scene: &Scene, seen: &Seen, extent: Extent) -> Vec<Tamper> {
        let name = seen.call.name.as_str();
        let possible = match seen.can_fail(scene) {
            true => errors::of(name),
            false => &[],
        };
        let some = |wanted: &[&str]| {
            let wanted = possible.iter().filter(|error| wanted.contains(error));
            wanted.map(|error| Tamper::Fail(error)).collect()
        };
        let fails = |is_meant: bool, wanted: &[&str]| match is_meant {
            true => some(wanted),
            false => Vec::new(),
        };
        match &self.fault {
            Fault::Killed => vec![KILL],
            Fault::KilledAt {
                calls,
                writes_files,
            } => {
                let is_meant = calls.contains(&name) && seen.has_begun;
                let is_of_files = !writes_files || !scene.files().is_empty();
                Vec::from_iter((is_meant && is_of_files).then_some(KILL))
            }
            Fault::KilledAnswering => Vec::from_iter((seen.on == On::Stdout).then_some(KILL)),
            Fault::Told => vec![Tamper::Signal("SIGINT"), Tamper::Signal("SIGTERM")],
            Fault::All => {
                let mut all = match extent {
                    Extent::Full => some(possible),
                    // Another one for the next call of this name.
                    _ if possible.is_empty() => Vec::new(),
                    _ => vec![Tamper::Fail(possible[seen.call.number % possible.len()])],
                };
                all.extend(seen.may_be_short().then_some(Tamper::Short));
                all
            }
            Fault::Errors(wanted) => some(wanted),
            Fault::Reads(wanted) => fails(errors::is_read(name), wanted),
            Fault::Sync(wanted) => fails(name.ends_with("sync") && seen.on == On::Else, wanted),
            Fault::SyncFolder(wanted) => {
                fails(name.ends_with("sync") && seen.on == On::Folder, wanted)
            }
            Fault::Making(wanted) => {
                fails(name.starts_with("open") || name.starts_with("mk"), wanted)
            }
            Fault::Short => Vec::from_iter(seen.may_be_short().then_some(Tamper::Short)),
            Fault::Answer(errors) if seen.on == On::Stdout => {
                errors.iter().map(|error| Tamper::Fail(error)).collect()
            }
            Fault::Answer(_) => Vec::new(),
        }
    }
}

impl Seen {
    fn can_fail(&self, scene: &Scene) -> bool {
        let is_closed = self.call.name == "close";
        // strace does not close then. One who waits for the end of a stream that it has itself would
        // wait for ever, which the kernel, that always closes, does to nobody. And closing a folder
        // never fails, which the standard library relies on.
        let is_a_lie = is_closed && (scene.starts_processes() || self.on == On::Folder);
        self.has_begun && !is_a_lie
    }

    fn may_be_short(&self) -> bool {
        self.has_begun && errors::is_write(&self.call.name)
    }
}
