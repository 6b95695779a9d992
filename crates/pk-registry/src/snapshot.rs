//! What a registry says at one moment. Never changes it.

use std::fmt;
use std::path::PathBuf;

use pk_core::Port;
use pk_fs::file_system::FileSystem;

use crate::format::Entry;
use crate::registry::{Here, Shard};
use crate::reservation::Reservation;
use crate::staleness::{self, Facts, Reason, Verdict};

/// What a registry says at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its path.
    pub path: PathBuf,
    /// Who shares it.
    pub sharing: Sharing,
    /// Its entries, in the order of the file.
    pub entries: Vec<Listed>,
    /// What a person should know about it.
    pub warnings: Vec<Warning>,
}

/// Who shares a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One user.
    Private,
    /// The members of a group, who trust each other: one file that all of them write.
    Group,
    /// All users of the machine, who need not trust each other: one file each.
    Machine,
}

impl Sharing {
    /// Its name: `private`, `group`, `machine`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Sharing::Private => "private",
            Sharing::Group => "group",
            Sharing::Machine => "machine",
        }
    }
}

/// An entry of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are sound")]
pub enum Listed {
    /// One that can be read.
    Sound {
        /// What it says.
        reservation: Reservation,
        /// Whether it is still good.
        verdict: Verdict,
    },
    /// One that can't be read. It is kept, and its port counts as taken.
    Damaged {
        /// Its key in the file.
        key: String,
        /// Its port, if that much can be read.
        port: Option<Port>,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a person should know about a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// It is empty, as after a power cut.
    Empty {
        /// Its path.
        path: PathBuf,
    },
    /// It can't be read; nothing was changed.
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It is older than the last one that was written: somebody has put a copy in its place.
    Older {
        /// Its path.
        path: PathBuf,
        /// How often it had been changed when it was copied.
        generation: u64,
        /// How often it has been changed.
        latest: u64,
    },
    /// It could not be read and was begun anew. The old bytes are kept.
    SetAside {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
        /// Where the old bytes are.
        kept: PathBuf,
    },
    /// What another user wrote into a machine-wide registry does not count, or not all of it.
    Ignored {
        /// That user's file.
        path: PathBuf,
        /// Why, or from where on.
        reason: String,
    },
    /// It is on a file system on which locks may not reach everybody.
    FileSystem {
        /// Its folder.
        folder: PathBuf,
        /// What that is on.
        found: FileSystem,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Empty { path } => {
                write!(
                    f,
                    "registry {} is empty, as after a power cut: begun anew",
                    path.display()
                )
            }
            Warning::Unreadable { path, reason } => {
                write!(f, "registry {} can't be read: {reason}", path.display())
            }
            Warning::Older {
                path,
                generation,
                latest,
            } => write!(
                f,
                "registry {} is an older copy (generation {generation}, the last was {latest}): \
                 what was reserved or released since is not in it",
                path.display()
            ),
            Warning::SetAside { path, reason, kept } => write!(
                f,
                "registry {} can't be read and was begun anew, the old bytes are in {}: {reason}",
                path.display(),
                kept.display()
            ),
            Warning::Ignored { path, reason } => {
                write!(f, "{} of another user is ignored: {reason}", path.display())
            }
            Warning::FileSystem { folder, found } => write!(
                f,
                "registry folder {} is on {found}: locks may not hold there, and other machines \
                 void each other's reservations",
                folder.display()
            ),
        }
    }
}

/// Every entry of a shard that is believed, typed and judged.
pub(crate) fn list(shard: &Shard<'_>, here: &Here, facts: &impl Facts) -> Vec<Listed> {
    let document = &shard.document;
    let rebooted = !here.machine.is_of_boot(&document.boot_id);
    let examine = |entry: &Entry<'_>| match entry.reservation() {
        Err(reason) => {
            let key = entry.key.escape_debug().to_string();
            Listed::Damaged {
                key,
                port: entry.port(),
                reason,
            }
        }
        Ok(reservation) if rebooted => Listed::Sound {
            reservation,
            verdict: Verdict::Stale(Reason::Reboot),
        },
        Ok(reservation) => {
            let verdict = staleness::judge(&reservation, &here.machine, here.boot_ms, facts);
            Listed::Sound {
                reservation,
                verdict,
            }
        }
    };
    let is_believed = |listed: &Listed| match listed {
        Listed::Sound { reservation, .. } => shard.believes(reservation),
        Listed::Damaged { .. } => true,
    };
    let listed = document.entries.iter().map(examine);
    listed.filter(is_believed).collect()
}
