//! A locked JSON registry of who has which localhost port. Never opens a port and never starts a
//! process: it knows what was agreed, not what is.
//!
//! ```
//! use pk_registry::{Here, Kind, Lease, Registry, Reservation};
//! use pk_registry::fs::lock::Wait;
//! use pk_registry::ports::{Host, Machine, Port, Protocol};
//! use std::time::{Duration, SystemTime};
//!
//! # let temp = tempfile::tempdir()?;
//! # let path = temp.path().join("registry.json");
//! let registry = Registry::at(path);
//! let here = Here::now();
//! let port = Port::new(8080).expect("not 0");
//! let updated = registry.update(Wait::UpTo(Duration::from_secs(10)), &here, |transaction| {
//!     assert!(transaction.obstacle(Host::default(), port, Protocol::Tcp).is_none());
//!     transaction.insert(Reservation {
//!         id: "k3v9".into(),
//!         port,
//!         host: Host::default(),
//!         protocol: Protocol::Tcp,
//!         owner: Some("shop/web".into()),
//!         name: None,
//!         project: None,
//!         notes: Default::default(),
//!         uid: here.uid,
//!         fence: 0, // given by the registry
//!         created: SystemTime::now(),
//!         kind: Kind::Leased,
//!         network: here.machine.network,
//!         time: here.machine.time,
//!         lease: Lease::Until(here.boot_ms + 60_000),
//!         process: None,
//!         until: None,
//!         control: None,
//!     })
//! })?;
//! assert_eq!(updated.value.fence, 1);
//! assert_eq!(registry.read(&here)?.entries.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The file
//! One JSON file, replaced atomically, never changed in place; beside it `<name>.lock`, which every
//! writer locks, and `<name>.live/`, in which each process that keeps a reservation alive has a
//! locked file. Readers take no lock. `docs/reference/registry.md` describes the format.
//!
//! [`names`] is another file, which outlives reboots: the numbers that names had.
//!
//! # Several users
//! The folder of the file says who shares it, [`Sharing`]: nobody, or the members of a group, who
//! trust each other. Users who do not have a machine-wide registry, a folder of root's with a file
//! of each user: [`Registry::at`] takes its path with a slash at the end. In both nobody changes
//! what is another's and alive, and each has at most 256 reservations.
#![forbid(unsafe_code)]

pub mod about;
pub mod error;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
pub mod label;
pub mod liveness;
pub mod names;
pub mod registry;
pub mod reservation;
pub mod snapshot;
pub mod staleness;
pub mod transaction;

pub use about::About;
pub use error::Error;
pub use label::{Name, Note};
/// What a registry's types are made of: [`ports::Port`], [`ports::Host`], [`ports::Protocol`].
pub use pk_core as ports;
/// How long to wait for a lock: [`fs::lock::Wait`].
pub use pk_fs as fs;
pub use registry::{Here, Registry, Updated};
pub use reservation::{Kind, Lease, Owner, Reservation};
pub use snapshot::{Listed, Sharing, Snapshot, Warning};
pub use staleness::{Reason, Verdict};
pub use transaction::{Ended, Obstacle, Transaction};
