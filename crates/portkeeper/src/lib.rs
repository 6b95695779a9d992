//! Reserve localhost ports, hold them so that nobody else can take them, see who has what, and
//! write the numbers into `.env` files. Never prints and never exits: the command `portkeeper` is a
//! face of this.
//!
//! ```
//! use portkeeper::{Owner, PortKeeper};
//! use std::net::TcpStream;
//!
//! # let temp = tempfile::tempdir()?;
//! # let keeper = PortKeeper::at(temp.path().join("registry.json"))?;
//! # /* the registry of this user:
//! let keeper = PortKeeper::open(Default::default())?;
//! # */
//! let mut reservation = keeper.request().range("20000-29999".parse()?).hold().reserve()?;
//! // Nobody else can bind it now, and everybody can see that it is taken.
//! assert_eq!(keeper.status()?.entries.len(), 1);
//! // The server's socket is the one that held the port: there is no gap.
//! let listener = reservation.listener()?;
//! TcpStream::connect(listener.local_addr()?)?;
//! // Dropping the guard releases the port.
//! drop(listener);
//! drop(reservation);
//! assert!(keeper.status()?.entries.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a reservation is
//! An entry in a registry that all processes of this user read and write. It is **guarded** (it ends
//! with a value, [`Reservation`]), **leased** (it ends by itself, after 24 hours if nothing else is
//! said) or **held** (a small process keeps the port bound). While it is alive no PortKeeper gives
//! the port to anybody else; a held one nobody can take at all.
//!
//! # Layers
//! This crate composes four others, each useful alone: [`pk_core`] (ports), [`pk_registry`] (who has
//! what), [`pk_config`] (people's files) and [`pk_fs`] (locks and atomic replacement).
#![forbid(unsafe_code)]

pub mod doctor;
mod draft;
pub mod error;
pub mod files;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hash;
pub mod holder;
mod keep;
pub mod keeper;
pub mod launch;
pub mod listeners;
mod names;
mod order;
mod patience;
mod pick;
pub mod places;
pub mod project;
pub mod release;
mod renew;
pub mod request;
pub mod reservation;
pub mod settings;
pub mod setup;
mod signals;
mod take;
mod template;
pub mod ttl;
pub mod users;
pub mod wait;
pub mod warning;
pub mod watch;
pub mod why;

pub use error::{Error, ErrorKind};
pub use files::{Strategy, WriteOptions, Written};
pub use holder::HolderCommand;
pub use keep::Kept;
pub use keeper::{Collected, PortKeeper, Unused};
pub use launch::Launch;
pub use pick::Tally;
pub use pk_config as config;
pub use pk_core::{Error as PortError, Host, Port, PortRange, Protocol, process, sockets};
pub use pk_fs as fs;
pub use pk_registry as registry;
pub use pk_registry::{
    Ended, Here, Kind, Lease, Listed, Name, Note, Owner, Reason, Reservation as Record, Snapshot,
    Verdict,
};
pub use project::Project;
pub use release::{Force, Released, Selection};
pub use request::{HeldHere, Preview, Request};
pub use reservation::Reservation;
pub use settings::Settings;
pub use template::Template;
pub use ttl::Ttl;
pub use wait::Ready;
pub use warning::Warning;
pub use why::Why;
