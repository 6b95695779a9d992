//! Files for PortKeeper: lock them, replace them atomically, stage what is to come. Never decides
//! what a file contains.
//!
//! Everything that must survive `kill -9`, a full disk, a hostile neighbour or two writers at once
//! goes through these few rooms:
//!
//! * [`lock`] – an exclusive lock on a file beside the data (a *sidecar*), with a deadline, and the
//!   name of whoever holds it when the deadline passes;
//! * [`live`] – a lock that a process keeps for life, so that others can tell that it lives;
//! * [`folder`] – a directory held open, and the question who else may write in it; [`access`] – who
//!   may use what is made in it; [`file_system`] – what it lies on, and whether locks there reach everybody;
//! * [`replace`] – new bytes for a file, all or nothing: *volatile* (no fsync, for data that a
//!   reboot voids) or *durable* (fsync, mode, owner, extended attributes and symlinks kept);
//! * [`append`] – lines at the end of a file that another program reads, in several or in none;
//! * [`stage`] – a private place beside a file for the bytes to come.
//!
//! ```
//! use pk_fs::access::Access;
//! use pk_fs::folder::Folder;
//! use pk_fs::lock::{LockFile, Wait};
//! use pk_fs::replace::{self, Onto};
//!
//! # let temp = tempfile::tempdir()?;
//! # let home = temp.path();
//! let folder = Folder::ensure(&home.join("state"))?;
//! let lock = LockFile::sidecar(home.join("state/data.json.lock"));
//! lock.exclusive(Wait::UpTo(std::time::Duration::from_secs(10)), |locked| {
//!     replace::volatile(&folder, "data.json".as_ref(), b"{}", Onto::Nothing(Access::Owner), || locked.is_current())
//! })??;
//! assert_eq!(std::fs::read(home.join("state/data.json"))?, b"{}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod access;
mod age;
pub mod append;
pub mod failpoint;
pub mod file_system;
pub mod folder;
pub mod live;
pub mod lock;
pub mod replace;
pub mod stage;
mod sys;
pub mod utc;
